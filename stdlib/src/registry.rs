//! The list of all kinds.

use std::sync::Arc;

use wf_engine::{Catalog, StepKind};

use crate::db::{Databases, Exec, Query};
use crate::email::Email;
use crate::http::{Http, HttpOptions};
use crate::log::Log;
use crate::redis::{Del, Get, Incr, Set, Stores};
use crate::sms::Sms;

/// What a host decides for all steps.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where `http` steps may go.
    pub http: HttpOptions,
}

/// All kinds with default options. Each call makes kinds with connection pools of their own.
///
/// ```
/// let names: Vec<_> = wf_stdlib::all().iter().map(|kind| kind.describe().name).collect();
/// assert!(names.contains(&"http".to_owned()));
/// ```
pub fn all() -> Vec<Arc<dyn StepKind>> {
    all_with(Options::default())
}

/// All kinds with the host's options.
pub fn all_with(options: Options) -> Vec<Arc<dyn StepKind>> {
    let databases = Databases::default();
    let stores = Stores::default();
    vec![
        Arc::new(Email::default()),
        Arc::new(Sms::default()),
        Arc::new(Http::new(options.http)),
        Arc::new(Query(databases.clone())),
        Arc::new(Exec(databases)),
        Arc::new(Get(stores.clone())),
        Arc::new(Set(stores.clone())),
        Arc::new(Incr(stores.clone())),
        Arc::new(Del(stores)),
        Arc::new(Log),
    ]
}

/// What the language knows of these kinds.
pub fn catalog() -> Catalog {
    all().iter().map(|kind| kind.describe()).collect()
}
