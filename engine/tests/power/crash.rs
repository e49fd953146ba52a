//! What a power cut leaves of files, given what a process did to them.
//!
//! Certain is what a sync has covered that ended before the cut: of a file its bytes and length, of a folder the names
//! in it. Of the rest, names survive in the order in which they were given, up to some point. Bytes survive not at all, or
//! all, or up to some point in the middle of a write, or sector by sector, each as it was at some moment since the last
//! sync.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::trace::{Call, Op};

const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// Chance that repeats itself: xorshift.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Everything that happened to the files, ordered by file.
pub(crate) struct History<'a> {
    root: PathBuf,
    files: Vec<Vec<Change<'a>>>,
    names: Vec<Naming>,
    /// When each file, and each folder, was synced.
    file_syncs: Vec<Vec<Span>>,
    /// When syncs of files failed. What they were to cover may never reach the disk: no later sync covers it.
    failed_syncs: Vec<Vec<Span>>,
    folder_syncs: HashMap<PathBuf, Vec<Span>>,
}

#[derive(Clone, Copy)]
struct Span {
    started: usize,
    ended: usize,
}

impl Span {
    /// Whether one of these syncs covers it by the time of the cut, and none that failed did so before.
    fn certain(self, syncs: &[Span], failed: &[Span], cut: usize) -> bool {
        let given_up = failed.iter().map(|sync| sync.started).find(|started| *started > self.ended);
        let end = cut.min(given_up.unwrap_or(cut));
        syncs.iter().any(|sync| sync.started > self.ended && sync.ended < end)
    }
}

struct Change<'a> {
    span: Span,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Write(u64, &'a [u8]),
    Truncate(u64),
}

struct Naming {
    span: Span,
    folder: PathBuf,
    kind: Name,
}

enum Name {
    File(PathBuf, usize),
    Folder(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl<'a> History<'a> {
    pub(crate) fn of(calls: &'a [Call]) -> Self {
        let root = calls.iter().find_map(|call| match &call.op {
            Op::MakeFolder { path } => Some(path.clone()),
            _ => None,
        });
        let mut history = History {
            root: root.expect("the store's folder is made first"),
            files: Vec::new(),
            names: Vec::new(),
            file_syncs: Vec::new(),
            failed_syncs: Vec::new(),
            folder_syncs: HashMap::new(),
        };
        let mut present: BTreeMap<PathBuf, Option<usize>> = BTreeMap::new();
        for Call { started, ended, op } in calls {
            history.take(Span { started: *started, ended: *ended }, op, &mut present);
        }
        history
    }

    /// `present`: the names there are, with the number of their file, none for folders.
    fn take(&mut self, span: Span, op: &'a Op, present: &mut BTreeMap<PathBuf, Option<usize>>) {
        let mut name = |kind, path: &Path| {
            let folder = path.parent().unwrap().to_owned();
            self.names.push(Naming { span, folder, kind });
        };
        match op {
            Op::Open { path, empty } => {
                let file = match present.get(path) {
                    Some(file) => *file,
                    None => {
                        let file = self.files.len();
                        self.files.push(Vec::new());
                        self.file_syncs.push(Vec::new());
                        self.failed_syncs.push(Vec::new());
                        present.insert(path.clone(), Some(file));
                        name(Name::File(path.clone(), file), path);
                        Some(file)
                    }
                };
                if let (Some(file), true) = (file, *empty) {
                    self.files[file].push(Change { span, kind: Kind::Truncate(0) });
                }
            }
            Op::MakeFolder { path } => {
                present.insert(path.clone(), None);
                name(Name::Folder(path.clone()), path);
            }
            Op::Rename { from, to } => {
                let moved: Vec<_> = present.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    let file = present.remove(&path).unwrap();
                    present.insert(moved_to(&path, from, to), file);
                }
                name(Name::Rename(from.clone(), to.clone()), from);
            }
            Op::Remove { path } => {
                present.remove(path);
                name(Name::Remove(path.clone()), path);
            }
            Op::Sync { path } => match present.get(path) {
                Some(Some(file)) => self.file_syncs[*file].push(span),
                _ => self.folder_syncs.entry(path.clone()).or_default().push(span),
            },
            Op::Write { path, at, bytes } => {
                if let Some(Some(file)) = present.get(path) {
                    self.files[*file].push(Change { span, kind: Kind::Write(*at, bytes) });
                }
            }
            Op::Truncate { path, len } => {
                if let Some(Some(file)) = present.get(path) {
                    self.files[*file].push(Change { span, kind: Kind::Truncate(*len) });
                }
            }
            Op::Fail { path: Some(path) } => {
                if let Some(Some(file)) = present.get(path) {
                    self.failed_syncs[*file].push(span);
                }
            }
            Op::Tell(_) | Op::Fail { path: None } => {}
        }
    }

    /// Writes into `to` what a power cut just before line `cut` of the trace may leave. Gives the number of writes
    /// that were lost or torn.
    pub(crate) fn after_power_cut(&self, cut: usize, chance: &mut Chance, to: &Path) -> usize {
        let mut lost = 0;
        for (path, file) in self.names_left(cut, chance) {
            let path = to.join(path.strip_prefix(&self.root).unwrap());
            match file {
                None => fs::create_dir_all(path).unwrap(),
                Some(file) => fs::write(path, self.bytes_left(file, cut, chance, &mut lost)).unwrap(),
            }
        }
        lost
    }

    fn names_left(&self, cut: usize, chance: &mut Chance) -> BTreeMap<PathBuf, Option<usize>> {
        let begun = self.names.iter().take_while(|naming| naming.span.started < cut).count();
        let certain = |naming: &Naming| {
            let syncs = self.folder_syncs.get(&naming.folder);
            syncs.is_some_and(|syncs| naming.span.certain(syncs, &[], cut))
        };
        let certain = self.names[..begun].iter().rposition(certain).map_or(0, |last| last + 1);
        let kept = certain + chance.below(begun - certain + 1);
        let mut names = BTreeMap::new();
        for naming in &self.names[..kept] {
            match &naming.kind {
                Name::File(path, file) => {
                    names.insert(path.clone(), Some(*file));
                }
                Name::Folder(path) => {
                    names.insert(path.clone(), None);
                }
                Name::Rename(from, to) => {
                    let moved: Vec<_> =
                        names.keys().filter(|path: &&PathBuf| path.starts_with(from)).cloned().collect();
                    for path in moved {
                        let file = names.remove(&path).unwrap();
                        names.insert(moved_to(&path, from, to), file);
                    }
                }
                Name::Remove(path) => {
                    names.remove(path);
                }
            }
        }
        names
    }

    fn bytes_left(&self, file: usize, cut: usize, chance: &mut Chance, lost: &mut usize) -> Vec<u8> {
        let changes: Vec<&Change> = self.files[file].iter().filter(|change| change.span.started < cut).collect();
        let certain = |change: &&Change| change.span.certain(&self.file_syncs[file], &self.failed_syncs[file], cut);
        let open = changes.iter().filter(|change| !certain(change)).count();
        let longest = changes.iter().map(|change| change.end()).max().unwrap_or(0);
        // What lies beyond `len` is zero.
        let (mut bytes, mut len) = (vec![0; longest], 0);
        let mut mood = Mood::any(open, chance);
        let mut nth = 0; // among the uncertain changes
        for change in &changes {
            let certain = certain(change);
            let mut kept = |at, size| if certain { first(size) } else { mood.keeps(nth, at, size, chance) };
            match change.kind {
                Kind::Truncate(_) if kept(LENGTH_AT, 1).is_empty() => *lost += 1,
                Kind::Truncate(to) => {
                    bytes[(to as usize).min(len)..len].fill(0);
                    len = to as usize;
                }
                Kind::Write(at, written) => {
                    let kept = kept(at as usize, written.len());
                    *lost += usize::from(kept.iter().map(|kept| kept.len()).sum::<usize>() < written.len());
                    for kept in kept.into_iter().filter(|kept| !kept.is_empty()) {
                        let (start, end) = (at as usize + kept.start, at as usize + kept.end);
                        bytes[start..end].copy_from_slice(&written[kept]);
                        len = len.max(end);
                    }
                }
            }
            nth += usize::from(!certain);
        }
        // The new length may have reached the disk before the bytes.
        bytes.truncate(if chance.below(2) == 0 { longest } else { len });
        bytes
    }
}

impl Change<'_> {
    /// Where the file ends after it, if it did not end later before.
    fn end(&self) -> usize {
        match self.kind {
            Kind::Write(at, bytes) => at as usize + bytes.len(),
            Kind::Truncate(len) => len as usize,
        }
    }
}

