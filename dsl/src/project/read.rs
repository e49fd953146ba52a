//! Reading a project: every file on its own, then what they mean to each other.

use std::collections::HashMap;

use super::{InputCatalog, InputFile, Project, ProjectInput};
use crate::catalog::Catalog;
use crate::check;
use crate::check::damage::Damage;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::node::{Node, Tree};
use crate::plan::EventType;
use crate::read::{self, Context, First, Kinds, Sort};
use crate::schema::{self, Schema, Subject};
use crate::source::{Source, Span, Spanned};
use crate::yaml::{self, Document};

/// The files of a project by their sort.
#[derive(Default)]
struct Files {
    projects: Vec<Node>,
    events: Vec<Node>,
    workflows: Vec<(Node, Damaged)>,
    tests: Vec<Node>,
}

/// Whether parts of a file were left out because they are not YAML as we read it.
type Damaged = bool;

impl Project {
    /// Reads and checks everything. `catalog` has the kinds of the host; those of the catalog files that `kinds:`
    /// names are added to it.
    pub fn read(input: ProjectInput, catalog: &Catalog) -> Project {
        let mut project = Project { catalog: catalog.clone(), read_at: input.now, ..Project::default() };
        let files = project.files(input.files);
        project.settings(&files.projects, &input.catalogs);
        project.templates(input.templates);
        for tree in &files.events {
            schema::EVENTS.check(&whole(tree), &mut project.findings);
            project.declare_events(tree);
        }
        project.workflow_files(files.workflows);
        for tree in files.tests {
            project.test_file(tree);
        }
        project.refuse_double_names();

        project.findings = Damage::settle(&project);
        let damage = Damage::of(&project);
        project.events_hidden = damage.events;
        let mut found = Findings::default();
        check::run(&project, &damage, &mut found);
        project.findings.append(found);
        project.findings.retain(|finding| !damage.may_hide(finding));
        project
    }

    /// Reads the YAML of all files and sorts them.
    fn files(&mut self, files: Vec<InputFile>) -> Files {
        let mut sorted = Files::default();
        for file in files {
            let Document { file: id, tree, found } = yaml::read(&mut self.sources, &file.path, &file.bytes);
            let start = Span { file: id, start: 0, end: 0 };
            // A document may be there and hold nothing.
            let Some(tree) = tree.filter(|tree| !matches!(tree.tree, Tree::Null)) else {
                self.unread_file(start, file.named, found);
                continue;
            };
            let sort = match read::sort(&tree) {
                First::Ours(sort) => sort,
                First::Nearly(key, meant) => {
                    self.findings.append(found);
                    let message = format!("a file cannot start with `{}`", key.value);
                    let finding = Diagnostic::error(Code::UNKNOWN_KEY, key.span, message);
                    self.findings.push(finding.help(format!("did you mean `{meant}`? It comes first in the file")));
                    continue;
                }
                First::Other(key) if file.named => {
                    let place = key.map_or(tree.span, |key| key.span);
                    let finding = Diagnostic::error(Code::UNKNOWN_KEY, place, "this is no file of wf");
                    self.findings.push(finding.help(FIRST_KEYS));
                    continue;
                }
                First::Other(_) => {
                    self.counts.left_alone += 1;
                    continue;
                }
            };
            let damaged = !found.is_empty();
            check::yaml_trap::check(&self.sources, &tree, &mut self.findings);
            self.findings.append(found);
            match sort {
                Sort::Project => sorted.projects.push(tree),
                Sort::Events => sorted.events.push(tree),
                Sort::Workflow => sorted.workflows.push((tree, damaged)),
                Sort::Test => sorted.tests.push(tree),
            }
        }
        self.counts.workflows = sorted.workflows.len();
        self.counts.events = sorted.events.len();
        self.counts.tests = sorted.tests.len();
        sorted
    }

    /// A file without a tree: empty, or not YAML. Met on a walk it may be none of ours.
    fn unread_file(&mut self, start: Span, named: bool, found: Findings) {
        let text = self.sources.get(start.file).map_or("", |source: &Source| &source.text);
        if !named && !read::is_probably_ours(text) {
            self.counts.left_alone += 1;
        } else if found.is_empty() {
            self.findings.push(Diagnostic::error(Code::YAML, start, "the file is empty").help(FIRST_KEYS));
        } else {
            self.findings.append(found);
        }
    }

