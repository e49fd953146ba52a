//! Mail over SMTP.
//!
//! Sessions are kept for the next mail, in a pool of our own: lettre's takes a session back even if the attempt that
//! used it was dropped in the middle of a command. The server's late answer to that command would then be taken for
//! the answer to the next one, and a mail could count as accepted that was not.

use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection as Session, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use tokio::sync::Semaphore;
use wf_engine::{Connection, StepContext, StepError};

use super::compose::Mail;
use super::{FAMILY, rejected};
use crate::pools::Pools;
use crate::quote::quotable;

/// Sessions with one server; more mails wait. Idle ones are kept until the server ends them.
const SESSIONS_MAX: usize = 16;
/// How long connecting may take, name and TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How long sending may take when the step has no `timeout` of its own.
const SEND_LIMIT: Duration = Duration::from_secs(60);
/// How long a kept session may take to show that it is still there.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// The servers that mails went to, each with its open sessions.
#[derive(Default)]
pub(super) struct Servers(Pools<Connection, Server>);

impl Servers {
    /// Sends a mail. When this returns, the server has taken responsibility for it.
    ///
    /// # Errors
    /// `email.rejected` for an answer of 5xx, `email.auth` if the server wants other credentials, `email.config` if
    /// the settings are wrong, otherwise `email.unavailable`. A break after the mail's last byte is of the last sort,
    /// though the server may have it: a repetition carries the same `Message-ID`.
    pub(super) async fn send(&self, cx: &StepContext, connection: &Connection, mail: &Mail) -> Result<(), StepError> {
        let server = self.0.get(connection, || Server::new(connection))?;
        let (envelope, bytes) = mail.mime()?;
        let sending = server.send(&envelope, &bytes);
        if cx.remaining.is_some() {
            return sending.await;
        }
        let late = |_| unavailable(format!("mail server `{}` did not answer in time", connection.name));
        tokio::time::timeout(SEND_LIMIT, sending).await.map_err(late)?
    }
}

struct Server {
    name: String,
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    /// What a reply must not repeat.
    secrets: Vec<String>,
    sessions: Semaphore,
    idle: Mutex<Vec<Session>>,
}

enum Tls {
    None,
    /// STARTTLS; without it nothing is sent.
    Upgrade(TlsParameters),
    /// From the first byte.
    Immediate(TlsParameters),
}

/// What a server was doing when it failed.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Connecting,
    Authenticating,
    Sending,
}

