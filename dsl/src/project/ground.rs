//! What every workflow of a project stands on: `wf.yaml` and the step kinds.

use std::sync::Arc;

use super::file::ReadFile;
use super::{InputCatalog, Settings};
use crate::catalog::Catalog;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::Node;
use crate::read;
use crate::schema::{self, Schema, Subject};
use crate::source::{Span, Spanned};

/// The settings and the kinds, read. Workflows are read with them, and so anew when they are others.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    files: Vec<Arc<ReadFile>>,
    host: Catalog,
    catalogs: Vec<InputCatalog>,
    pub(crate) settings: Settings,
    /// The kinds of the host and of the catalogs that `kinds:` names.
    pub(crate) catalog: Catalog,
    /// What is wrong with them.
    pub(crate) found: Findings,
}

impl Ground {
    /// Reads the project file, of which there should be one at most.
    pub(super) fn of(files: Vec<Arc<ReadFile>>, host: Catalog, catalogs: Vec<InputCatalog>) -> Ground {
        let mut ground = Ground { catalog: host.clone(), files, host, catalogs, ..Ground::default() };
        let trees: Vec<&Node> = ground.files.iter().filter_map(|file| file.tree.as_deref()).collect();
        let Some((tree, others)) = trees.split_first() else { return ground };
        let mut found = Findings::default();
        for other in others {
            let finding = Diagnostic::error(Code::FIELD, first_key(other), "a project has one project file");
            found.push(finding.related(first_key(tree), "the other one"));
        }
        schema::PROJECT.check(&Subject::file(tree), &mut found);
        ground.settings = read::settings(tree, &mut found);
        for node in tree.get("kinds").map_or(&[][..], Node::items) {
            if let Some(path) = node.as_str().filter(|path| read::is_catalog_path(path)) {
                let path = Spanned::new(path.to_owned(), node.span);
                add_catalog(&mut ground.catalog, &path, &ground.catalogs, &mut found);
            }
        }
        ground.found = found;
        ground
    }

    /// Whether these would give this ground again.
    pub(super) fn is(&self, files: &[Arc<ReadFile>], host: &Catalog, catalogs: &[InputCatalog]) -> bool {
        let same =
            self.files.len() == files.len() && self.files.iter().zip(files).all(|(one, other)| Arc::ptr_eq(one, other));
        same && self.host == *host && self.catalogs == catalogs
    }

    /// The tree of the project file.
    pub(crate) fn tree(&self) -> Option<&Node> {
        self.files.first()?.tree.as_deref()
    }
}

fn add_catalog(catalog: &mut Catalog, path: &Spanned<String>, catalogs: &[InputCatalog], found: &mut Findings) {
    let wrong = |message: String, label: String| Diagnostic::error(Code::FIELD, path.span, message).label(label);
    let bytes = match catalogs.iter().find(|catalog| catalog.path == path.value).map(|catalog| &catalog.bytes) {
        Some(Ok(bytes)) => bytes,
        Some(Err(error)) => {
            let message = format!("the catalog `{}` cannot be read", path.value);
            return found.push(wrong(message, error.clone()));
        }
        None => return found.push(wrong(format!("there is no catalog `{}`", path.value), String::new())),
    };
    let kinds: Catalog = match serde_json::from_slice(bytes) {
        Ok(kinds) => kinds,
        Err(error) => {
            let message = format!("`{}` is not a catalog", path.value);
            return found.push(wrong(message, error.to_string()).help("write it with `engine.catalog()`"));
        }
    };
    for kind in kinds.iter() {
        if let Err(error) = Schema::compile(kind.body.clone()) {
            let message = format!("`{}` describes `{}` with a schema that cannot be used", path.value, kind.name);
            found.push(wrong(message, error));
            continue;
        }
        // What the host has registered is the truth; the file may be older.
        if catalog.get(&kind.name).is_none() {
            catalog.add(kind.clone());
        }
    }
}

fn first_key(tree: &Node) -> Span {
    tree.entries().first().map_or(tree.span, |entry| entry.key.span)
}
