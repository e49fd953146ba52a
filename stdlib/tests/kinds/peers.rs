//! Peers on the loopback, as friendly or as hostile as a test wants them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request that an HTTP peer got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// `POST /path?query`
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let first = found.next()?;
        assert!(found.next().is_none(), "`{name}` was sent twice");
        Some(&first.1)
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What an HTTP peer does when it has got a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Writes these bytes and closes.
    Writes(Vec<u8>),
    /// Writes these bytes and then nothing more.
    Hangs(Vec<u8>),
    /// Resets the connection.
    Resets,
}

impl Does {
    /// Answers with status, more header lines and a body.
    pub(crate) fn answers(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Does {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status} Words\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        Does::Writes([head.as_bytes(), body].concat())
    }

    pub(crate) fn json(status: u16, body: Json) -> Does {
        Does::answers(status, "content-type: application/json\r\n", body.to_string())
    }
}

/// An HTTP server that does the same thing to every request.
pub(crate) struct HttpPeer {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl HttpPeer {
    pub(crate) async fn that(does: Does) -> HttpPeer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, does) = (seen.clone(), does.clone());
                tokio::spawn(async move {
                    // A client that goes away in the middle is none of the server's business.
                    let _ = serve(stream, does, &seen).await;
                });
            }
        });
        HttpPeer { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request.
    pub(crate) fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1);
        requests[0].clone()
    }
}

async fn serve(stream: TcpStream, does: Does, seen: &Mutex<Vec<Request>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await?;
    seen.lock().unwrap().push(request);
    let mut stream = stream.into_inner();
    match does {
        Does::Writes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Does::Hangs(bytes) => {
            stream.write_all(&bytes).await?;
            std::future::pending().await
        }
        Does::Resets => stream.set_zero_linger(),
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let mut request = Request::default();
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    request.line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await?;
    Ok(request)
}

/// A port at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
