//! Starting: what the store must hold before the first event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wf_dsl::{Plan, PlanHash, Time};

use crate::clock::Clock;
use crate::definition::Definition;
use crate::driver::load;
use crate::error::{Error, ErrorKind};
use crate::registry::Registry;
use crate::rows::{from_bytes, to_bytes};
use crate::store::{CHUNK_BYTES, Commit, Key, Row, Store, Table, Write};

/// A workflow's row: its name, and the hash of its newest plan.
#[derive(Debug, Serialize, Deserialize)]
struct NameRow {
    name: String,
    newest: String,
}

/// The clock's row: whether time is simulated in this store, and how far simulated time has come.
#[derive(Debug, Serialize, Deserialize)]
struct ClockRow {
    simulated: bool,
    at: Time,
}

/// The row that keeps a store's time.
pub(crate) fn clock_row(at: Time, simulated: bool) -> Row {
    Row { key: Key::meta("clock"), value: to_bytes(&ClockRow { simulated, at }) }
}

/// Whether the store holds simulated or real time, and how far simulated time has come; none in a new store.
///
/// # Errors
/// The store cannot be read.
pub async fn clock_of(store: &dyn Store) -> Result<Option<(bool, Time)>, Error> {
    let key = Key::meta("clock");
    let Some(row) = load::one(store, key.clone()).await? else { return Ok(None) };
    let clock: ClockRow = from_bytes(&key, &row.value)?;
    Ok(Some((clock.simulated, clock.at)))
}

/// Takes up where the store's clock stands.
pub(crate) async fn set_clock(store: &dyn Store, clock: &dyn Clock) -> Result<(), Error> {
    match clock_of(store).await? {
        Some((simulated, _)) if simulated != clock.is_simulated() => {
            let (is, wanted) = if simulated { ("simulated", "real") } else { ("real", "simulated") };
            let message = format!("this store holds {is} time, and cannot go on with {wanted} time");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Some((_, at)) => clock.resume_at(at),
        None => {
            let put = Write::Put(clock_row(clock.now(), clock.is_simulated()));
            store.commit(Commit { writes: vec![put], ..Commit::default() }).await?;
        }
    }
    Ok(())
}

/// The names of the workflows and the hashes of their newest plans, by number.
pub(crate) async fn names(store: &dyn Store) -> Result<BTreeMap<u16, (String, PlanHash)>, Error> {
    let mut names = BTreeMap::new();
    for row in load::scan(store, Key::all(Table::Name)).await? {
        let number =
            row.key.as_name().ok_or_else(|| Error::new(ErrorKind::Damaged, "a workflow's row has no number"))?;
        let NameRow { name, newest } = from_bytes(&row.key, &row.value)?;
        let newest = newest.parse().map_err(|_| Error::new(ErrorKind::Damaged, "a workflow's row names no plan"))?;
        names.insert(number, (name, newest));
    }
    Ok(names)
}

/// Stores the plans that are new, and gives every workflow its number.
pub(crate) async fn register(store: &dyn Store, definitions: Vec<Arc<Definition>>) -> Result<Registry, Error> {
    let names = names(store).await?;
    let mut numbers: BTreeMap<String, (u16, PlanHash)> =
        names.into_iter().map(|(number, (name, newest))| (name, (number, newest))).collect();
    let mut registry = Registry::default();
    for definition in definitions {
        let plan = &definition.plan;
        let (name, hash) = (plan.workflow.name.value.clone(), plan.hash);
        let free = numbers.values().map(|(number, _)| number + 1).max().unwrap_or(0);
        let known = numbers.get(&name).copied();
        let number = known.map_or(free, |(number, _)| number);
        if known.is_none_or(|(_, newest)| newest != hash) {
            store_plan(store, plan).await?;
            let row = NameRow { name: name.clone(), newest: hash.to_string() };
            let put = Write::Put(Row { key: Key::name(number), value: to_bytes(&row) });
            store.commit(Commit { writes: vec![put], ..Commit::default() }).await?;
            if load::one(store, Key::plan(&hash.0, 0)).await?.is_none() {
                // It was known from before, and went because nothing needed it, just before it was the newest again.
                store_plan(store, plan).await?;
            }
            numbers.insert(name, (number, hash));
        }
        registry.add(number, definition);
    }
    Ok(registry)
}

/// The definitions that a store holds, for tools that start nothing.
pub(crate) async fn known(store: &dyn Store) -> Result<Registry, Error> {
    let registry = Registry::default();
    let plans = load::scan(store, Key::all(Table::Plan)).await?;
    let hashes: BTreeSet<PlanHash> = plans.iter().filter_map(|row| row.key.as_plan()).map(PlanHash).collect();
    for hash in hashes {
        load::definition(store, &registry, hash).await?;
    }
    Ok(registry)
}

/// The text of a plan goes into its rows before anything refers to it.
async fn store_plan(store: &dyn Store, plan: &Plan) -> Result<(), Error> {
    let rows = (0..).zip(plan.stored.as_bytes().chunks(CHUNK_BYTES));
    let writes = rows.map(|(n, chunk)| Write::Put(Row { key: Key::plan(&plan.hash.0, n), value: chunk.to_vec() }));
    store.commit(Commit { writes: writes.collect(), ..Commit::default() }).await?;
    Ok(())
}
