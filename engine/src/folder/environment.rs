//! What a project leaves to the environment: secrets, configuration, and the connections that need them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use wf_dsl::expr::ReferenceKind;
use wf_dsl::{ConfigValue, Form, Object, Project, Scope, Time, Value};

use super::reason;
use crate::kind::Connection;

/// A secret's variable is this, then its name in capitals.
const SECRET: &str = "WF_SECRET_";
/// What follows the variable of a secret that stands in a file.
const FILE: &str = "_FILE";
/// A configured value's variable is this, then its name in capitals.
const CONFIG: &str = "WF_CONFIG_";

/// What the environment says to a project.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The values of all secrets that are set.
    pub secrets: BTreeMap<String, Arc<str>>,
    /// Secrets that the project names and that are not set.
    pub missing: BTreeSet<String>,
    /// `config` as expressions read it.
    pub config: Value,
    /// The connections, with their secrets filled in as far as they are set.
    pub connections: Vec<Connection>,
    /// The connections that are not configured, with the secrets that they want.
    pub wanting: BTreeMap<String, BTreeSet<String>>,
}

impl std::fmt::Debug for Surroundings {
    /// Leaves the values of secrets out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("secrets", &self.secrets.keys())
            .field("missing", &self.missing)
            .field("config", &self.config)
            .field("connections", &self.connections)
            .field("wanting", &self.wanting)
            .finish()
    }
}

/// What is wrong with the environment: every problem, each in one lower-case phrase. None tells a secret's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct SurroundingsError {
    /// The problems.
    pub problems: Vec<String>,
}

impl Surroundings {
    /// Reads what the variables say to a project.
    ///
    /// A secret that no workflow names any more is read too, for the runs that are pinned to older plans. An empty
    /// variable counts as not set. Paths of secret files that are not absolute begin where the process stands.
    ///
    /// # Errors
    /// A variable that is not UTF-8 or does not fit its type, a secret's file that cannot be read, a value of `config:`
    /// without value and default, a connection's setting that cannot be evaluated.
    pub fn read(
        project: &Project,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Surroundings, SurroundingsError> {
        let settings = &project.settings;
        let named = secrets_of(project);
        let mut reading = Reading::new(variables);
        let mut found = Surroundings { secrets: reading.secrets(&named), ..Surroundings::default() };
        found.missing = named.iter().filter(|name| !found.secrets.contains_key(*name)).cloned().collect();
        let config = settings.config.iter().map(|(name, declared)| (name.clone(), reading.config(name, declared)));
        found.config = Value::from(config.collect::<Object>());
        let scope = Outside { secrets: &found.secrets, config: &found.config };
        let connections = settings.connections.iter();
        let connections = connections.map(|(name, declared)| reading.connection(name, declared, &scope)).collect();
        let wants = |(name, declared): (&String, &wf_dsl::Connection)| {
            let secrets = declared.fields.iter().flat_map(|(_, form)| secrets_in(form));
            let wanted: BTreeSet<_> =
                secrets.filter(|secret| found.missing.contains(*secret)).map(str::to_owned).collect();
            (!wanted.is_empty()).then(|| (name.clone(), wanted))
        };
        let wanting = settings.connections.iter().filter_map(wants).collect();
        (found.connections, found.wanting) = (connections, wanting);
        if reading.problems.is_empty() { Ok(found) } else { Err(SurroundingsError { problems: reading.problems }) }
    }
}

struct Reading {
    variables: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reading {
    fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut reading = Reading { variables: BTreeMap::new(), problems: Vec::new() };
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(SECRET) || name.starts_with(CONFIG)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) if value.is_empty() => {}
                Ok(value) => _ = reading.variables.insert(name.to_owned(), value),
                Err(_) => reading.problems.push(format!("`{name}` is not UTF-8")),
            }
        }
        reading
    }

    fn secrets(&mut self, named: &BTreeSet<String>) -> BTreeMap<String, Arc<str>> {
        let mut names = named.clone();
        let variables: BTreeSet<String> = named.iter().map(|name| variable(SECRET, name)).collect();
        for name in self.variables.keys().filter(|name| !variables.contains(*name)) {
            let Some(name) = name.strip_prefix(SECRET) else { continue };
            let name = name.strip_suffix(FILE).unwrap_or(name);
            if !variables.contains(&variable(SECRET, name)) {
                names.insert(name.to_lowercase());
            }
        }
        names.into_iter().filter_map(|name| Some((name.clone(), self.secret(&name)?.into()))).collect()
    }

    fn secret(&mut self, name: &str) -> Option<String> {
        let direct = variable(SECRET, name);
        let by_file = format!("{direct}{FILE}");
        match (self.variables.get(&direct), self.variables.get(&by_file)) {
            (Some(_), Some(_)) => {
                self.problems.push(format!("both `{direct}` and `{by_file}` are set"));
                None
            }
            (Some(value), None) => Some(value.clone()),
            (None, Some(path)) => match std::fs::read_to_string(Path::new(path)) {
                Ok(text) => {
                    // Editors and `echo` end a file with a line break that is not part of the secret.
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    let text = text.strip_suffix('\r').unwrap_or(text);
                    (!text.is_empty()).then(|| text.to_owned())
                }
                Err(error) => {
                    let why = reason(&error);
                    self.problems.push(format!("the file `{path}` that `{by_file}` names cannot be read: {why}"));
                    None
                }
            },
            (None, None) => None,
        }
    }

    fn config(&mut self, name: &str, declared: &ConfigValue) -> Value {
        let variable = variable(CONFIG, name);
        let Some(text) = self.variables.get(&variable) else {
            return declared.default.clone().unwrap_or_else(|| {
                self.problems.push(format!("`config.{name}` has no value: set `{variable}`, or give it a default"));
                Value::Null
            });
        };
        // A text stands for itself wherever a text fits; what else there is, is written as JSON.
        let as_text = declared.ty.accept(&serde_json::Value::String(text.clone()));
        let value = as_text.or_else(|mismatches| match serde_json::from_str(text) {
            Ok(json) => declared.ty.accept(&json),
            Err(_) => Err(mismatches),
        });
        value.unwrap_or_else(|mismatches| {
            let why = mismatches.first().map(|mismatch| mismatch.message.clone()).unwrap_or_default();
            self.problems.push(format!("`{variable}` does not fit `config.{name}`: {why}"));
            Value::Null
        })
    }

    fn connection(&mut self, name: &str, declared: &wf_dsl::Connection, scope: &Outside<'_>) -> Connection {
        let mut connection = Connection {
            name: name.to_owned(),
            kind: declared.kind.value.clone(),
            settings: BTreeMap::new(),
            configured: true,
            stand_in: declared.stand_in.iter().map(|file| file.value.clone()).collect(),
            optional: declared.optional,
        };
        for (field, form) in &declared.fields {
            if secrets_in(form).any(|secret| scope.secret(secret).is_none()) {
                connection.configured = false;
                continue;
            }
            match form.fill(scope) {
                Ok(value) => _ = connection.settings.insert(field.value.clone(), plain(&value)),
                Err(error) => {
                    let field = &field.value;
                    self.problems.push(format!("`{field}` of connection `{name}`: {}: {}", error.code, error.message));
                }
            }
        }
        connection
    }
}

