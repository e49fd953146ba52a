//! Stores that cannot be opened say why.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use wf_engine::store::{Commit, Key, OpenError, Row, Store, Write};
use wf_engine::{SledOptions, SledStore};

use crate::watch::{Watched, store_in};
use crate::writer::{Plan, say};

/// Opens a store and keeps it until stdin ends.
pub(crate) fn hold(dir: &str) {
    let store = SledStore::open(dir, SledOptions::default()).expect("a store");
    say("held".into());
    std::io::stdin().read_to_end(&mut Vec::new()).expect("stdin");
    drop(store);
}

pub(crate) fn a_held_store_is_refused() -> String {
    let dir = TempDir::new().unwrap();
    let store = store_in(&dir);
    let mut holder = Command::new(std::env::current_exe().unwrap());
    holder.arg("hold").arg(&store).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut said = [0; 5];
    holder.stdout.take().unwrap().read_exact(&mut said).unwrap();
    let refused = open(&store).expect_err("it is held");
    assert!(matches!(refused, OpenError::Locked { by: Some(by), .. } if by == holder.id()), "{refused:?}");
    assert_eq!(refused.to_string(), format!("the store `{}` is in use by process {}", store.display(), holder.id()));
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    open(&store).expect("it was let go");
    "1 holder named".into()
}

pub(crate) fn a_newer_store_is_refused() -> String {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(store.get(&[Key::meta("format")])).unwrap();
    let Row { key, mut value } = rows.into_iter().next().flatten().expect("the format is noted down");
    *value.last_mut().unwrap() += 1;
    let commit = Commit { writes: vec![Write::Put(Row { key, value })], ..Commit::default() };
    runtime.block_on(store.commit(commit)).unwrap();
    drop(store);
    let refused = open(dir.path()).expect_err("it is newer");
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1 }), "{refused:?}");
    assert_eq!(refused.to_string(), "the store has format 2, this program knows formats up to 1");
    "format 2 named".into()
}

/// A new store, and one that is there.
pub(crate) fn a_read_only_folder_is_refused() -> String {
    let plan = Plan { senders: 1, commits: 1, ..Plan::default() };
    for error in ["EROFS", "EACCES"] {
        let fresh = Watched::run("write", &plan.arguments(), &["-e", &format!("inject=mkdir:error={error}")]);
        let there = TempDir::new().unwrap();
        drop(open(&store_in(&there)).unwrap());
        let inject = format!("inject=openat:error={error}");
        let there = Watched::run_in(there, "write", &plan.arguments(), &["-P", "STORE/owner", "-e", &inject]);
        for Watched { said, errors, .. } in [fresh, there] {
            assert!(said.starts_with("not opened: the store `") && said.contains("` cannot be written: "), "{said}");
            assert_eq!(errors, "");
        }
    }
    "4 times refused".into()
}

fn open(dir: &Path) -> Result<SledStore, OpenError> {
    SledStore::open(dir, SledOptions::default())
}