    fn settings(&mut self, trees: &[Node], catalogs: &[InputCatalog]) {
        for tree in trees.iter().skip(1) {
            let mut finding = Diagnostic::error(Code::FIELD, first_key(tree), "a project has one project file");
            if let Some(first) = trees.first() {
                finding = finding.related(first_key(first), "the other one");
            }
            self.findings.push(finding);
        }
        let Some(tree) = trees.first() else { return };
        schema::PROJECT.check(&whole(tree), &mut self.findings);
        self.settings = read::settings(tree, &mut self.findings);
        self.settings_tree = Some(tree.clone());
        for node in tree.get("kinds").map_or(&[][..], Node::items) {
            if let Some(path) = node.as_str().filter(|path| read::is_catalog_path(path)) {
                let path = Spanned::new(path.to_owned(), node.span);
                self.add_catalog(&path, catalogs);
            }
        }
    }

    fn add_catalog(&mut self, path: &Spanned<String>, catalogs: &[InputCatalog]) {
        let wrong = |message: String, label: String| Diagnostic::error(Code::FIELD, path.span, message).label(label);
        let bytes = match catalogs.iter().find(|catalog| catalog.path == path.value).map(|catalog| &catalog.bytes) {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => {
                let message = format!("the catalog `{}` cannot be read", path.value);
                return self.findings.push(wrong(message, error.clone()));
            }
            None => return self.findings.push(wrong(format!("there is no catalog `{}`", path.value), String::new())),
        };
        let kinds: Catalog = match serde_json::from_slice(bytes) {
            Ok(kinds) => kinds,
            Err(error) => {
                let message = format!("`{}` is not a catalog", path.value);
                return self.findings.push(wrong(message, error.to_string()).help("write it with `engine.catalog()`"));
            }
        };
        for kind in kinds.iter() {
            if let Err(error) = Schema::compile(kind.body.clone()) {
                let message = format!("`{}` describes `{}` with a schema that cannot be used", path.value, kind.name);
                self.findings.push(wrong(message, error));
                continue;
            }
            // What the host has registered is the truth; the file may be older.
            if self.catalog.get(&kind.name).is_none() {
                self.catalog.add(kind.clone());
            }
        }
    }

    /// Adds the event types of a tree's `events:`.
    fn declare_events(&mut self, tree: &Node) {
        let Some(events) = tree.get("events") else { return };
        for event in read::event_types(events, &mut self.findings) {
            let name = event.name.value.clone();
            match self.events.get(&name) {
                Some(first) => {
                    let finding = double_event(&event, first);
                    self.findings.push(finding);
                }
                None => {
                    self.events.insert(name, event);
                }
            }
        }
    }

    fn workflow_files(&mut self, files: Vec<(Node, Damaged)>) {
        let (catalog, settings) = (self.catalog.clone(), self.settings.clone());
        let kinds = Kinds::new(&catalog, &settings.bare_kinds, true);
        let context = Context {
            kinds: &kinds,
            policies: &settings.retries,
            retry: settings.defaults.retry.as_deref(),
            timeout: settings.defaults.timeout.as_ref(),
            timezone: &settings.timezone,
        };
        for (tree, damaged) in files {
            schema::WORKFLOW.check(&whole(&tree), &mut self.findings);
            self.declare_events(&tree);
            let mut workflow = read::workflow(&tree, &context, &mut self.findings);
            workflow.partial |= damaged;
            self.workflows.push(workflow);
            self.trees.push(tree);
        }
    }

    fn test_file(&mut self, tree: Node) {
        let mut shape = Findings::default();
        schema::TEST.check(&whole(&tree), &mut shape);
        let partial = shape.has_errors();
        self.findings.append(shape);
        self.tests.extend(read::test(tree, partial, &mut self.findings));
    }

    fn refuse_double_names(&mut self) {
        let mut first: HashMap<&str, Span> = HashMap::new();
        for workflow in self.workflows.iter().filter(|workflow| !workflow.name.value.is_empty()) {
            let Spanned { value: name, span } = &workflow.name;
            if let Some(other) = first.get(name.as_str()) {
                let finding = Diagnostic::error(Code::FIELD, *span, format!("there are two workflows `{name}`"));
                self.findings.push(finding.related(*other, "the other one").help("names are unique in a project"));
            } else {
                first.insert(name, *span);
            }
        }
    }
}

const FIRST_KEYS: &str = "a file starts with `workflow`, `events`, `test` or `project`";

fn double_event(event: &EventType, first: &EventType) -> Diagnostic {
    let name = &event.name;
    Diagnostic::error(Code::EVENT, name.span, format!("the event type `{}` is declared twice", name.value))
        .related(first.name.span, "the other declaration")
        .help("keep one of the two")
}

/// A whole file as a subject of its schema.
fn whole(tree: &Node) -> Subject<'_> {
    Subject { node: tree, owner: None, above: &[], expressions: false }
}

fn first_key(tree: &Node) -> Span {
    tree.entries().first().map_or(tree.span, |entry| entry.key.span)
}
