//! sled: one tree, opened with care, read in order, written in pieces.

use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::folder::{OpenError, sync_folder};
use super::layout::{number, read_number};
use super::wal::Values;
use super::{Durability, Key, Row, SledOptions, StoreError};

/// The format of the rows. A store with a newer one is refused.
const FORMAT: u64 = 1;

/// The name of the meta row that holds the format.
const FORMAT_NAME: &str = "format";

/// sled puts a page that outgrows a quarter of a segment into a file of its own, which no sync covers. A leaf is split
/// when it has more than 16 rows and takes in at most 3 of a neighbour: with segments of this size, 20 of the
/// [largest](super::ROW_BYTES_MAX) fit. Larger segments cost disk.
const SEGMENT_BYTES: usize = 4 << 20;
const _: () = assert!(20 * (super::ROW_BYTES_MAX + 64) < SEGMENT_BYTES / 4 - 64);

/// How much is put in between two syncs, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// The one tree of an open database.
#[derive(Debug)]
pub(super) struct Tree {
    /// There until it is closed.
    db: Option<sled::Db>,
    /// sled's `flush` hands the bytes to the disk, and the disk may keep them in its cache; only a sync of the file is
    /// safe against a power cut, and sled offers none. It works on the file, not on the handle, so that this one serves.
    file: File,
    /// A sync failed. The system says so once, so that one that succeeds later proves nothing.
    unsound: AtomicBool,
    durability: Durability,
}

impl Tree {
    /// Opens the database in a folder that [`Tree::make`] filled.
    pub(super) fn open(dir: &Path, options: &SledOptions) -> Result<Self, OpenError> {
        let tree = Tree::start(dir, options)?;
        let unreadable = |error: StoreError| OpenError::damaged(dir, error.to_string());
        let format = tree.get(&Key::meta(FORMAT_NAME)).map_err(unreadable)?;
        match format.as_deref().and_then(read_number) {
            Some(found) if found > FORMAT => Err(OpenError::Newer { found, known: FORMAT }),
            Some(_) => Ok(tree),
            None => Err(OpenError::damaged(dir, "its format is not in it")),
        }
    }

    /// Fills a folder with a database that has no rows but its format.
    pub(super) fn make(dir: &Path, options: &SledOptions) -> Result<(), OpenError> {
        Tree::create(dir, options)?.close().map_err(OpenError::io(dir))
    }

    /// The same, and leaves it open.
    pub(super) fn create(dir: &Path, options: &SledOptions) -> Result<Self, OpenError> {
        let tree = Tree::start(dir, options)?;
        let format = Values::from([(Key::meta(FORMAT_NAME), Some(number(FORMAT)))]);
        tree.put(&format).map_err(|error| sled_error(dir, error))?;
        Ok(tree)
    }

    /// Makes all of it durable, and from now on what is put in as well, as far as `durability` asks.
    pub(super) fn settle(&mut self, durability: Durability) -> io::Result<()> {
        self.db().flush().map_err(io::Error::other)?;
        self.durability = durability;
        self.sync_with(File::sync_all)
    }

