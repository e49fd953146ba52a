//! Files as the caller read them, and places in them.

use std::sync::Arc;

/// A file's place in [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

impl FileId {
    /// The id of the file at this place in the order of all files.
    pub(crate) fn at(place: usize) -> FileId {
        FileId(u32::try_from(place).expect("fewer than 2^32 files"))
    }
}

/// A place in a file: bytes from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
}

impl Span {
    /// The span of something that no file contains, such as a stored plan's parts.
    pub const NOWHERE: Span = Span { file: FileId(u32::MAX), start: 0, end: 0 };

    /// Whether another span lies within this one.
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// A span of `len` bytes that starts `offset` bytes into this one.
    #[must_use]
    pub fn part(self, offset: usize, len: usize) -> Span {
        let start = self.start + offset;
        Span { file: self.file, start, end: start + len }
    }
}

/// A value with the place it was written at.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }
}

/// One file: its path as people should see it, and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path to show, relative to where the user stands.
    pub path: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// All files of one project.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId::at(self.files.len());
        self.files.push(Source { path: path.into(), text: text.into() });
        id
    }

    /// The file with this id; none for [`Span::NOWHERE`].
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.files.get(id.0 as usize)
    }

    /// All files with their ids, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        (0..).map(FileId).zip(&self.files)
    }
}

impl FromIterator<Source> for Sources {
    fn from_iter<I: IntoIterator<Item = Source>>(files: I) -> Self {
        Sources { files: files.into_iter().collect() }
    }
}
