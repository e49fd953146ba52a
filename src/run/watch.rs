//! What is heard of a run: its records, what `log` steps say, and what goes wrong around it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tracing::field::{Field, Visit};
use tracing::span;
use wf_dsl::Time;
use wf_engine::run::Record;
use wf_engine::{Notice, Observer, Redactor, RunId};

/// Where `log` steps speak.
const LOG: &str = "wf::log";

/// Something to show.
#[derive(Debug)]
pub(super) enum Heard {
    /// Records of a run that are durable now.
    Records { run: RunId, workflow: String, origin: RunId, records: Vec<Record> },
    /// What a `log` step says.
    Said { at: Option<Time>, workflow: String, step: String, text: String },
    /// What went wrong, and is in no run's records.
    Trouble(String),
}

/// Hears the engine.
pub(super) struct Watcher(pub(super) UnboundedSender<Heard>);

impl Observer for Watcher {
    fn observe(&self, notice: &Notice<'_>) {
        let Notice { run, workflow, origin, records } = *notice;
        let heard = Heard::Records { run, workflow: workflow.to_owned(), origin, records: records.to_vec() };
        // Whoever listens may have stopped; then nobody wants to know.
        let _ = self.0.send(heard);
    }
}

/// Hears what this process logs, from now on and for its whole life.
pub(super) fn listen(heard: &UnboundedSender<Heard>, secrets: &BTreeMap<String, Arc<str>>) {
    let listener = Listener { heard: heard.clone(), redactor: Redactor::new(secrets) };
    // There is one command to a process, so nobody else listens.
    let _ = tracing::subscriber::set_global_default(listener);
}

/// Takes events from `log` steps, and warnings of ours. Spans are not looked at.
struct Listener {
    heard: UnboundedSender<Heard>,
    redactor: Redactor,
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, about: &tracing::Metadata<'_>) -> bool {
        let is_ours = about.target().starts_with("wf_") && *about.level() <= tracing::Level::WARN;
        about.is_event() && (about.target() == LOG || is_ours)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let mut take = |name: &str| fields.0.remove(name).unwrap_or_default();
        let message = self.redactor.text(&take("message"));
        let heard = if event.metadata().target() == LOG {
            let fields = take("fields");
            let fields = if fields == "null" { String::new() } else { format!(" {}", self.redactor.text(&fields)) };
            // Time may have gone on before it is shown.
            Heard::Said {
                at: take("at").parse().ok(),
                workflow: take("workflow"),
                step: take("step"),
                text: format!("{message}{fields}"),
            }
        } else {
            let error = self.redactor.text(&take("error"));
            Heard::Trouble(if error.is_empty() { message } else { format!("{message}: {error}") })
        };
        let _ = self.heard.send(heard);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
