//! A mail server on the loopback that can misbehave at every point.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail as it arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Arrived {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Without the dots that the protocol adds.
    pub(crate) content: Vec<u8>,
}

/// What the server does instead of going on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Says this.
    Says(&'static str),
    /// Closes the connection.
    Closes,
    /// Says nothing more.
    Hangs,
}

/// Where it does so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum At {
    Greeting,
    /// This command, such as `MAIL`.
    Command(&'static str),
    /// The end of a mail's content; it has been received by then.
    Content,
}

#[derive(Default)]
struct Seen {
    sessions: usize,
    commands: Vec<String>,
    arrived: Vec<Arrived>,
}

pub(crate) struct SmtpPeer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl SmtpPeer {
    pub(crate) async fn friendly() -> SmtpPeer {
        SmtpPeer::with(&["AUTH PLAIN LOGIN", "8BITMIME"], Vec::new()).await
    }

    pub(crate) async fn that(at: At, fault: Fault) -> SmtpPeer {
        SmtpPeer::with(&["AUTH PLAIN"], vec![(at, fault)]).await
    }

    /// A server with these extensions that does these things once each, in the first session that gets there.
    pub(crate) async fn with(extensions: &[&'static str], faults: Vec<(At, Fault)>) -> SmtpPeer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let faults = Arc::new(Mutex::new(faults));
        let (seen_there, extensions) = (seen.clone(), extensions.to_vec());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen_there.lock().unwrap().sessions += 1;
                let session = Session {
                    stream: BufReader::new(stream),
                    seen: seen_there.clone(),
                    faults: faults.clone(),
                    extensions: extensions.clone(),
                };
                tokio::spawn(async move {
                    // A client that goes away in the middle is none of the server's business.
                    let _ = session.serve().await;
                });
            }
        });
        SmtpPeer { address, seen }
    }

    pub(crate) fn url(&self, settings: &str) -> String {
        format!("smtp://{}{settings}", self.address)
    }

    pub(crate) fn sessions(&self) -> usize {
        self.seen.lock().unwrap().sessions
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.seen.lock().unwrap().commands.clone()
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.seen.lock().unwrap().arrived.clone()
    }
}

struct Session {
    stream: BufReader<TcpStream>,
    seen: Arc<Mutex<Seen>>,
    faults: Arc<Mutex<Vec<(At, Fault)>>>,
    extensions: Vec<&'static str>,
}

impl Session {
    async fn serve(mut self) -> io::Result<()> {
        self.answer(At::Greeting, "220 peer ready").await?;
        let mut mail = Arrived::default();
        loop {
            let line = self.line().await?;
            self.seen.lock().unwrap().commands.push(line.clone());
            let verb = line.split(' ').next().unwrap().to_uppercase();
            let argument = line.split_once(':').map(|(_, argument)| argument.to_owned()).unwrap_or_default();
            let verb =
                ["EHLO", "MAIL", "RCPT", "DATA", "QUIT", "NOOP", "AUTH", "STARTTLS"].into_iter().find(|v| *v == verb);
            match verb {
                Some("EHLO") => {
                    let lines = ["peer"].iter().chain(&self.extensions).map(|line| format!("250-{line}\r\n"));
                    let answer = lines.collect::<String>() + "250 HELP";
                    self.answer(At::Command("EHLO"), &answer).await?;
                }
                Some("MAIL") => {
                    mail = Arrived { from: argument, ..Arrived::default() };
                    self.answer(At::Command("MAIL"), "250 fine").await?;
                }
                Some("RCPT") => {
                    mail.to.push(argument);
                    self.answer(At::Command("RCPT"), "250 fine").await?;
                }
                Some("DATA") => {
                    if !self.answer(At::Command("DATA"), "354 go on").await? {
                        continue;
                    }
                    mail.content = self.content().await?;
                    self.seen.lock().unwrap().arrived.push(mail.clone());
                    self.answer(At::Content, "250 accepted").await?;
                }
                Some("AUTH") => drop(self.answer(At::Command("AUTH"), "235 welcome").await?),
                Some("STARTTLS") => drop(self.answer(At::Command("STARTTLS"), "220 go on").await?),
                Some("NOOP") => drop(self.answer(At::Command("NOOP"), "250 fine").await?),
                Some("QUIT") => return self.stream.get_mut().write_all(b"221 bye\r\n").await,
                _ => self.stream.get_mut().write_all(b"500 what\r\n").await?,
            }
        }
    }

    /// Gives the answer, unless there is a fault here. Whether all is well.
    async fn answer(&mut self, at: At, answer: &str) -> io::Result<bool> {
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let here = faults.iter().position(|(place, _)| *place == at);
            here.map(|here| faults.remove(here).1)
        };
        match fault {
            None => {
                self.stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await?;
                Ok(true)
            }
            Some(Fault::Says(other)) => {
                self.stream.get_mut().write_all(format!("{other}\r\n").as_bytes()).await?;
                Ok(false)
            }
            Some(Fault::Closes) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }

    /// One line; a lone LF or CR ends it too, as with servers that mean too well.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            match self.stream.read_u8().await? {
                b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()),
                byte => line.push(byte),
            }
        }
    }

    /// The content up to its end. Whatever some server out there takes for the end is the end here.
    async fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            content.push(self.stream.read_u8().await?);
            let ends: [&[u8]; 5] = [b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n"];
            if let Some(end) = ends.iter().find(|end| content.ends_with(end)) {
                content.truncate(content.len() - end.len());
                content.extend_from_slice(b"\r\n");
                return Ok(String::from_utf8_lossy(&content).replace("\r\n..", "\r\n.").into_bytes());
            }
        }
    }
}
