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
    /// A copy is to go where something is already.
    #[error("`{}` is not empty", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
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
    /// Where a sub-folder is made that has no name yet.
    draft: PathBuf,
    /// The lock goes with the handle, so that it cannot outlive the process.
    _owner: File,
}

const CURRENT: &str = "CURRENT";

/// Whether a folder is that of a store.
pub(super) fn is_at(dir: &Path) -> bool {
    dir.join(CURRENT).is_file()
}
const FIRST: &str = "store-0001";
const DRAFT: &str = "unfinished";

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
        Ok(Folder { dir: dir.to_owned(), draft: dir.join(DRAFT), _owner: owner })
    }

    /// The sub-folder that counts. If there is none yet, `make` fills one before it gets its name.
    pub(super) fn current(&self, make: impl FnOnce(&Path) -> Result<(), OpenError>) -> Result<PathBuf, OpenError> {
        let failed = OpenError::io(&self.dir);
        let current = match fs::read_to_string(self.dir.join(CURRENT)) {
            Ok(name) => self.named(name.trim())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let first = self.dir.join(FIRST);
                if !first.exists() {
                    make(&self.unfinished()?)?;
                    fs::rename(&self.draft, &first).map_err(&failed)?;
                    sync_folder(&self.dir).map_err(&failed)?;
                }
                self.name(FIRST).map_err(&failed)?;
                first
            }
            Err(error) => return Err(failed(error)),
        };
        self.sweep(&current).map_err(&failed)?;
        Ok(current)
    }

    /// The sub-folder that counts, or that must: it is not opened, and nothing is removed.
    pub(super) fn newest(&self) -> Result<PathBuf, OpenError> {
        if let Ok(name) = fs::read_to_string(self.dir.join(CURRENT))
            && let Ok(named) = self.named(name.trim())
        {
            return Ok(named);
        }
        let entries = fs::read_dir(&self.dir).map_err(OpenError::io(&self.dir))?;
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let numbered = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(is_numbered);
        let newest = folders.filter(numbered).max();
        newest.ok_or_else(|| OpenError::damaged(&self.dir, "it holds no store"))
    }

    /// Takes a folder for a store that is made elsewhere.
    pub(super) fn take_empty(dir: &Path) -> Result<Self, OpenError> {
        let failed = OpenError::io(dir);
        let folder = Folder::take(dir)?;
        for entry in fs::read_dir(dir).map_err(&failed)? {
            let name = entry.map_err(&failed)?.file_name();
            if name != "owner" && name != DRAFT {
                return Err(OpenError::NotEmpty { dir: dir.to_owned() });
            }
        }
        Ok(folder)
    }

    /// An empty sub-folder that has no name yet. What an interrupted start or copy left behind never had one, so that
    /// nothing was ever kept in it.
    pub(super) fn unfinished(&self) -> Result<PathBuf, OpenError> {
        let failed = OpenError::io(&self.dir);
        remove_folder(&self.draft).map_err(&failed)?;
        make_folder(&self.draft).map_err(&failed)?;
        Ok(self.draft.clone())
    }

    /// Where that is.
    pub(super) fn draft(&self) -> &Path {
        &self.draft
    }

    /// Makes the unfinished sub-folder the one that counts.
    pub(super) fn finish(&self) -> Result<(), OpenError> {
        let failed = OpenError::io(&self.dir);
        fs::rename(&self.draft, self.dir.join(FIRST)).map_err(&failed)?;
        sync_folder(&self.dir).map_err(&failed)?;
        self.name(FIRST).map_err(&failed)
    }

    /// An empty sub-folder with the name that is next.
    pub(super) fn spare(&self) -> Result<PathBuf, OpenError> {
        let failed = OpenError::io(&self.dir);
        let current = fs::read_to_string(self.dir.join(CURRENT)).map_err(&failed)?;
        let number: u64 = current.trim().trim_start_matches("store-").parse().unwrap_or(1);
        let spare = self.dir.join(format!("store-{:04}", number + 1));
        remove_folder(&spare).map_err(&failed)?;
        make_folder(&spare).map_err(&failed)?;
        Ok(spare)
    }

    /// Makes a sub-folder that [`Folder::spare`] gave the one that counts.
    ///
    /// # Errors
    /// Nobody can say then which one does.
    pub(super) fn promote(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.name(name)
    }

    /// Removes what an interrupted copy has left: the copy, or what it was made of.
    fn sweep(&self, current: &Path) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path != current && path.is_dir() && (name == DRAFT || is_numbered(name)) {
                remove_folder(&path)?;
            }
        }
        Ok(())
    }

    fn named(&self, name: &str) -> Result<PathBuf, OpenError> {
        let current = self.dir.join(name);
        if !is_numbered(name) || !current.is_dir() {
            return Err(OpenError::damaged(&self.dir, format!("CURRENT names `{name}`, which is not there")));
        }
        Ok(current)
    }

    /// What all sub-folders take on the disk, as far as it can be told.
    pub(super) fn disk_bytes(&self) -> Option<u64> {
        let entries = fs::read_dir(&self.dir).ok()?;
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
        Some(folders.filter_map(|path| file_bytes(&path).ok()).sum())
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

/// Whether this is the name of a sub-folder.
fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix("store-");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// How many bytes the files of a sub-folder take.
pub(super) fn file_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?.metadata()?;
        bytes += if entry.is_file() { entry.len() } else { 0 };
    }
    Ok(bytes)
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

/// Removes a folder with all that is in it, if it is there.
pub(super) fn remove_folder(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
