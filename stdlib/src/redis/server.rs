//! A Redis server.
//!
//! All steps share one connection. A connection is used again only while every command on it has been answered: one
//! that was given up may belong to a server that will never answer, and the next command would wait as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};
use tokio::sync::Mutex;
use wf_engine::{Connection, StepError};

use super::{FAMILY, MARKER_TTL, VALUE_BYTES_MAX, too_large};
use crate::quote::quotable;

/// How long connecting may take, name, TLS and password included.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Counts and leaves a marker, unless the marker is there. The count goes as text: a number of Lua is a double.
const COUNT_ONCE: &str = "
local counted = redis.call('get', KEYS[2])
if counted then return counted end
redis.call('incrby', KEYS[1], ARGV[1])
local count = redis.call('get', KEYS[1])
redis.call('set', KEYS[2], count, 'px', ARGV[2])
return count";

/// A server and the connection to it.
pub(super) struct Server {
    name: String,
    client: Client,
    /// What a reply must not repeat.
    secrets: Vec<String>,
    kept: Mutex<Option<Link>>,
}

/// A connection, and whether a command on it was left without an answer.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    suspect: Arc<AtomicBool>,
}

/// Makes a link suspect unless its command was answered.
struct Asking<'a>(&'a Link);

impl Server {
    pub(super) fn new(connection: &Connection) -> Result<Self, StepError> {
        let wrong = |why: &str| FAMILY.error("config", format!("the `url` of connection `{}` {why}", connection.name));
        let url = FAMILY.setting(connection, "url")?;
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err(wrong("must begin with `redis://` or `rediss://`"));
        }
        let client = Client::open(url).map_err(|_| wrong("is no URL of a Redis server"))?;
        let settings = client.get_connection_info().redis_settings();
        let secrets = settings.password().map(str::to_owned).into_iter().collect();
        Ok(Server { name: connection.name.clone(), client, secrets, kept: Mutex::default() })
    }

    /// The value, if the key is there.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StepError> {
        let mut command = redis::pipe();
        // One byte more than allowed shows that there is more, without reading all of it.
        let last = isize::try_from(VALUE_BYTES_MAX).unwrap_or(isize::MAX);
        command.atomic().exists(key).getrange(key, 0, last);
        let (exists, value): (bool, Vec<u8>) = self.ask(&command).await?;
        match value.len() > VALUE_BYTES_MAX {
            true => Err(too_large()),
            false => Ok(exists.then_some(value)),
        }
    }

    pub(super) async fn set(&self, key: &str, value: &str, ttl: Option<Duration>) -> Result<(), StepError> {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        if let Some(ttl) = ttl {
            command.arg("PX").arg(millis(ttl));
        }
        self.ask(&alone(command)).await
    }

    pub(super) async fn incr(&self, key: &str, by: i64, marker: &str) -> Result<i64, StepError> {
        let mut command = redis::cmd("EVAL");
        command.arg(COUNT_ONCE).arg(2).arg(key).arg(marker).arg(by).arg(millis(MARKER_TTL));
        let (count,) = self.ask(&alone(command)).await?;
        Ok(count)
    }

    pub(super) async fn del(&self, key: &str) -> Result<bool, StepError> {
        let mut command = redis::cmd("DEL");
        command.arg(key);
        let (gone,): (u64,) = self.ask(&alone(command)).await?;
        Ok(gone > 0)
    }

    /// Sends commands and gives the answers. If a kept connection turns out to be broken, tries once more on a new one:
    /// every command here may be repeated.
    async fn ask<T: redis::FromRedisValue>(&self, commands: &redis::Pipeline) -> Result<T, StepError> {
        loop {
            let (link, is_new) = self.link().await.map_err(|error| self.error(error))?;
            let mut connection = link.connection.clone();
            let asking = Asking(&link);
            match commands.query_async(&mut connection).await {
                Ok(answer) => {
                    asking.answered();
                    return Ok(answer);
                }
                Err(error) if is_broken(&error) && !is_new => {}
                Err(error) => {
                    if !is_broken(&error) {
                        asking.answered();
                    }
                    return Err(self.error(error));
                }
            }
        }
    }

    /// The connection, and whether it was made for this call.
    async fn link(&self) -> Result<(Link, bool), RedisError> {
        let mut kept = self.kept.lock().await;
        if let Some(link) = kept.as_ref().filter(|link| !link.suspect.load(Ordering::Relaxed)) {
            return Ok((link.clone(), false));
        }
        // An attempt has a limit of its own.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_LIMIT)).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let link = Link { connection, suspect: Arc::default() };
        *kept = Some(link.clone());
        Ok((link, true))
    }

    fn error(&self, error: RedisError) -> StepError {
        let name = &self.name;
        let kind = error.kind();
        let Some((_, reply)) = error.clone().into_server_errors().and_then(|all| all.first().cloned()) else {
            return match kind {
                ErrorKind::AuthenticationFailed => {
                    FAMILY.error("auth", format!("server `{name}` refused the credentials"))
                }
                ErrorKind::UnexpectedReturnType => {
                    FAMILY.error("rejected", format!("server `{name}` gave an answer of another type"))
                }
                ErrorKind::Parse => FAMILY.error("unavailable", format!("what `{name}` says is not Redis")),
                _ => {
                    let cause = quotable(&error.to_string(), &self.secrets);
                    FAMILY.error("unavailable", format!("server `{name}` cannot be reached: {cause}"))
                }
            };
        };
        let code = match reply.code() {
            "BUSY" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "OOM" | "READONLY" | "TRYAGAIN" => "unavailable",
            "NOAUTH" | "NOPERM" | "WRONGPASS" => "auth",
            "ASK" | "CROSSSLOT" | "MOVED" => "config",
            _ => "rejected",
        };
        let words = quotable(&format!("{} {}", reply.code(), reply.details().unwrap_or_default()), &self.secrets);
        FAMILY.error(code, format!("server `{name}` answered: {words}"))
    }
}

impl Asking<'_> {
    fn answered(self) {
        std::mem::forget(self);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.suspect.store(true, Ordering::Relaxed);
    }
}

fn alone(command: redis::Cmd) -> redis::Pipeline {
    let mut commands = redis::pipe();
    commands.add_command(command);
    commands
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the connection is of no more use.
fn is_broken(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse | ErrorKind::Client)
}
