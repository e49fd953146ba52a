//! Salvage: whatever can still be read of a damaged store goes into a fresh one.

use std::fs;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::copy::{Copied, Copy};
use super::folder::{Folder, OpenError, remove_folder};
use super::tree::Tree;
use super::wal::{Values, Wal};
use super::{Key, Row, SledOptions, StoreError, Table};
use crate::store::SledStore;

/// What was read, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// The rows that are in the fresh store.
    pub copied: Copied,
    /// The tables of which something cannot be read.
    pub damaged: Vec<Table>,
    /// Why nothing of the damaged store was read, so that the backup stands in for all of it.
    pub from_backup: Option<String>,
}

/// Rows that go into the copy together.
const PAGE: usize = 500;

/// Puts what can be read of the store in `dir` into a fresh one in `to`, with what is in its log only. Where nothing can
/// be read it takes the rows of `backup`. The damaged store is not touched: it is read in a copy of its files.
///
/// # Errors
/// [`OpenError::Damaged`] if nothing can be read, and there is no backup; and as [`SledStore::open`].
pub fn salvage(dir: &Path, backup: Option<&Path>, to: &Path, options: &SledOptions) -> Result<Salvaged, OpenError> {
    let folder = Folder::take(dir)?;
    let mut copy = Copy::into_folder(to, options)?;
    let read = folder.newest().and_then(|newest| {
        let scratch = Scratch::of(&newest, to.join("salvaging"))?;
        read(&scratch.0, &mut copy, options)
    });
    let read = read.map_err(|error| match error {
        // It was read in a copy, which nobody knows.
        OpenError::Damaged { why, .. } => OpenError::damaged(dir, why),
        error => error,
    });
    let (damaged, from_backup) = match (read, backup) {
        (Ok(damaged), _) => (damaged, None),
        (Err(error @ OpenError::Newer { .. }), _) | (Err(error), None) => {
            copy.abandon();
            return Err(error);
        }
        (Err(error), Some(backup)) => {
            if !SledStore::is_at(backup) {
                copy.abandon();
                return Err(OpenError::damaged(backup, "it holds no store"));
            }
            // What was read of it so far, if anything, does not fit the backup.
            copy.abandon();
            copy = Copy::into_folder(to, options)?;
            let backup = SledStore::open(backup, options.clone())?;
            let all = Key::from_bytes([0])..Key::from_bytes([u8::MAX]);
            pour(backup.rows(all), &mut copy).map_err(|error| OpenError::damaged(to, error.to_string()))?;
            (Vec::new(), Some(error.to_string()))
        }
    };
    let (copied, _) = copy.finish()?;
    Ok(Salvaged { copied, damaged, from_backup })
}

/// A copy of a sub-folder's files, for as long as it is needed.
struct Scratch(PathBuf);

impl Scratch {
    fn of(from: &Path, to: PathBuf) -> Result<Scratch, OpenError> {
        let failed = OpenError::io(from);
        remove_folder(&to).map_err(&failed)?;
        copy_files(from, &to).map_err(&failed)?;
        Ok(Scratch(to))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove_folder(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "what salvage read from is still there");
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let path = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &path)?;
        } else {
            fs::copy(entry.path(), path)?;
        }
    }
    Ok(())
}

/// Reads the tree table by table, from both ends, and then the log.
fn read(dir: &Path, copy: &mut Copy, options: &SledOptions) -> Result<Vec<Table>, OpenError> {
    let tree = Tree::open(dir, options)?;
    let failed = |error: StoreError| OpenError::damaged(dir, error.to_string());
    let mut damaged = Vec::new();
    for table in Table::ALL {
        if !read_table(&tree, Key::all(table), copy).map_err(failed)? {
            damaged.push(table);
        }
    }
    match Wal::open(dir, options.durability) {
        Ok((_, missing)) => copy.put(&missing).map_err(failed)?,
        Err(error) => tracing::warn!(%error, "the log cannot be read"),
    }
    Ok(damaged)
}

/// False if some rows of the range cannot be read.
fn read_table(tree: &Tree, range: Range<Key>, copy: &mut Copy) -> Result<bool, StoreError> {
    let mut last = None;
    let forward =
        readable(tree.range(range.clone()).inspect(|row| last = row.as_ref().ok().map(|row| row.key.clone())));
    let complete = pour(forward.rows, copy).map(|()| forward.complete)?;
    if !complete {
        let rest = last.map_or(range.start, |last| last.next())..range.end;
        pour(readable(tree.range(rest).rev()).rows, copy)?;
    }
    Ok(complete)
}

/// What an iterator gives before it fails or panics.
struct Readable {
    rows: Vec<Row>,
    complete: bool,
}

fn readable(mut rows: impl Iterator<Item = Result<Row, StoreError>>) -> Readable {
    let mut read = Vec::new();
    loop {
        match catch_unwind(AssertUnwindSafe(|| rows.next())) {
            Ok(Some(Ok(row))) => read.push(row),
            Ok(None) => return Readable { rows: read, complete: true },
            Ok(Some(Err(_))) | Err(_) => return Readable { rows: read, complete: false },
        }
    }
}

fn pour(rows: impl IntoIterator<Item = Row>, copy: &mut Copy) -> Result<(), StoreError> {
    let mut page = Values::new();
    for row in rows {
        page.insert(row.key, Some(row.value));
        if page.len() >= PAGE {
            copy.put(&std::mem::take(&mut page))?;
        }
    }
    copy.put(&page)
}