/// The names of all secrets that a project reads.
pub(crate) fn secrets_of(project: &Project) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut visit = |form: &Form| names.extend(secrets_in(form).map(str::to_owned));
    for connection in project.settings.connections.values() {
        connection.fields.iter().for_each(|(_, form)| visit(form));
    }
    for webhook in project.settings.webhooks.values() {
        webhook.secret.iter().for_each(&mut visit);
    }
    project.workflows.iter().for_each(|workflow| workflow.visit_forms(&mut visit));
    names
}

/// The names of the secrets that a form reads.
fn secrets_in(form: &Form) -> impl Iterator<Item = &str> {
    let references = form.exprs().into_iter().flat_map(|expr| expr.references());
    references.filter(|reference| reference.kind == ReferenceKind::Secret).map(|reference| reference.name)
}

fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", name.to_uppercase())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => other.to_json().to_string(),
    }
}

/// What the settings of a connection may read: no event, no run, no time.
struct Outside<'a> {
    secrets: &'a BTreeMap<String, Arc<str>>,
    config: &'a Value,
}

impl Scope for Outside<'_> {
    fn root(&self, name: &str) -> Option<Value> {
        (name == "config").then(|| self.config.clone())
    }

    fn step(&self, _id: &str) -> Option<Value> {
        None
    }

    fn var(&self, _name: &str) -> Option<Value> {
        None
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.secrets.get(name).map(|secret| Value::String(secret.clone()))
    }

    fn now(&self) -> Time {
        Time(0)
    }

    fn chance(&self) -> [u8; 32] {
        [0; 32]
    }
}