/// Stands for the place of a file's length.
const LENGTH_AT: usize = usize::MAX / PAGE * PAGE - PAGE;

/// What a disk kept of the changes of a file that it was not told to keep.
enum Mood {
    Nothing,
    Everything,
    /// These first ones, and of the next one the first bytes.
    Start(usize),
    /// Of each sector the first ones, as many as it says here.
    Sectors(usize, HashMap<usize, usize>),
}

impl Mood {
    fn any(open: usize, chance: &mut Chance) -> Self {
        match chance.below(5) {
            0 => Mood::Nothing,
            1 => Mood::Everything,
            2 => Mood::Start(chance.below(open)),
            _ => Mood::Sectors(open, HashMap::new()),
        }
    }

    /// The pieces that it kept of the `nth` change, which concerns the `size` bytes from `at` on.
    fn keeps(&mut self, nth: usize, at: usize, size: usize, chance: &mut Chance) -> Vec<Range<usize>> {
        match self {
            Mood::Nothing => vec![],
            Mood::Everything => first(size),
            Mood::Start(changes) => match nth.cmp(changes) {
                Ordering::Less => first(size),
                Ordering::Equal => first(chance.below(size)),
                Ordering::Greater => vec![],
            },
            Mood::Sectors(open, seen) => {
                let sectors = at / SECTOR..(at + size).div_ceil(SECTOR);
                let kept = sectors.filter(|sector| nth < changes_of(*sector, *open, seen, chance));
                kept.map(|sector| {
                    let start = (sector * SECTOR).max(at);
                    start - at..(sector * SECTOR + SECTOR).min(at + size) - at
                })
                .collect()
            }
        }
    }
}

fn first(bytes: usize) -> Vec<Range<usize>> {
    std::iter::once(0..bytes).collect()
}

/// How many changes a sector has seen. Pages are mostly written out whole; now and then one is torn.
fn changes_of(sector: usize, open: usize, seen: &mut HashMap<usize, usize>, chance: &mut Chance) -> usize {
    if let Some(changes) = seen.get(&sector) {
        return *changes;
    }
    let first = sector / (PAGE / SECTOR) * (PAGE / SECTOR);
    let whole = chance.below(open + 1);
    let torn = chance.below(4) == 0;
    for sector in first..first + PAGE / SECTOR {
        seen.insert(sector, if torn { chance.below(open + 1) } else { whole });
    }
    seen[&sector]
}

fn moved_to(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_owned(),
    }
}
