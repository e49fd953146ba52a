//! Plans that nothing needs any more.
//!
//! A plan is needed while it is the newest of its workflow, while an engine has it loaded, and while a run or gathered
//! events name it. What is about to name one (a start, a migration, a retry) is in no row yet; so a plan goes only if
//! nothing needed it in the pass before either, an hour ago.

use std::collections::BTreeSet;

use wf_dsl::PlanHash;

use super::retention::{PAGE, Pass, ROWS};
use crate::driver::load;
use crate::error::Error;
use crate::ids::FrameId;
use crate::rows;
use crate::start;
use crate::store::{Commit, Key, Row, Rows, Table, Write};

/// The tables whose rows name plans: those of runs, and of events that are gathered for one.
const NAMING: [Table; 3] = [Table::Head, Table::Limit, Table::Timer];

/// A search for plans that no row names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Search {
    /// Those that no row has named so far.
    left: BTreeSet<PlanHash>,
    /// The table that is being read, by its place in [`NAMING`], and from where on.
    table: usize,
    from: Option<Key>,
}

impl Pass {
    /// The plans that might not be needed: those that are not the newest of a workflow and that no engine has loaded.
    pub(super) async fn old_plans(&self) -> Result<Search, Error> {
        let mut left = BTreeSet::new();
        let mut range = Key::all(Table::Plan);
        while let Some(row) = self.store.scan(range.clone(), false, 1).await?.pop() {
            let Some(hash) = row.key.as_plan().map(PlanHash) else { break };
            range.start = Key::plan(&hash.0, u16::MAX).next();
            left.insert(hash);
        }
        let newest = start::names(&*self.store).await?;
        let loaded = self.registry.iter().map(|(_, definition)| definition.plan.hash);
        for hash in newest.into_values().map(|(_, hash)| hash).chain(loaded) {
            left.remove(&hash);
        }
        Ok(Search { left, table: 0, from: None })
    }

    /// Reads one page; none if there is nothing left to look for or to read.
    pub(super) async fn look_for_plans(&self, mut search: Search) -> Result<(Search, bool), Error> {
        let Some(table) = NAMING.get(search.table).filter(|_| !search.left.is_empty()) else {
            return Ok((search, false));
        };
        let mut range = Key::all(*table);
        range.start = search.from.take().unwrap_or(range.start);
        let page = self.store.scan(range, false, PAGE).await?;
        for row in &page {
            self.names(row, &mut search.left).await?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => search.from = Some(last.key.next()),
            _ => search.table += 1,
        }
        Ok((search, true))
    }

    /// Takes out the plans that a row names. One whose text is there by chance is kept, too.
    async fn names(&self, row: &Row, left: &mut BTreeSet<PlanHash>) -> Result<(), Error> {
        let text = match row.key.as_head() {
            Some(run) => {
                let json = rows::split_head(row)?.json.to_vec();
                load::unspill(&*self.store, run, FrameId::ROOT, json).await?
            }
            None => row.value.clone(),
        };
        let text = String::from_utf8_lossy(&text);
        left.retain(|hash| !text.contains(&hash.to_string()));
        Ok(())
    }

    /// Deletes those of the plans that nothing needed before either, unless one of them is the newest now. Gives how
    /// many went, and those that nothing needs.
    pub(super) async fn delete_plans(&self, search: Search) -> Result<(u64, BTreeSet<PlanHash>), Error> {
        let mut gone = 0;
        let names = load::scan(&*self.store, Key::all(Table::Name)).await?;
        let names: Vec<Key> = names.into_iter().map(|row| row.key).collect();
        let doubted = |hash: &PlanHash| self.doubted.as_ref().is_none_or(|before| before.contains(hash));
        for hash in search.left.iter().filter(|hash| doubted(hash)) {
            let rows = self.store.scan(Key::plan(&hash.0, 0)..Key::plan(&hash.0, u16::MAX).next(), false, ROWS).await?;
            let keys: Vec<Key> = rows.into_iter().map(|row| row.key).collect();
            let text = hash.to_string();
            let rule = move |rows: &Rows| {
                let is_newest = rows.values().flatten().any(|row| String::from_utf8_lossy(&row.value).contains(&text));
                let writes = keys.iter().filter(|_| !is_newest).cloned().map(Write::Delete).collect();
                (Commit { writes, ..Commit::default() }, (!is_newest).into())
            };
            let (_, deleted) = self.store.decide(names.clone(), Box::new(rule)).await?;
            gone += u64::from(deleted == true);
        }
        Ok((gone, search.left))
    }
}
