//! Hints that tables changed.

use std::sync::Arc;

use futures_util::future::select_all;
use tokio::sync::Notify;

use super::Table;
use crate::kind::BoxFuture;

/// One bell per table.
#[derive(Debug)]
pub(super) struct Changes([Arc<Notify>; Table::ALL.len()]);

impl Default for Changes {
    fn default() -> Self {
        Changes(std::array::from_fn(|_| Arc::default()))
    }
}

impl Changes {
    fn bell(&self, table: Table) -> &Arc<Notify> {
        let index = Table::ALL.iter().position(|known| *known == table);
        &self.0[index.expect("all tables are in the list")]
    }

    /// Wakes who listens to one of these tables.
    pub(super) fn ring(&self, tables: impl IntoIterator<Item = Table>) {
        tables.into_iter().for_each(|table| self.bell(table).notify_waiters());
    }

    /// Resolves at the first change after this call, whether it was polled by then or not.
    pub(super) fn listen(&self, tables: &[Table]) -> BoxFuture<'static, ()> {
        let bells: Vec<_> = tables.iter().map(|table| Box::pin(self.bell(*table).clone().notified_owned())).collect();
        if bells.is_empty() {
            return Box::pin(std::future::pending());
        }
        Box::pin(async {
            select_all(bells).await;
        })
    }
}
