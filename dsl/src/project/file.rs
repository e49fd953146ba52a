//! One YAML file by itself: all that can be read of it without the rest of the project.

use std::sync::Arc;

use super::{InputFile, TestFile};
use crate::check;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Node, Tree};
use crate::plan::EventType;
use crate::read::{self, First, Sort};
use crate::schema::{self, Subject};
use crate::source::{FileId, Source, Span};
use crate::yaml::{self, Document};

/// What to do about a file that is none of ours although it should be.
const FIRST_KEYS: &str = "a file starts with `workflow`, `events`, `test` or `project`";

/// A YAML file, read. It stays as it is while its place among the files and its text stay the same.
#[derive(Debug)]
pub(crate) struct ReadFile {
    pub(crate) source: Source,
    named: bool,
    /// The text is all of the file.
    whole: bool,
    /// What sort of file it is; none for one that is none of ours, or that could not be read.
    pub(crate) sort: Option<Sort>,
    /// It is none of ours, and need not be.
    pub(crate) left_alone: bool,
    /// The tree of a file of ours; that of a test stands in the test.
    pub(crate) tree: Option<Arc<Node>>,
    /// Parts of the file were left out because they are not YAML as we read it.
    pub(crate) damaged: bool,
    /// The event types that it declares.
    pub(crate) events: Vec<Arc<EventType>>,
    /// Event types may stand in it, as far as can be seen.
    pub(crate) may_declare_events: bool,
    /// The test that it is.
    pub(crate) test: Option<Arc<TestFile>>,
    /// What is wrong with it.
    pub(crate) found: Findings,
}

impl ReadFile {
    /// Reads a file by itself.
    pub(super) fn of(id: FileId, input: InputFile) -> ReadFile {
        let Document { text, whole, tree, found } = yaml::read(id, &input.bytes);
        let mut file = ReadFile {
            source: Source { path: input.path, text },
            named: input.named,
            whole,
            sort: None,
            left_alone: false,
            tree: None,
            damaged: !found.is_empty(),
            events: Vec::new(),
            may_declare_events: false,
            test: None,
            found: Findings::default(),
        };
        // A document may be there and hold nothing.
        match tree.filter(|tree| !matches!(tree.tree, Tree::Null)) {
            Some(tree) => file.sort(tree, found),
            None => file.unread(Span { file: id, start: 0, end: 0 }, found),
        }
        file
    }

    /// Whether reading `input` in this file's place would give this file again.
    pub(super) fn is(&self, input: &InputFile) -> bool {
        let same = self.source.path == input.path && self.named == input.named;
        same && self.whole && self.source.text.as_bytes() == input.bytes
    }

    /// A file without a tree: empty, or not YAML. Met on a walk it may be none of ours.
    fn unread(&mut self, start: Span, found: Findings) {
        let begins = |line: &str| line.trim_start_matches(['"', '\'', '{', ' ']).starts_with("events");
        self.may_declare_events = self.source.text.lines().any(begins);
        if !self.named && !read::is_probably_ours(&self.source.text) {
            self.left_alone = true;
        } else if found.is_empty() {
            self.found.push(Diagnostic::error(Code::YAML, start, "the file is empty").help(FIRST_KEYS));
        } else {
            self.found = found;
        }
    }

    fn sort(&mut self, tree: Node, found: Findings) {
        self.may_declare_events = tree.get("events").is_some();
        match read::sort(&tree) {
            First::Ours(sort) => {
                check::yaml_trap::check(&self.source.text, &tree, &mut self.found);
                self.found.append(found);
                self.sort = Some(sort);
                self.ours(sort, tree);
            }
            First::Nearly(key, meant) => {
                self.found = found;
                self.may_declare_events |= meant == "events";
                let message = format!("a file cannot start with `{}`", key.value);
                let finding = Diagnostic::error(Code::UNKNOWN_KEY, key.span, message);
                self.found.push(finding.help(format!("did you mean `{meant}`? It comes first in the file")));
            }
            First::Other(key) if self.named => {
                let place = key.map_or(tree.span, |key| key.span);
                let finding = Diagnostic::error(Code::UNKNOWN_KEY, place, "this is no file of wf");
                self.found.push(finding.help(FIRST_KEYS));
            }
            First::Other(_) => self.left_alone = true,
        }
    }

    fn ours(&mut self, sort: Sort, tree: Node) {
        match sort {
            // A project has one such file, and only that one is looked at more closely.
            Sort::Project => self.tree = Some(Arc::new(tree)),
            Sort::Test => {
                let mut shape = Findings::default();
                schema::TEST.check(&Subject::file(&tree), &mut shape);
                let partial = shape.has_errors();
                self.found.append(shape);
                self.test = read::test(tree, partial, &mut self.found).map(Arc::new);
            }
            Sort::Events | Sort::Workflow => {
                let schema = if sort == Sort::Events { &schema::EVENTS } else { &schema::WORKFLOW };
                schema.check(&Subject::file(&tree), &mut self.found);
                if let Some(events) = tree.get("events") {
                    self.events = read::event_types(events, &mut self.found).into_iter().map(Arc::new).collect();
                }
                self.tree = Some(Arc::new(tree));
            }
        }
    }
}
