//! A place to try kinds in: a project folder, a store folder, and a context that can be changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value as Json;
use tempfile::TempDir;
use wf_engine::{Connection, MessageTemplate, SimulatedClock, StepContext, StepError, StepKind, Time};
use wf_stdlib::{HttpOptions, Options};

/// The time of all tests.
pub(crate) const NOW: Time = Time(1_759_309_200_000); // 2025-10-01T09:00:00Z

pub(crate) struct Bench {
    pub(crate) cx: StepContext,
    kinds: Vec<Arc<dyn StepKind>>,
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (project, store) = (folder.path().join("project"), folder.path().join("store"));
        fs::create_dir_all(&project).unwrap();
        let cx = StepContext {
            run: "000000000000000000000001000200aa".parse().unwrap(),
            workflow: "welcome".into(),
            step: "greet".into(),
            effect: "wf_0123456789abcdefghijklmnop".to_owned(),
            key: "wf_0123456789abcdefghijklmnop".to_owned(),
            attempt: 1,
            iteration: None,
            deadline: None,
            remaining: None,
            now: NOW,
            clock: Arc::new(SimulatedClock::starting_at(NOW)),
            returns: None,
            templates: Arc::default(),
            connections: Arc::default(),
            outbox: Some(store.join("outbox").into()),
            stand_ins: Some(store.join("stand-ins").into()),
            project: Some(project.into()),
        };
        Bench { cx, kinds: kinds(), folder }
    }

    /// Forgets all open connections, as a new process would.
    pub(crate) fn restart(&mut self) {
        self.kinds = kinds();
    }

    /// Becomes another step, with a key of its own.
    pub(crate) fn next_step(&mut self, effect: &str) {
        self.cx.effect = effect.to_owned();
        self.cx.key = effect.to_owned();
    }

    /// A word that no other bench has.
    pub(crate) fn unique(&self) -> String {
        self.folder.path().file_name().unwrap().to_string_lossy().replace('.', "")
    }

    pub(crate) fn project(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join("project").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn store(&self, name: &str) -> PathBuf {
        self.folder.path().join("store").join(name)
    }

    pub(crate) fn template(&mut self, name: &str, template: MessageTemplate) {
        Arc::make_mut(&mut self.cx.templates).insert(name.to_owned(), template);
    }

    /// Declares a connection that is configured.
    pub(crate) fn connect(&mut self, name: &str, kind: &str, settings: &[(&str, &str)]) {
        let connection = Connection { configured: true, ..unconfigured(name, kind, settings) };
        self.declare(connection);
    }

    pub(crate) fn declare(&mut self, connection: Connection) {
        Arc::make_mut(&mut self.cx.connections).insert(connection.name.clone(), connection);
    }

    pub(crate) fn kind(&self, name: &str) -> &dyn StepKind {
        let found = self.kinds.iter().find(|kind| kind.describe().name == name);
        &**found.unwrap_or_else(|| panic!("no kind `{name}`"))
    }

    pub(crate) async fn run(&self, kind: &str, body: Json) -> Result<Json, StepError> {
        self.kind(kind).execute(&self.cx, body).await.map(|output| output.value)
    }

    /// The error's code.
    pub(crate) async fn fails(&self, kind: &str, body: Json) -> String {
        match self.run(kind, body.clone()).await {
            Ok(output) => panic!("{kind} {body} gave {output}"),
            Err(error) => {
                assert!(!error.message.is_empty() && !error.message.contains('\n') || error.code == "db.marker");
                error.code
            }
        }
    }

    /// The messages in the outbox, by file name without extension.
    pub(crate) fn outbox(&self) -> BTreeMap<String, Json> {
        let Ok(files) = fs::read_dir(self.store("outbox")) else { return BTreeMap::new() };
        let files = files.map(|file| file.unwrap().path());
        let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        json.map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&fs::read(&path).unwrap()).unwrap())
        })
        .collect()
    }
}

pub(crate) fn unconfigured(name: &str, kind: &str, settings: &[(&str, &str)]) -> Connection {
    Connection {
        name: name.to_owned(),
        kind: kind.to_owned(),
        settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        configured: false,
        stand_in: Vec::new(),
        optional: false,
    }
}

pub(crate) fn welcome() -> MessageTemplate {
    MessageTemplate {
        text: Some("---\nsubject: Hello {{ first_name }}\n---\nHi {{ first_name }},\nwelcome.\n".to_owned()),
        html: Some("<p>Hi {{ first_name }}, welcome.</p>".to_owned()),
        sms: Some("Hi {{ first_name }}!".to_owned()),
    }
}

/// A body with one field changed; null takes it away.
pub(crate) fn with(mut body: Json, field: &str, value: Json) -> Json {
    if value.is_null() {
        body.as_object_mut().unwrap().remove(field);
    } else {
        body[field] = value;
    }
    body
}

fn kinds() -> Vec<Arc<dyn StepKind>> {
    wf_stdlib::all_with(Options { http: HttpOptions { allow: Vec::new(), allow_loopback: true } })
}
