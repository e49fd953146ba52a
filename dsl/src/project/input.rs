//! What a caller hands in, who alone reads files.

use crate::node::{Node, Tree};
use crate::read::is_catalog_path;
use crate::source::FileId;
use crate::time::Time;
use crate::yaml;

/// What the caller found on disk, or made up.
#[derive(Clone, Debug, Default)]
pub struct ProjectInput {
    /// YAML files: workflows, event types, tests, and at most one project file.
    pub files: Vec<InputFile>,
    /// Message templates.
    pub templates: Vec<InputTemplate>,
    /// The catalog files that `kinds:` names (see [`Outline`]), by the path written there.
    pub catalogs: Vec<InputCatalog>,
    /// The time, to find constant deadlines that are past; without it they are not looked for.
    pub now: Option<Time>,
}

/// One YAML file.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// The path to show.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// The user named this file, so it must be one of ours; otherwise it was met on a walk.
    pub named: bool,
}

/// One message template.
#[derive(Clone, Debug)]
pub struct InputTemplate {
    /// The path to show.
    pub path: String,
    /// Its path under `templates/`, without the extension: what `template:` names.
    pub name: String,
    /// What it is for, by its extension.
    pub medium: Medium,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What a template makes, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// `.txt`: the plain text of a mail, or a text for any other use.
    Text,
    /// `.html`: the HTML of a mail.
    Html,
    /// `.sms`: a short message.
    Sms,
}

impl Medium {
    /// What files with this extension make; none for extensions that no template has.
    pub fn of_extension(extension: &str) -> Option<Medium> {
        match extension {
            "txt" => Some(Medium::Text),
            "html" => Some(Medium::Html),
            "sms" => Some(Medium::Sms),
            _ => None,
        }
    }
}

/// One catalog file of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputCatalog {
    /// The path as `kinds:` writes it.
    pub path: String,
    /// What it holds, or why it could not be read.
    pub bytes: Result<Vec<u8>, String>,
}

/// What a caller must know of a project file before it can gather the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// `ignore:`, paths below the project that are not read.
    pub ignore: Vec<String>,
    /// The catalog files that `kinds:` names.
    pub catalogs: Vec<String>,
}

impl Outline {
    /// Reads an outline from the bytes of `wf.yaml`. What is wrong in it is left out here, and found by
    /// [`Project::read`](crate::Project::read).
    pub fn of(bytes: &[u8]) -> Outline {
        let document = yaml::read(FileId(0), bytes);
        let Some(tree) = document.tree else { return Outline::default() };
        let texts = |key: &str| match tree.get(key).map(|node| &node.tree) {
            Some(Tree::List(items)) => items.iter().filter_map(Node::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let mut catalogs: Vec<String> = texts("kinds");
        catalogs.retain(|entry| is_catalog_path(entry));
        Outline { ignore: texts("ignore"), catalogs }
    }
}
