//! A Redis server on the loopback that can misbehave.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does instead of saying `+OK`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Says this.
    Says(&'static str),
    /// Says the beginning of a large text again and again, and never its end.
    Babbles,
    /// Closes the connection.
    Closes,
    /// Says nothing more.
    Hangs,
}

#[derive(Default)]
struct Seen {
    sessions: usize,
    commands: Vec<String>,
}

pub(crate) struct RedisPeer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl RedisPeer {
    /// A server that does these things once each, at commands with these names.
    pub(crate) async fn with(faults: &[(&'static str, Fault)]) -> RedisPeer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let faults = Arc::new(Mutex::new(faults.to_vec()));
        let seen_there = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen_there.lock().unwrap().sessions += 1;
                let (seen, faults) = (seen_there.clone(), faults.clone());
                tokio::spawn(async move {
                    // A client that goes away in the middle is none of the server's business.
                    let _ = serve(BufReader::new(stream), &seen, &faults).await;
                });
            }
        });
        RedisPeer { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn sessions(&self) -> usize {
        self.seen.lock().unwrap().sessions
    }

    /// The commands that steps gave, without what the client says of itself.
    pub(crate) fn commands(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.commands.iter().filter(|command| !command.starts_with("CLIENT")).cloned().collect()
    }
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    seen: &Mutex<Seen>,
    faults: &Mutex<Vec<(&'static str, Fault)>>,
) -> io::Result<()> {
    loop {
        let words = command(&mut stream).await?;
        seen.lock().unwrap().commands.push(words.join(" "));
        let fault = {
            let mut faults = faults.lock().unwrap();
            let here = faults.iter().position(|(name, _)| *name == words[0]);
            here.map(|here| faults.remove(here).1)
        };
        let stream = stream.get_mut();
        match fault {
            None => stream.write_all(b"+OK\r\n").await?,
            Some(Fault::Says(answer)) => stream.write_all(answer.as_bytes()).await?,
            Some(Fault::Babbles) => loop {
                stream.write_all(&b"*1\r\n".repeat(1000)).await?;
            },
            Some(Fault::Closes) => return Ok(()),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }
}

/// One command: `*2`, then `$3` and three bytes for each of its words, a line each.
async fn command(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let count = number(stream, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(stream, '$').await? + 2];
        stream.read_exact(&mut word).await?;
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    Ok(words)
}

async fn number(stream: &mut BufReader<TcpStream>, mark: char) -> io::Result<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let number = line.trim_end().strip_prefix(mark).and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
