//! Which connection a step uses, and whether a stand-in takes its place.

use wf_engine::{Connection, StepContext, StepError};

/// The connections that serve one family of kinds.
pub(crate) struct Family {
    /// What its error codes begin with.
    pub(crate) name: &'static str,
    /// The connection kinds of `wf.yaml`.
    pub(crate) kinds: &'static [&'static str],
}

/// What a step talks to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chosen<'a> {
    /// A connection whose settings are complete.
    Configured(&'a Connection),
    /// A stand-in: for this connection, or for want of any.
    StandIn(Option<&'a Connection>),
}

impl Family {
    /// The connection that the step names, or the only one of the family.
    ///
    /// # Errors
    /// `<family>.config` if the name is unknown or missing among several; `<family>.unavailable`, which is then final,
    /// if the connection is optional and not configured.
    pub(crate) fn choose<'a>(&self, cx: &'a StepContext, name: Option<&str>) -> Result<Chosen<'a>, StepError> {
        let connection = match name {
            Some(name) => Some(self.named(cx, name)?),
            None => self.only(cx)?,
        };
        match connection {
            Some(connection) if connection.configured => Ok(Chosen::Configured(connection)),
            Some(connection) if connection.optional => Err(self.not_configured(Some(connection))),
            stood_in_for => Ok(Chosen::StandIn(stood_in_for)),
        }
    }

    /// The error of a connection that has no configuration where nothing may stand in. Retrying does not help.
    pub(crate) fn not_configured(&self, connection: Option<&Connection>) -> StepError {
        let message = match connection {
            Some(connection) => format!("connection `{}` is not configured", connection.name),
            None => format!("no connection of kind `{}` is declared", self.kinds.join("` or `")),
        };
        StepError { retriable: Some(false), ..self.error("unavailable", message) }
    }

    /// An error of this family.
    pub(crate) fn error(&self, code: &str, message: impl Into<String>) -> StepError {
        StepError::new(format!("{}.{code}", self.name), message)
    }

    /// A setting that the connection needs.
    ///
    /// # Errors
    /// `<family>.config` if it is missing or empty.
    pub(crate) fn setting<'a>(&self, connection: &'a Connection, key: &str) -> Result<&'a str, StepError> {
        let value = connection.settings.get(key).map(String::as_str).filter(|value| !value.is_empty());
        value.ok_or_else(|| self.error("config", format!("connection `{}` has no `{key}`", connection.name)))
    }

    fn named<'a>(&self, cx: &'a StepContext, name: &str) -> Result<&'a Connection, StepError> {
        match cx.connections.get(name) {
            Some(connection) if self.serves(connection) => Ok(connection),
            Some(connection) => {
                let kind = &connection.kind;
                Err(self.error("config", format!("connection `{name}` is of kind `{kind}`, which does not serve this")))
            }
            None => Err(self.error("config", format!("there is no connection `{name}`"))),
        }
    }

    fn only<'a>(&self, cx: &'a StepContext) -> Result<Option<&'a Connection>, StepError> {
        let mut candidates = cx.connections.values().filter(|connection| self.serves(connection));
        match (candidates.next(), candidates.next()) {
            (Some(one), Some(other)) => {
                let message = format!("name the connection: there are `{}`, `{}`", one.name, other.name);
                Err(self.error("config", message))
            }
            (only, _) => Ok(only),
        }
    }

    fn serves(&self, connection: &Connection) -> bool {
        self.kinds.contains(&connection.kind.as_str())
    }
}
