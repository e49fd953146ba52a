//! The store's folder: who holds it, and which of its sub-folders is the store.
//!
//! ```text
//! owner         locked by the process that uses the store; holds its number
//! CURRENT       the name of the sub-folder that counts
//! store-0001/   sled
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Why a store could not be opened. Nothing was changed that matters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses it.
    #[error("the store `{}` is in use{}", dir.display(), by.map(|by| format!(" by process {by}")).unwrap_or_default())]
    Locked {
        /// The store's folder.
        dir: PathBuf,
        /// The process, if it is known.
        by: Option<u32>,
    },
    /// The folder cannot be written.
    #[error("the store `{}` cannot be written", dir.display())]
    ReadOnly {
        /// The store's folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer wf wrote it.
    #[error("the store has format {found}, this program knows formats up to {known}")]
    Newer {
        /// The store's format.
        found: u64,
        /// The newest format that this program reads.
        known: u64,
    },
    /// It cannot be read. The folder is left as it is.
    #[error("the store `{}` is damaged: {why}", dir.display())]
    Damaged {
        /// The store's folder.
        dir: PathBuf,
        /// One lower-case phrase.
        why: String,
    },
    /// The disk is full or fails, or the path is no folder.
    #[error("the store `{}` cannot be opened", dir.display())]
    Io {
        /// The store's folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(dir: &Path) -> impl Fn(io::Error) -> OpenError {
        let dir = dir.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenError::ReadOnly { dir: dir.clone(), source }
            }
            _ => OpenError::Io { dir: dir.clone(), source },
        }
    }

    pub(super) fn damaged(dir: &Path, why: impl Into<String>) -> OpenError {
        OpenError::Damaged { dir: dir.to_owned(), why: why.into() }
    }
}

/// A store's folder, held by this process until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    /// The lock goes with the handle, so that it cannot outlive the process.
    _owner: File,
}

const CURRENT: &str = "CURRENT";

/// Whether a folder is that of a store.
pub(super) fn is_at(dir: &Path) -> bool {
    dir.join(CURRENT).is_file()
}
const FIRST: &str = "store-0001";

impl Folder {
    /// Takes the folder, and makes it if it is missing.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let failed = OpenError::io(dir);
        make_folder(dir).map_err(&failed)?;
        let path = dir.join("owner");
        let mut owner =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(&failed)?;
        match owner.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                owner.read_to_string(&mut by).ok();
                return Err(OpenError::Locked { dir: dir.to_owned(), by: by.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        sign(&mut owner).map_err(&failed)?;
        Ok(Folder { dir: dir.to_owned(), _owner: owner })
    }

    /// The sub-folder that counts. If there is none yet, `make` fills one before it gets its name.
    pub(super) fn current(&self, make: impl FnOnce(&Path) -> Result<(), OpenError>) -> Result<PathBuf, OpenError> {
        let failed = OpenError::io(&self.dir);
        let current = match fs::read_to_string(self.dir.join(CURRENT)) {
            Ok(name) => self.named(name.trim())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let first = self.dir.join(FIRST);
                if !first.exists() {
                    let unfinished = self.dir.join("unfinished");
                    // What an interrupted start left behind never had a name, so that nothing was ever kept in it.
                    remove_folder(&unfinished).map_err(&failed)?;
                    make_folder(&unfinished).map_err(&failed)?;
                    make(&unfinished)?;
                    fs::rename(&unfinished, &first).map_err(&failed)?;
                    sync_folder(&self.dir).map_err(&failed)?;
                }
                self.name(FIRST).map_err(&failed)?;
                first
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(current)
    }

    fn named(&self, name: &str) -> Result<PathBuf, OpenError> {
        let number = name.strip_prefix("store-").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let current = self.dir.join(name);
        if number.is_none_or(str::is_empty) || !current.is_dir() {
            return Err(OpenError::damaged(&self.dir, format!("CURRENT names `{name}`, which is not there")));
        }
        Ok(current)
    }

    /// Makes a sub-folder the one that counts: at every instant, one of them does.
    fn name(&self, name: &str) -> io::Result<()> {
        let draft = self.dir.join("CURRENT.new");
        let mut file = File::create(&draft)?;
        writeln!(file, "{name}")?;
        file.sync_all()?;
        fs::rename(&draft, self.dir.join(CURRENT))?;
        sync_folder(&self.dir)
    }
}

/// Writes down who holds the lock, for those who do not get it.
fn sign(owner: &mut File) -> io::Result<()> {
    owner.set_len(0)?;
    owner.rewind()?;
    writeln!(owner, "{}", std::process::id())
}

/// Makes a folder and those above it, durably.
fn make_folder(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_folder(above)?;
    }
    match fs::create_dir(dir) {
        Err(error) if !dir.is_dir() => return Err(error),
        _ => {}
    }
    sync_folder(above.unwrap_or(Path::new(".")))
}

fn remove_folder(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