    fn start(dir: &Path, options: &SledOptions) -> Result<Self, OpenError> {
        let failed = OpenError::io(dir);
        wait_until_closed(dir)?;
        remove_drafts(dir).map_err(&failed)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(options.cache_bytes)
            .flush_every_ms(None) // it writes when it is told to, so that a sync follows
            .segment_size(SEGMENT_BYTES);
        let db = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|_| OpenError::damaged(dir, "sled cannot read it"))?
            .map_err(|error| sled_error(dir, error))?;
        let file = File::open(dir.join("db")).map_err(&failed)?;
        let tree = Tree { db: Some(db), file, unsound: AtomicBool::new(false), durability: options.durability };
        // sled syncs neither the names of its files nor the small one with its settings.
        File::open(dir.join("conf")).and_then(|conf| conf.sync_all()).map_err(&failed)?;
        tree.sync_with(File::sync_all).map_err(&failed)?;
        sync_folder(dir).map_err(&failed)?;
        Ok(tree)
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("it is there until the tree is dropped")
    }

    /// Puts new values in, as durably as the options ask. After a crash in the middle, any of them may be missing.
    ///
    /// It goes piece by piece: sled survives a power cut that takes what it wrote last, but not one that takes a piece
    /// and leaves one that was written later. It goes row by row, since nobody reads while sled applies a batch.
    pub(super) fn put(&self, values: &Values) -> sled::Result<()> {
        let mut bytes = 0;
        for (key, value) in values {
            match value {
                Some(value) => self.db().insert(key.as_bytes(), value.as_slice())?,
                None => self.db().remove(key.as_bytes())?,
            };
            bytes += key.as_bytes().len() + value.as_ref().map_or(0, Vec::len);
            if bytes >= PIECE_BYTES {
                self.sync()?;
                bytes = 0;
            }
        }
        self.sync()
    }

    /// Makes everything that was applied as durable as the options ask.
    ///
    /// sled writes out in its own time; flushing covers a killed process, and the sync a power cut.
    fn sync(&self) -> sled::Result<()> {
        self.db().flush()?;
        if self.durability == Durability::Power {
            self.sync_with(File::sync_data)?;
        }
        Ok(())
    }

    fn sync_with(&self, sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
        if self.unsound.load(Ordering::Relaxed) {
            return Err(io::Error::other("an earlier sync failed"));
        }
        sync(&self.file).inspect_err(|_| self.unsound.store(true, Ordering::Relaxed))
    }

    /// Closes the database, with everything in it on the disk.
    ///
    /// sled syncs its file when it is closed, and panics if that fails. So a database whose file is known to fail stays
    /// open until the process ends.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let Some(db) = self.db.take() else { return Ok(()) };
        if let Err(error) = self.sync_with(File::sync_all) {
            std::mem::forget(db);
            return Err(error);
        }
        catch_unwind(AssertUnwindSafe(|| drop(db))).map_err(|_| io::Error::other("sled could not sync its file"))
    }

    /// The value at a key.
    pub(super) fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db().get(key.as_bytes()).map_err(unreadable)?.map(|value| value.to_vec()))
    }

    /// The rows of a range, in either direction.
    pub(super) fn range(&self, range: Range<Key>) -> impl DoubleEndedIterator<Item = Result<Row, StoreError>> {
        // sled takes a range that ends before it starts for an error of the program.
        let end = range.end.max(range.start.clone());
        let rows = self.db().range(range.start.as_bytes()..end.as_bytes());
        rows.map(|row| row.map(to_row).map_err(unreadable))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the disk failed when the store was closed");
        }
    }
}

fn to_row((key, value): (sled::IVec, sled::IVec)) -> Row {
    Row { key: Key::from_bytes(key.to_vec()), value: value.to_vec() }
}

fn unreadable(error: sled::Error) -> StoreError {
    StoreError { why: "the store cannot be read".into(), source: Some(shared(error)) }
}

fn shared(error: impl Error + Send + Sync + 'static) -> Arc<dyn Error + Send + Sync> {
    Arc::new(error)
}

pub(super) fn sled_error(dir: &Path, error: sled::Error) -> OpenError {
    match error {
        sled::Error::Io(error) => OpenError::io(dir)(error),
        error => OpenError::damaged(dir, error.to_string()),
    }
}

/// Waits until the last threads of a database that was just dropped in this process have let go of its file.
fn wait_until_closed(dir: &Path) -> Result<(), OpenError> {
    let failed = OpenError::io(dir);
    let file = match File::open(dir.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(&failed)?,
    };
    for _ in 0..CLOSING_MS_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    Err(OpenError::Locked { dir: dir.to_owned(), by: None })
}

/// How long a database may take to close its file after it was dropped, in milliseconds.
const CLOSING_MS_MAX: u32 = 10_000;

/// A failed write, as people should read it.
pub(super) fn disk_error(error: sled::Error) -> StoreError {
    let full = matches!(&error, sled::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull);
    let why = if full { "the disk is full" } else { "the disk failed" };
    StoreError { why: why.into(), source: Some(shared(error)) }
}

/// Removes the draft of a snapshot that a crash left: sled would take it for the newest snapshot, and a damaged one.
fn remove_drafts(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
