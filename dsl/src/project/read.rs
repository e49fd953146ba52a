//! Reading a project: every file on its own, then what they mean to each other.

use std::collections::HashMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::file::ReadFile;
use super::ground::Ground;
use super::template::ReadTemplate;
use super::{Counts, InputFile, InputTemplate, Project, ProjectInput};
use crate::catalog::Catalog;
use crate::check;
use crate::check::damage::Damage;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::{EventType, Workflow};
use crate::read::{self, Context, Kinds, Sort};
use crate::source::{FileId, Sources, Span, Spanned};

/// A workflow as it was read on a ground, and what is wrong with it and its file.
#[derive(Debug)]
pub(crate) struct ReadWorkflow {
    file: Arc<ReadFile>,
    workflow: Arc<Workflow>,
    found: Findings,
}

impl Project {
    /// Reads and checks everything. `catalog` has the kinds of the host; those of the catalog files that `kinds:`
    /// names are added to it.
    pub fn read(input: ProjectInput, catalog: &Catalog) -> Project {
        Project::default().read_again(input, catalog)
    }

    /// Reads the project as it is now, and checks it: what [`Project::read`] gives. What this project knows of the
    /// files that are still the same is not worked out again, so that the next check after a change of one file takes
    /// a small part of the time of the first.
    ///
    /// `input` is the whole project, not only what has changed. A file is the same if its text and its place in
    /// [`ProjectInput::files`] are.
    #[must_use]
    pub fn read_again(&self, input: ProjectInput, catalog: &Catalog) -> Project {
        let mut project = Project { read_at: input.now, ..Project::default() };
        project.files = self.read_files(input.files);
        project.template_files = self.read_templates(input.templates, project.files.len());
        project.gather();
        let of_projects = project.files_of(Sort::Project).cloned().collect::<Vec<_>>();
        project.ground = if self.ground.is(&of_projects, catalog, &input.catalogs) {
            Arc::clone(&self.ground)
        } else {
            Arc::new(Ground::of(of_projects, catalog.clone(), input.catalogs))
        };
        project.settings = project.ground.settings.clone();
        project.catalog = project.ground.catalog.clone();
        project.findings.append(project.ground.found.clone());
        project.read_workflows(self);
        project.refuse_double_names();

        let reported = std::mem::take(&mut project.findings);
        project.findings = Damage::settle(&project, &reported);
        let damage = Damage::of(&project);
        project.events_hidden = damage.events;
        project.triggers_hidden = damage.hidden_triggers(&project);
        let mut found = Findings::default();
        project.checked = check::run(&project, self, &reported, &damage, &mut found);
        project.findings.append(found);
        project.findings.retain(|finding| !damage.may_hide(finding));
        project
    }

    fn read_files(&self, inputs: Vec<InputFile>) -> Vec<Arc<ReadFile>> {
        let inputs = inputs.into_iter().enumerate();
        let read = |(place, input): (usize, InputFile)| match self.files.get(place).filter(|known| known.is(&input)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(ReadFile::of(FileId::at(place), input)),
        };
        inputs.map(read).collect()
    }

    /// Templates come behind the other files.
    fn read_templates(&self, inputs: Vec<InputTemplate>, files: usize) -> Vec<Arc<ReadTemplate>> {
        let inputs = inputs.into_iter().enumerate();
        let read = |(place, input): (usize, InputTemplate)| {
            let id = FileId::at(files + place);
            match self.template_files.get(place).filter(|known| known.is(id, &input)) {
                Some(known) => Arc::clone(known),
                None => Arc::new(ReadTemplate::of(id, input)),
            }
        };
        inputs.map(read).collect()
    }

    fn files_of(&self, sort: Sort) -> impl Iterator<Item = &Arc<ReadFile>> {
        self.files.iter().filter(move |file| file.sort == Some(sort))
    }

    /// Brings together what the files say by themselves.
    fn gather(&mut self) {
        let sources = self.files.iter().map(|file| &file.source);
        self.sources = sources.chain(self.template_files.iter().map(|file| &file.source)).cloned().collect::<Sources>();
        for file in &self.files {
            if file.sort != Some(Sort::Workflow) {
                self.findings.append(file.found.clone());
            }
            self.tests.extend(file.test.clone());
        }
        for (place, file) in self.template_files.iter().enumerate() {
            let id = FileId::at(self.files.len() + place);
            self.findings.append(file.found.clone());
            self.wants.extend(file.wants.clone().map(|wants| (id, wants)));
            self.templates.entry(file.name.clone()).or_default().insert(file.medium, id);
        }
        // Files of event types come first, so that a workflow with another type of the same name is the one to mend.
        for sort in [Sort::Events, Sort::Workflow] {
            for event in self.files.iter().filter(|file| file.sort == Some(sort)).flat_map(|file| &file.events) {
                match self.events.entry(event.name.value.clone()) {
                    Entry::Occupied(first) => self.findings.push(double_event(event, first.get())),
                    Entry::Vacant(entry) => drop(entry.insert(Arc::clone(event))),
                }
            }
        }
        self.counts = Counts {
            workflows: self.files_of(Sort::Workflow).count(),
            events: self.files_of(Sort::Events).count(),
            tests: self.files_of(Sort::Test).count(),
            left_alone: self.files.iter().filter(|file| file.left_alone).count(),
        };
    }

    fn read_workflows(&mut self, before: &Project) {
        let ground = Arc::clone(&self.ground);
        let same_ground = Arc::ptr_eq(&ground, &before.ground);
        let known: HashMap<*const ReadFile, &Arc<ReadWorkflow>> =
            before.read_workflows.iter().map(|known| (Arc::as_ptr(&known.file), known)).collect();
        let kinds = Kinds::new(&ground.catalog, &ground.settings.bare_kinds, true);
        let context = Context {
            kinds: &kinds,
            policies: &ground.settings.retries,
            retry: ground.settings.defaults.retry.as_deref(),
            timeout: ground.settings.defaults.timeout.as_ref(),
            timezone: &ground.settings.timezone,
        };
        let read = |file: &Arc<ReadFile>| match known.get(&Arc::as_ptr(file)) {
            Some(known) if same_ground => Some(Arc::clone(known)),
            _ => {
                // What is wrong with the shape of a step is not said again where it cannot be read.
                let mut found = file.found.clone();
                let mut workflow = read::workflow(file.tree.as_ref()?, &context, &mut found);
                workflow.partial |= file.damaged;
                Some(Arc::new(ReadWorkflow { file: Arc::clone(file), workflow: Arc::new(workflow), found }))
            }
        };
        self.read_workflows = self.files_of(Sort::Workflow).filter_map(read).collect();
        for read in &self.read_workflows {
            self.findings.append(read.found.clone());
            self.workflows.push(Arc::clone(&read.workflow));
            self.trees.extend(read.file.tree.clone());
        }
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

fn double_event(event: &EventType, first: &EventType) -> Diagnostic {
    let name = &event.name;
    Diagnostic::error(Code::EVENT, name.span, format!("the event type `{}` is declared twice", name.value))
        .related(first.name.span, "the other declaration")
        .help("keep one of the two")
}
