//! Copying: all rows, in the order of their keys, into a fresh folder. Compaction, backup and salvage are this.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{Folder, OpenError, file_bytes, remove_folder, sync_folder};
use super::stored::Stored;
use super::tree::{Tree, disk_error, sled_error};
use super::wal::{Values, Wal};
use super::{Durability, Key, SledOptions, StoreError};

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyTo {
    /// It takes the place of what it was copied from: what deleted rows have left on the disk is gone then.
    Place,
    /// Another folder, which is made or is empty: a store of its own.
    Folder(PathBuf),
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// Rows.
    pub rows: u64,
    /// Their keys and values, in bytes.
    pub bytes: u64,
    /// What the copy takes on the disk, in bytes.
    pub disk_bytes: u64,
}

/// Rows of one page.
const PAGE: usize = 500;
/// A page takes no further row when it has this many bytes.
const PAGE_BYTES: u64 = 256 << 10;

/// A copy that is being made. Nothing depends on it before it is finished.
#[derive(Debug)]
pub(super) struct Copy {
    to: To,
    tree: Tree,
    options: SledOptions,
    /// Rows before this key are in the copy.
    cursor: Key,
    /// What became of those since the last page.
    behind: Values,
    copied: Copied,
}

#[derive(Debug)]
enum To {
    /// A sub-folder of the store's folder.
    Place(PathBuf),
    /// Another folder, held.
    Folder(Folder),
}

/// A copy that is to take the place of the store.
pub(super) struct Successor {
    pub(super) tree: Tree,
    pub(super) wal: Wal,
    pub(super) path: PathBuf,
}

impl Copy {
    /// Makes the folder.
    pub(super) fn begin(folder: &Arc<Folder>, to: CopyTo, options: &SledOptions) -> Result<Copy, OpenError> {
        match to {
            CopyTo::Place => {
                let path = folder.spare()?;
                Copy::at(To::Place(path.clone()), &path, options)
            }
            CopyTo::Folder(dir) => Copy::into_folder(&dir, options),
        }
    }

    /// The same for a folder that becomes a store of its own.
    pub(super) fn into_folder(dir: &Path, options: &SledOptions) -> Result<Copy, OpenError> {
        let folder = Folder::take_empty(dir)?;
        let path = folder.unfinished()?;
        Copy::at(To::Folder(folder), &path, options)
    }

    fn at(to: To, path: &Path, options: &SledOptions) -> Result<Copy, OpenError> {
        // What is lost with the process is not needed: it is synced once, at the end.
        let unsynced = SledOptions { durability: Durability::Process, ..options.clone() };
        let tree = Tree::create(path, &unsynced)?;
        let cursor = Key::from_bytes([0]);
        Ok(Copy { to, tree, options: options.clone(), cursor, behind: Values::new(), copied: Copied::default() })
    }

    /// Copies the next page. True when the end was reached, so that the copy has the rows that are there now.
    pub(super) fn page(&mut self, stored: &Stored) -> Result<bool, StoreError> {
        let page = stored.scan(self.cursor.clone()..Key::from_bytes([u8::MAX]), false, PAGE)?;
        let mut values = std::mem::take(&mut self.behind);
        let (count, mut bytes, mut taken) = (page.len(), 0, 0);
        for row in page {
            if bytes >= PAGE_BYTES {
                break;
            }
            bytes += (row.key.as_bytes().len() + row.value.len()) as u64;
            taken += 1;
            self.cursor = row.key.next();
            values.insert(row.key, Some(row.value));
        }
        self.tree.put(&values).map_err(disk_error)?;
        self.copied.rows += taken;
        self.copied.bytes += bytes;
        Ok(count < PAGE && taken == count as u64)
    }

    /// Takes in what a group changed.
    pub(super) fn follow(&mut self, rows: &Values) {
        let before = rows.range(..self.cursor.clone());
        self.behind.extend(before.map(|(key, value)| (key.clone(), value.clone())));
    }

    /// Puts rows in that come from elsewhere.
    pub(super) fn put(&mut self, values: &Values) -> Result<(), StoreError> {
        self.tree.put(values).map_err(disk_error)?;
        self.copied.rows += values.len() as u64;
        let bytes = values.iter().map(|(key, value)| key.as_bytes().len() + value.as_ref().map_or(0, Vec::len));
        self.copied.bytes += bytes.sum::<usize>() as u64;
        Ok(())
    }

    /// Makes the copy durable. One that goes elsewhere is a store then; one that is to take the place is given back.
    pub(super) fn finish(mut self) -> Result<(Copied, Option<Successor>), OpenError> {
        if !self.behind.is_empty() {
            let behind = std::mem::take(&mut self.behind);
            self.tree.put(&behind).map_err(|error| sled_error(self.path(), error))?;
        }
        let path = self.path().to_owned();
        let failed = OpenError::io(&path);
        self.tree.settle(self.options.durability).map_err(&failed)?;
        Wal::make(&path).map_err(&failed)?;
        sync_folder(&path).map_err(&failed)?;
        let mut copied = Copied { disk_bytes: file_bytes(&path).map_err(&failed)?, ..self.copied };
        match self.to {
            To::Place(path) => {
                let (wal, _) = Wal::open(&path, self.options.durability)?;
                Ok((copied, Some(Successor { tree: self.tree, wal, path })))
            }
            To::Folder(folder) => {
                self.tree.close().map_err(&failed)?;
                copied.disk_bytes = file_bytes(&path).map_err(&failed)?;
                folder.finish()?;
                Ok((copied, None))
            }
        }
    }

    fn path(&self) -> &Path {
        match &self.to {
            To::Place(path) => path,
            To::Folder(folder) => folder.draft(),
        }
    }

    /// Takes back what was made.
    pub(super) fn abandon(self) {
        let path = self.path().to_owned();
        drop(self.tree);
        if let Err(error) = remove_folder(&path) {
            tracing::warn!(path = %path.display(), %error, "a copy that was given up is still there");
        }
    }
}
