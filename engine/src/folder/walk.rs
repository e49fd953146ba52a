//! The walk through a folder: once through each folder, whatever links there are, and never without end.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use wf_dsl::Outline;

use super::PROJECT_FILE;

/// How many files and folders are looked at; links may lead anywhere.
pub(super) const ENTRIES_MAX: usize = 1_000_000;
/// Folders that hold what tools have made.
const NOT_READ: [&str; 2] = ["target", "node_modules"];

/// There were more than [`ENTRIES_MAX`] files and folders.
pub(super) struct TooMany;

/// What a walk met, in the order of the paths, which begin at the folder where it started.
#[derive(Default)]
pub(super) struct Found {
    /// Everything that is no folder.
    pub(super) files: Vec<PathBuf>,
    /// Folders that could not be looked into.
    pub(super) closed: Vec<(PathBuf, io::Error)>,
}

/// All files of the project at `root` that lie in its sub-folder `start`, nested projects left out.
pub(super) fn files(root: &Path, start: &str, ignore: &[String]) -> Result<Found, TooMany> {
    let ignored = Ignored::new(ignore);
    let mut found = Found::default();
    let mut walk = Walk::new(root);
    walk.later(PathBuf::from(start));
    while let Some(folder) = walk.next() {
        let entries = match walk.entries(&folder)? {
            Ok(entries) => entries,
            Err(error) => {
                found.closed.push((folder, error));
                continue;
            }
        };
        for entry in entries.into_iter().filter(|entry| !ignored.has(&entry.path)) {
            if !entry.is_folder {
                found.files.push(entry.path);
            } else if !root.join(&entry.path).join(PROJECT_FILE).is_file() {
                walk.later(entry.path);
            }
        }
    }
    found.files.sort();
    found.closed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// All projects below a folder, in the order of their paths. What a project ignores holds none.
pub(super) fn projects(root: &Path) -> Result<Vec<PathBuf>, TooMany> {
    let mut found = Vec::new();
    let mut walk = Walk::new(root);
    let mut around: Vec<(PathBuf, Arc<Ignored>)> = Vec::new();
    walk.later(PathBuf::new());
    while let Some(folder) = walk.next() {
        if let Ok(bytes) = fs::read(root.join(&folder).join(PROJECT_FILE)) {
            around.push((folder.clone(), Arc::new(Ignored::new(&Outline::of(&bytes).ignore))));
            found.push(folder.clone());
        }
        let nearest = around
            .iter()
            .filter(|(project, _)| folder.starts_with(project))
            .max_by_key(|(path, _)| path.components().count());
        let nearest = nearest.cloned();
        // What cannot be looked into holds no project that anybody could use.
        for entry in walk.entries(&folder)?.unwrap_or_default().into_iter().filter(|entry| entry.is_folder) {
            let is_ignored = nearest.as_ref().is_some_and(|(project, ignored)| {
                entry.path.strip_prefix(project).is_ok_and(|inside| ignored.has(inside))
            });
            if !is_ignored {
                walk.later(entry.path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Folders that are still to be looked into. A folder is looked into once, at its own place rather than at a link.
struct Walk<'a> {
    root: &'a Path,
    folders: Vec<PathBuf>,
    links: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
    entries_left: usize,
}

struct Entry {
    path: PathBuf,
    is_folder: bool,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path) -> Self {
        Walk { root, folders: Vec::new(), links: Vec::new(), seen: HashSet::new(), entries_left: ENTRIES_MAX }
    }

    fn later(&mut self, folder: PathBuf) {
        let is_link = self.root.join(&folder).is_symlink();
        if is_link { self.links.push(folder) } else { self.folders.push(folder) }
    }

    fn next(&mut self) -> Option<PathBuf> {
        while let Some(folder) = self.folders.pop().or_else(|| self.links.pop()) {
            // A folder that is gone by now has no place, and is found missing when it is read.
            let place = self.root.join(&folder).canonicalize().unwrap_or_else(|_| folder.clone());
            if self.seen.insert(place) {
                return Some(folder);
            }
        }
        None
    }

    /// What is in a folder, without what is hidden or made by tools. A folder that is missing is empty.
    fn entries(&mut self, folder: &Path) -> Result<io::Result<Vec<Entry>>, TooMany> {
        let listed = match fs::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(Vec::new())),
            Err(error) => return Ok(Err(error)),
            Ok(listed) => listed,
        };
        let mut entries = Vec::new();
        for entry in listed {
            self.entries_left = self.entries_left.checked_sub(1).ok_or(TooMany)?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Ok(Err(error)),
            };
            let name = entry.file_name();
            let path = folder.join(&name);
            let is_folder = self.root.join(&path).is_dir();
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            let is_made = is_folder && NOT_READ.iter().any(|made| name == *made);
            if !is_hidden && !is_made {
                entries.push(Entry { path, is_folder });
            }
        }
        Ok(Ok(entries))
    }
}

/// The patterns of `ignore:`. One without a slash stands for that name in every folder; one that is no pattern, for the
/// path that it spells. A folder that matches takes along what is in it.
struct Ignored(GlobSet);

impl Ignored {
    fn new(patterns: &[String]) -> Self {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let path = pattern.trim_end_matches('/').trim_start_matches("./");
            let anywhere = !path.contains('/');
            let path = path.trim_start_matches('/');
            let spelled = globset::escape(path);
            let glob = [path, &spelled].into_iter().find_map(|path| {
                let path = if anywhere { format!("**/{path}") } else { path.to_owned() };
                GlobBuilder::new(&path).literal_separator(true).build().ok()
            });
            if let Some(glob) = glob.filter(|_| !path.is_empty()) {
                set.add(glob);
            }
        }
        Ignored(set.build().unwrap_or_else(|_| GlobSet::empty()))
    }

    fn has(&self, path: &Path) -> bool {
        self.0.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_ignore() {
        for (pattern, ignored, kept) in [
            ("drafts", &["drafts", "a/drafts", "drafts.yaml"][..2], &["drafts.yaml", "my-drafts"][..]),
            ("drafts/", &["drafts"], &["drafts.yaml"]),
            ("./drafts", &["drafts"], &["a"]),
            ("*.old.yaml", &["x.old.yaml", "a/x.old.yaml"], &["x.yaml"]),
            ("a/*.yaml", &["a/x.yaml"], &["x.yaml", "a/b/x.yaml", "b/a/x.yaml"]),
            ("a/**/x.yaml", &["a/x.yaml", "a/b/c/x.yaml"], &["x.yaml"]),
            ("/x.yaml", &["x.yaml"], &["a/x.yaml"]),
            ("a[b", &["a[b"], &["ab"]),
            ("", &[], &["a", "a/b"]),
            ("/", &[], &["a"]),
        ] {
            let set = Ignored::new(&[pattern.to_owned()]);
            ignored.iter().for_each(|path| assert!(set.has(Path::new(path)), "{pattern}: {path}"));
            kept.iter().for_each(|path| assert!(!set.has(Path::new(path)), "{pattern}: {path}"));
        }
    }

    #[test]
    fn a_walk_ends() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut walk = Walk { entries_left: 3, ..Walk::new(folder.path()) };
        assert_eq!(walk.entries(Path::new("")).ok().unwrap().unwrap().len(), 3);
        let mut walk = Walk { entries_left: 2, ..Walk::new(folder.path()) };
        assert!(walk.entries(Path::new("")).is_err());
    }
}
