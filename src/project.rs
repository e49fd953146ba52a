//! Projects for the commands: found, read, checked.

use std::path::PathBuf;

use wf_dsl::{Diagnostic, Project, Severity};
use wf_engine::folder::{self, Folder, FolderError};
use wf_engine::{Clock, SystemClock};

use crate::exit::{Exit, Failure};
use crate::findings::Found;

/// A project with what was found in it.
pub(crate) struct Checked {
    pub(crate) folder: Folder,
    pub(crate) project: Project,
    /// In the order of their places.
    found: Vec<Diagnostic>,
}

impl Checked {
    /// Reads and checks what the paths stand for.
    pub(crate) fn all(paths: &[PathBuf]) -> Result<Vec<Checked>, Failure> {
        let folders = folder::read(paths).map_err(not_read)?;
        let catalog = wf_stdlib::catalog();
        // A deadline that is written out may have passed since.
        let now = Some(SystemClock::default().now());
        let check = |mut folder: Folder| {
            folder.input.now = now;
            let mut project = folder.check(&catalog);
            let found = std::mem::take(&mut project.findings).sorted();
            Checked { folder, project, found }
        };
        Ok(folders.into_iter().map(check).collect())
    }

    /// The plans of all workflows.
    pub(crate) fn plans(&self) -> Result<Vec<wf_dsl::Plan>, Failure> {
        let plans = self.project.workflows.iter().map(|workflow| self.project.plan(&workflow.name.value));
        plans.map(|plan| plan.map_err(|error| Failure::new(Exit::Invalid, error.to_string()))).collect()
    }

    /// The findings that concern what was asked for: with files named one by one, those in these files and the errors of
    /// `wf.yaml`, which says what the files mean. Beside them, how many others there are.
    pub(crate) fn concerning(&self) -> (Found, usize) {
        let concerns = |found: &&Diagnostic| {
            let path = self.project.sources.path(found.primary.span.file);
            self.folder.named.is_empty()
                || self.folder.named.iter().any(|named| path == named)
                || (found.severity == Severity::Error && path.ends_with(folder::PROJECT_FILE))
        };
        let (here, elsewhere): (Vec<_>, Vec<_>) = self.found.iter().cloned().partition(|found| concerns(&found));
        (Found::new(self.project.sources.clone(), here), elsewhere.len())
    }

    /// All findings.
    pub(crate) fn findings(&self) -> Found {
        Found::new(self.project.sources.clone(), self.found.clone())
    }

    /// How many YAML files of ours were asked for.
    pub(crate) fn files(&self) -> usize {
        if !self.folder.named.is_empty() {
            return self.folder.named.len();
        }
        (self.folder.input.files.len() + self.folder.unreadable.len()).saturating_sub(self.project.counts.left_alone)
    }
}

/// There is nothing to check in what was asked for.
pub(crate) fn nothing_in(what: &str) -> Failure {
    let failure = Failure::new(Exit::NotFound, format!("there are no workflows in {what}"));
    failure.help("`wf init DIR` writes a small project that runs")
}

fn not_read(error: FolderError) -> Failure {
    let message = error.to_string();
    match error {
        FolderError::Empty { path } => nothing_in(&format!("`{}`", path.display())),
        FolderError::Path { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::new(Exit::NotFound, message)
        }
        FolderError::TooMany { .. } | FolderError::TooManyEntries { .. } => {
            Failure::usage(message).help("list what does not belong to the project under `ignore` in `wf.yaml`")
        }
        _ => Failure::usage(message),
    }
}
