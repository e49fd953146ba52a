//! What can go wrong for a host program.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wf_dsl::{Project, Severity};

use crate::rows::Unreadable;
use crate::store::{CommitError, StoreError};

/// Why the engine could not do what it was asked.
#[derive(Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    project: Option<Arc<Project>>,
    retry_after: Option<Duration>,
}

/// Without the project, which would fill the screen.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { kind, message, source, .. } = self;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("message", message)
            .field("source", source)
            .finish_non_exhaustive()
    }
}

/// What sort of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such workflow, run or kind.
    NotFound,
    /// The data of an event or of an input does not fit its type, or is too large.
    Invalid,
    /// A workflow uses something that this engine or this host does not have.
    Unsupported,
    /// The store does not take commits; what was asked did not happen.
    Unavailable,
    /// The store failed; what was asked may have happened or not.
    Unknown,
    /// What the store holds cannot be read.
    Damaged,
    /// What was asked for contradicts what is there.
    Conflict,
    /// The engine has been shut down.
    Stopped,
    /// Too much waits already; nothing was taken in. [`Error::retry_after`] says when to try again.
    Busy,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None, project: None, retry_after: None }
    }

    fn caused(kind: ErrorKind, message: String, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Error { source: Some(Arc::new(source)), ..Error::new(kind, message) }
    }

    /// Files that were read and have errors.
    pub(crate) fn invalid_files(project: Project) -> Self {
        let first = project.findings.iter().find(|finding| finding.severity == Severity::Error);
        let message = first.map_or_else(String::new, |first| {
            let path = project.sources.get(first.primary.span.file).map_or("", |file| file.path.as_str());
            let more = match project.findings.errors() {
                1 => String::new(),
                errors => format!(" (the first of {errors} errors)"),
            };
            format!("{path}: {}: {}{more}", first.code, first.message)
        });
        Error { project: Some(Arc::new(project)), ..Error::new(ErrorKind::Invalid, message) }
    }

    /// The project whose files have errors: its `findings` in its `sources`, to be shown in full.
    pub fn project(&self) -> Option<&Project> {
        self.project.as_deref()
    }

    pub(crate) fn busy(message: String, retry_after: Duration) -> Self {
        Error { retry_after: Some(retry_after), ..Error::new(ErrorKind::Busy, message) }
    }

    /// After which time to try again, for [`ErrorKind::Busy`].
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn stopped() -> Self {
        Error::new(ErrorKind::Stopped, "the engine has been shut down")
    }

    /// What sort of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Error::caused(ErrorKind::Unavailable, format!("the store cannot be read: {error}"), error)
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        let kind = match error {
            CommitError::Unknown(_) => ErrorKind::Unknown,
            CommitError::TooLarge => ErrorKind::Invalid,
            CommitError::NotCommitted(_) => ErrorKind::Unavailable,
            _ => ErrorKind::Conflict,
        };
        Error::caused(kind, error.to_string(), error)
    }
}

impl From<Unreadable> for Error {
    fn from(error: Unreadable) -> Self {
        Error::caused(ErrorKind::Damaged, error.to_string(), error)
    }
}
