//! `redis.get`, `redis.set`, `redis.incr` and `redis.del`: values under keys.
//!
//! Texts are stored as they are and everything else as JSON, so that other programs read what a step wrote, and a step
//! reads what they wrote. A server and the stand-in in this process behave alike; one suite of tests holds both.

mod del;
mod get;
mod incr;
mod memory;
mod server;
mod set;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wf_engine::run::OUTPUT_BYTES_MAX;
use wf_engine::{Connection, StepContext, StepError};

use crate::connection::{Chosen, Family};
use crate::pools::Pools;
use memory::Memory;
use server::Server;

pub(crate) use del::Del;
pub(crate) use get::Get;
pub(crate) use incr::Incr;
pub(crate) use set::Set;

const FAMILY: Family = Family { name: "redis", kinds: &["redis"] };
/// A larger value is refused, both ways: with its name it is the largest output that the engine takes.
const VALUE_BYTES_MAX: usize = OUTPUT_BYTES_MAX - 16;
/// How long an attempt may take when the step has no `timeout` of its own.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long it is remembered that a step has counted. A later attempt of the same step would count again.
const MARKER_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The stores that steps have used, each with its connection. Shared by the kinds.
#[derive(Clone, Default)]
pub(crate) struct Stores {
    open: Arc<Pools<Key, Store>>,
}

/// What makes two stores the same.
#[derive(Clone, PartialEq)]
enum Key {
    Configured(Connection),
    StandIn { folder: Arc<Path>, connection: Option<String> },
}

/// Values under keys, on a server or in this process.
enum Store {
    Server(Box<Server>),
    Memory(Memory),
}

impl Stores {
    /// The store that the step names, or the project's only one; its stand-in if it is not configured.
    fn choose(&self, cx: &StepContext, name: Option<&str>) -> Result<Arc<Store>, StepError> {
        match FAMILY.choose(cx, name)? {
            Chosen::Configured(connection) => {
                let key = Key::Configured(connection.clone());
                self.open.get(&key, || Ok(Store::Server(Server::new(connection)?.into())))
            }
            Chosen::StandIn(connection) => {
                let Some(folder) = &cx.stand_ins else { return Err(FAMILY.not_configured(connection)) };
                let connection = connection.map(|connection| connection.name.clone());
                let key = Key::StandIn { folder: folder.clone(), connection };
                self.open.get(&key, || Ok(Store::Memory(Memory::default())))
            }
        }
    }
}

impl Store {
    async fn get(&self, cx: &StepContext, key: &str) -> Result<Option<Vec<u8>>, StepError> {
        match self {
            Store::Server(server) => in_time(cx, server.get(key)).await,
            Store::Memory(memory) => Ok(memory.get(key, cx.clock.now())),
        }
    }

    async fn set(&self, cx: &StepContext, key: &str, value: &str, ttl: Option<Duration>) -> Result<(), StepError> {
        match self {
            Store::Server(server) => in_time(cx, server.set(key, value, ttl)).await,
            Store::Memory(memory) => {
                memory.set(key, value, ttl, cx.clock.now());
                Ok(())
            }
        }
    }

    /// Adds `by` to a counter, once for each step: a later attempt gets what the first one got.
    async fn incr(&self, cx: &StepContext, key: &str, by: i64) -> Result<i64, StepError> {
        let marker = format!("wf:effect:{}", cx.effect);
        match self {
            Store::Server(server) => in_time(cx, server.incr(key, by, &marker)).await,
            Store::Memory(memory) => memory.incr(key, by, &marker, cx.clock.now()),
        }
    }

    /// Whether the key was there.
    async fn del(&self, cx: &StepContext, key: &str) -> Result<bool, StepError> {
        match self {
            Store::Server(server) => in_time(cx, server.del(key)).await,
            Store::Memory(memory) => Ok(memory.del(key, cx.clock.now())),
        }
    }
}

async fn in_time<T>(cx: &StepContext, work: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
    let limit = cx.remaining.unwrap_or(ANSWER_LIMIT);
    let late = |_| FAMILY.error("unavailable", format!("the server did not answer within {} s", limit.as_secs_f64()));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

fn too_large() -> StepError {
    FAMILY.error("limit", format!("the value is larger than {VALUE_BYTES_MAX} bytes, or nests too deep"))
}
