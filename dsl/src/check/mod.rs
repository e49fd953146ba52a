//! What must hold beyond the shape of the files.

use crate::diagnostic::Findings;
use crate::project::Project;

/// Checks all workflows of a project that has been read.
pub(crate) fn run(_project: &Project, _found: &mut Findings) {}