impl Server {
    fn new(connection: &Connection) -> Result<Self, StepError> {
        let wrong = |why: &str| FAMILY.error("config", format!("the `url` of connection `{}` {why}", connection.name));
        let url = Url::parse(FAMILY.setting(connection, "url")?).map_err(|_| wrong("is no URL"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let mut mode = "required".to_owned();
        for (key, value) in url.query_pairs() {
            match &*key {
                "tls" => mode = value.into_owned(),
                _ => return Err(wrong(&format!("has an unknown setting `{key}`"))),
            }
        }
        let immediate = url.scheme() == "smtps" || (url.port() == Some(465) && mode == "required");
        let parameters = || {
            let built = TlsParameters::new(host.clone());
            built.map_err(|error| unavailable(format!("TLS cannot be set up: {error}")))
        };
        let (tls, default_port) = match (url.scheme(), mode.as_str()) {
            ("smtps", "required") | ("smtp", "required") if immediate => (Tls::Immediate(parameters()?), 465),
            ("smtp", "required" | "starttls") => (Tls::Upgrade(parameters()?), 587),
            ("smtp", "none") => (Tls::None, 25),
            ("smtp" | "smtps", _) => return Err(wrong("takes `?tls=none`, `starttls` or `required`")),
            _ => return Err(wrong("must begin with `smtp://` or `smtps://`")),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (decoded(url.username()), url.password().map(decoded).unwrap_or_default());
        let plain = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        let encoded = BASE64_STANDARD.encode(&password);
        Ok(Server {
            name: connection.name.clone(),
            port: url.port().unwrap_or(default_port),
            secrets: if password.is_empty() { Vec::new() } else { vec![password.clone(), plain, encoded] },
            credentials: (!user.is_empty()).then(|| Credentials::new(user, password)),
            host,
            tls,
            sessions: Semaphore::new(SESSIONS_MAX),
            idle: Mutex::default(),
        })
    }

    async fn send(&self, envelope: &Envelope, bytes: &[u8]) -> Result<(), StepError> {
        let _permit = self.sessions.acquire().await.map_err(|error| unavailable(error.to_string()))?;
        let mut session = match self.kept_session().await {
            Some(session) => session,
            None => self.new_session().await?,
        };
        // lettre ends what it is given with a line break, so the mail's own last one is left to it.
        let content = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
        let reply = session.send(envelope, content).await.map_err(|error| self.error(&error, Phase::Sending))?;
        if reply.code().severity != Severity::PositiveCompletion {
            return Err(unavailable(format!("mail server `{}` gave an answer that makes no sense", self.name)));
        }
        // Only a session that has just done its work is kept; every other one is closed by being dropped.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        Ok(())
    }

    async fn kept_session(&self) -> Option<Session> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut session = kept?;
            if let Ok(true) = tokio::time::timeout(CHECK_LIMIT, session.test_connected()).await {
                return Some(session);
            }
        }
    }

    async fn new_session(&self) -> Result<Session, StepError> {
        let late = |_| unavailable(format!("mail server `{}` did not answer in time", self.name));
        let mut session = tokio::time::timeout(CONNECT_LIMIT, self.connect()).await.map_err(late)??;
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let authenticated = session.auth(&mechanisms, credentials).await;
            authenticated.map_err(|error| self.error(&error, Phase::Authenticating))?;
        }
        Ok(session)
    }

    async fn connect(&self) -> Result<Session, StepError> {
        let failed = |error: Error| self.error(&error, Phase::Connecting);
        let immediate = match &self.tls {
            Tls::Immediate(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let hello = ClientId::default();
        let address = (self.host.as_str(), self.port);
        let mut session = Session::connect_tokio1(address, None, &hello, immediate, None).await.map_err(failed)?;
        if let Tls::Upgrade(parameters) = &self.tls {
            if !session.can_starttls() {
                let message = format!("mail server `{}` offers no TLS; `?tls=none` sends without", self.name);
                return Err(FAMILY.error("config", message));
            }
            session.starttls(parameters.clone(), &hello).await.map_err(failed)?;
        }
        Ok(session)
    }

    fn error(&self, error: &Error, phase: Phase) -> StepError {
        let name = &self.name;
        let cause = match error.source() {
            _ if error.is_response() => "what it says is not SMTP".to_owned(),
            Some(source) => quotable(&source.to_string(), &self.secrets),
            None => error.to_string(),
        };
        if let Some(status) = error.status() {
            let wants_credentials = matches!(u16::from(status), 530 | 534 | 535 | 538);
            if error.is_permanent() && (phase == Phase::Authenticating || wants_credentials) {
                return FAMILY.error("auth", format!("mail server `{name}` refused the credentials with {status}"));
            }
            let message = format!("mail server `{name}` answered with {status}: {cause}");
            return if error.is_permanent() { rejected(message) } else { unavailable(message) };
        }
        match phase {
            Phase::Authenticating if error.is_client() => {
                FAMILY.error("auth", format!("mail server `{name}` takes no password that we can give: {cause}"))
            }
            Phase::Sending if error.is_client() => rejected(format!("mail server `{name}` cannot take this: {cause}")),
            Phase::Connecting if error.is_tls() => {
                unavailable(format!("no secure connection to mail server `{name}`: {cause}"))
            }
            Phase::Connecting => unavailable(format!("cannot connect to mail server `{name}`: {cause}")),
            _ => unavailable(format!("the connection to mail server `{name}` broke: {cause}")),
        }
    }
}

fn unavailable(message: String) -> StepError {
    FAMILY.error("unavailable", message)
}
