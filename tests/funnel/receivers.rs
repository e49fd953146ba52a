//! Those who get the messages.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

/// A message as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// What is the same when it is sent again: the `Message-ID` of a mail, the token of a text message.
    pub(crate) key: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { to, subject, text, html, .. } = self;
        writeln!(f, "to: {to}\nsubject: {subject}\n\n{text}")?;
        if html.is_empty() { Ok(()) } else { write!(f, "\n{html}") }
    }
}

/// An SMTP server's folder, of which the mails from one sender count, and a server for text messages.
pub(crate) struct Receivers {
    pub(crate) sender: String,
    mails: PathBuf,
    pub(crate) texts_at: SocketAddr,
    texts: Arc<Mutex<Vec<Message>>>,
}

impl Receivers {
    pub(crate) fn new(sender: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let texts_at = listener.local_addr().expect("it is bound");
        let texts = Arc::new(Mutex::new(Vec::new()));
        let kept = texts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                // A client that goes away in the middle is none of the server's business.
                std::thread::spawn(move || take_texts(stream, &kept).ok());
            }
        });
        let mails = std::env::var_os("WF_TEST_SMTP_DIR").expect("`./tests/run` names the mail server's folder").into();
        Receivers { sender, mails, texts_at, texts }
    }

    /// Everything that arrived, text messages first.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut messages = self.texts.lock().expect("no server panicked").clone();
        let notes = fs::read_dir(&self.mails).expect("the mail server has its folder");
        let notes = notes.map(|entry| entry.expect("the folder can be read").path());
        let mut notes: Vec<PathBuf> = notes.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
        notes.sort();
        messages.extend(notes.iter().filter_map(|note| self.mail(note)));
        messages
    }

    fn mail(&self, note: &Path) -> Option<Message> {
        let bytes = fs::read(note).expect("a note is whole when it is there");
        let envelope: Json = serde_json::from_slice(&bytes).expect("a note is JSON");
        if envelope["from"] != self.sender.as_str() {
            return None;
        }
        let mail =
            String::from_utf8(fs::read(note.with_extension("eml")).expect("each note has its mail")).expect("ASCII");
        let key = mail.lines().find_map(|line| line.strip_prefix("Message-ID: ")).expect("each mail has an id");
        let text = |field: &str| envelope[field].as_str().unwrap_or_default().to_owned();
        Some(Message {
            key: key.trim().to_owned(),
            to: envelope["to"][0].as_str().unwrap_or_default().to_owned(),
            subject: text("subject"),
            text: text("text"),
            html: text("html"),
        })
    }
}

/// Answers as Twilio does, and keeps what it was asked.
fn take_texts(stream: TcpStream, kept: &Mutex<Vec<Message>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = BTreeMap::new();
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        assert!(line.starts_with("POST /2010-04-01/Accounts/AC0123456789/Messages.json "), "{line}");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            head.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; head["content-length"].parse().expect("a length")];
        reader.read_exact(&mut body)?;
        let fields: BTreeMap<String, String> = form_fields(&body);
        kept.lock().expect("no server panicked").push(Message {
            key: head["i-twilio-idempotency-token"].clone(),
            to: fields["To"].clone(),
            subject: String::new(),
            text: fields["Body"].clone(),
            html: String::new(),
        });
        let answer = format!(r#"{{"sid":"SM-{}"}}"#, head["i-twilio-idempotency-token"]);
        let head = format!(
            "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        (&stream).write_all(format!("{head}{answer}").as_bytes())?;
    }
}

fn form_fields(body: &[u8]) -> BTreeMap<String, String> {
    let pieces = body.split(|byte| *byte == b'&');
    let decoded = |piece: &[u8]| {
        let plain = String::from_utf8_lossy(piece).replace('+', " ");
        percent_encoding::percent_decode_str(&plain).decode_utf8().expect("UTF-8").into_owned()
    };
    let pair = |piece: &[u8]| {
        let equals = piece.iter().position(|byte| *byte == b'=').expect("name=value");
        (decoded(&piece[..equals]), decoded(&piece[equals + 1..]))
    };
    pieces.map(pair).collect()
}
