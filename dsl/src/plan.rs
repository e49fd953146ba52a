//! A workflow as the engine runs it: an arena of steps and the lists they stand in.
//!
//! Ids are unique in a file, nested steps included, so a step's id is its path. The arena is in the order of
//! the file. Every list but the root belongs to a step and has a role there; `next` jumps to a step of the same
//! list or of one that encloses it.

mod forms;
mod limits;
mod normal;
mod stored;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::catalog::Kind;
use crate::form::Form;
use crate::source::{Span, Spanned};
use crate::time::Period;
use crate::types::Type;

pub use limits::{
    Batch, Collect, Concurrency, Debounce, IdempotencyLimit, Limits, OnConflict, RateLimit, Throttle, Unique,
};
pub use stored::{PLAN_EDITION, PLAN_FORMAT, PlanError};

/// A definition with everything it needs, ready to run. Shared by all runs that are pinned to it.
#[derive(Debug)]
pub struct Plan {
    /// SHA-256 of [`Plan::stored`].
    pub hash: PlanHash,
    /// The closure as canonical JSON: what is stored, and what `Plan::load` reads.
    pub stored: Arc<str>,
    /// The workflow.
    pub workflow: Workflow,
    /// The event types that the workflow names, by event name.
    pub events: BTreeMap<String, EventType>,
    /// The message templates that it names, by template name.
    pub templates: BTreeMap<String, MessageTemplate>,
    /// The step kinds that it uses, by name.
    pub kinds: BTreeMap<String, Kind>,
}

/// What pins a run to its definition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanHash(pub [u8; 32]);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // One write for the whole text: a hash stands in every head that is stored.
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanHash({self})")
    }
}

/// An event type.
#[derive(Clone, Debug)]
pub struct EventType {
    /// Its name.
    pub name: Spanned<String>,
    /// The type of its data.
    pub data: Type,
    /// It comes from outside the project.
    pub external: bool,
    /// For people.
    pub description: Option<String>,
}

/// A message template: up to three texts of one name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MessageTemplate {
    /// `<name>.txt`, front matter included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `<name>.html`, front matter included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// `<name>.sms`, front matter included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<String>,
}

/// The index of a step in [`Workflow::steps`]. Never stored: a stored place is the step's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIx(pub u32);

/// The index of a list in [`Workflow::lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListIx(pub u32);

/// One workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// `workflow:`
    pub name: Spanned<String>,
    /// `description:`
    pub description: Option<String>,
    /// `labels:`
    pub labels: BTreeMap<String, String>,
    /// `triggers:`
    pub triggers: Vec<Trigger>,
    /// `input:`, the signature of a workflow without an event trigger.
    pub input: Option<Type>,
    /// `vars:`
    pub vars: IndexMap<String, Variable>,
    /// `limits:`
    pub limits: Option<Spanned<Limits>>,
    /// `cancel_on:`
    pub cancel_on: Vec<EventMatch>,
    /// `timeout:`; a literal is a period.
    pub timeout: Option<Form>,
    /// All steps, in the order of the file.
    pub steps: Vec<Step>,
    /// All lists of steps; the first is the root.
    pub lists: Vec<List>,
    /// The workflow's own `catch:`
    pub catch: Vec<Handler>,
    /// The workflow's own `finally:`
    pub finally: Option<ListIx>,
    /// Steps by id.
    pub by_id: HashMap<Arc<str>, StepIx>,
    /// Part of the file could not be read, and the findings say so: a name that seems unknown may be declared
    /// there. Always false in a plan.
    pub partial: bool,
}

/// A list of steps that run one after the other.
#[derive(Clone, Debug)]
pub struct List {
    /// Whose list it is.
    pub owner: Owner,
    /// The steps in their order.
    pub steps: Vec<StepIx>,
}

/// Whose a list is, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `steps:` of the workflow.
    Root,
    /// The workflow's `catch`, by case.
    RootCatch(u32),
    /// The workflow's `finally`.
    RootFinally,
    /// A list inside a step.
    Step(StepIx, Role),
}

/// What a list is for in its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The steps of a `do` or the body of a `for_each`.
    Body,
    /// The steps of a case of `switch` or `wait`, by case.
    Case(u32),
    /// A branch of `parallel`, by branch.
    Branch(u32),
    /// The steps of a `catch` case, by case.
    Catch(u32),
    /// `undo:`
    Undo,
    /// `finally:`
    Finally,
}

/// What starts runs.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// An event.
    Event {
        /// Its name.
        event: Spanned<String>,
        /// A filter on `event`.
        filter: Option<Form>,
    },
    /// A schedule.
    Cron {
        /// Five fields, or `@daily` and the like.
        cron: Spanned<String>,
        /// An IANA time zone; the project's by default.
        timezone: Spanned<String>,
        /// What to do while an earlier run is open.
        overlap: Overlap,
        /// What to do with ticks that were missed.
        catch_up: CatchUp,
    },
}

/// What a cron tick does while an earlier run is open; parked runs count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Start another run.
    #[default]
    Allow,
    /// Drop the tick.
    Skip,
    /// Start when the earlier run has ended.
    Queue,
}

/// What happens to ticks that fell into a time when nobody was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// They are dropped.
    None,
    /// The last one is run.
    #[default]
    Last,
    /// All are run.
    All,
}

/// A variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Where its name stands.
    pub span: Span,
    /// Its declared type, if `{type, value}` was written.
    pub ty: Option<Type>,
    /// Its first value.
    pub value: Form,
}

/// An event that is waited for.
#[derive(Clone, Debug)]
pub struct EventMatch {
    /// Its name.
    pub event: Spanned<String>,
    /// Fields of its data (dotted for nested ones) and what they must equal, in the order of the file.
    pub matches: Vec<(Spanned<String>, Form)>,
    /// A condition on the candidate, which is called `it`.
    pub filter: Option<Form>,
    /// From when on events count, if not from the end of the previous wait.
    pub since: Option<Form>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// `id:`
    pub id: Arc<str>,
    /// Where the id stands.
    pub id_span: Span,
    /// The kind's key and where it stands.
    pub kind: Spanned<String>,
    /// What the step does.
    pub body: Body,
    /// `if:`
    pub condition: Option<Form>,
    /// `returns:`
    pub returns: Option<Type>,
    /// The retry policies in force, defaults applied; the first that matches an error counts.
    pub retry: Vec<Retry>,
    /// Where the key `retry` stands, if the step has one of its own.
    pub retry_span: Option<Span>,
    /// The timeout in force, defaults applied: of an attempt, or in all for a block. A literal is a period.
    pub timeout: Option<Form>,
    /// `idempotency_key:`
    pub idempotency_key: Option<Form>,
    /// `undo:`
    pub undo: Option<ListIx>,
    /// `catch:`
    pub catch: Vec<Handler>,
    /// `finally:` of a `do`.
    pub finally: Option<ListIx>,
    /// `next:`
    pub next: Option<Spanned<StepIx>>,
    /// `description:`
    pub description: Option<String>,
    /// The list the step stands in.
    pub list: ListIx,
    /// Its place in that list, from 0.
    pub place: u32,
    /// The whole step in the file.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Body {
    /// An effect of a registered kind: everything that is not the core's own. A step of the core whose body could
    /// not be read is one too, with findings that say so; no plan has such a step.
    Effect(Form),
    /// `send_event`
    SendEvent {
        /// The event's name.
        name: Spanned<String>,
        /// Its data.
        data: Form,
        /// The sender's id.
        id: Option<Form>,
        /// How long after now the event counts as sent; a literal is a period.
        delay: Option<Form>,
    },
    /// `invoke`
    Invoke {
        /// The workflow's name.
        workflow: Spanned<String>,
        /// The data of its trigger.
        with: Form,
        /// Do not wait for it.
        detach: bool,
    },
    /// `set`
    Set(Vec<(Spanned<String>, Form)>),
    /// `sleep`; a literal is a period.
    Sleep(Form),
    /// `sleep_until`
    SleepUntil {
        /// When to go on; a literal is a timestamp.
        time: Form,
        /// Fail with `sleep.past` if that is past already.
        fail_if_past: bool,
        /// `if_past` is written, so that what happens then is meant.
        if_past_written: bool,
    },
    /// `wait`
    Wait(Vec<Alternative>),
    /// `switch`
    Switch(Vec<Case>),
    /// `parallel`
    Parallel {
        /// The branches in the order of the file.
        branches: Vec<(Spanned<String>, ListIx)>,
        /// When the step is done.
        join: Spanned<Join>,
    },
    /// `for_each`
    ForEach(ForEach),
    /// `do`
    Do(ListIx),
    /// `fail`
    Fail {
        /// The error's code.
        code: Form,
        /// Its message.
        message: Form,
        /// More about it.
        data: Option<Form>,
    },
    /// `finish`
    Finish(Form),
}

/// A case of `switch`.
#[derive(Clone, Debug)]
pub struct Case {
    /// The guard; a literal `true` in the default case.
    pub when: Form,
    /// Its steps.
    pub steps: Option<ListIx>,
    /// Where to go on after them.
    pub next: Option<Spanned<StepIx>>,
    /// The whole case.
    pub span: Span,
}

/// An alternative of `wait`.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// What it waits for.
    pub guard: WaitGuard,
    /// Its steps.
    pub steps: Option<ListIx>,
    /// Where to go on after them.
    pub next: Option<Spanned<StepIx>>,
    /// The whole alternative.
    pub span: Span,
}

/// What an alternative of `wait` waits for.
#[derive(Clone, Debug)]
pub enum WaitGuard {
    /// An event.
    Event(EventMatch),
    /// A length of time; none is `forever`, a literal is a period.
    After(Option<Form>),
    /// An instant; a literal is a timestamp.
    Until(Form),
}

/// A case of `catch`.
#[derive(Clone, Debug)]
pub struct Handler {
    /// Error codes, `family.*` or `*`.
    pub errors: Vec<Spanned<String>>,
    /// Its steps.
    pub steps: Option<ListIx>,
    /// Where to go on after them.
    pub next: Option<Spanned<StepIx>>,
    /// The whole case.
    pub span: Span,
}

/// When a `parallel` is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// All branches succeeded, or the first failed.
    #[default]
    All,
    /// All branches ended.
    Settled,
    /// The first success.
    Any,
    /// The first end of either sort.
    Race,
}

/// A loop over a list.
#[derive(Clone, Debug)]
pub struct ForEach {
    /// The list.
    pub items: Form,
    /// The item's name.
    pub item: Spanned<String>,
    /// The index's name.
    pub index: Option<Spanned<String>>,
    /// The identity of an iteration.
    pub key: Option<Form>,
    /// How many iterations may execute at once; none is strictly one after another.
    pub concurrency: Option<Form>,
    /// Go on when an iteration fails.
    pub go_on: bool,
    /// How many may fail.
    pub max_failures: Option<MaxFailures>,
    /// The steps of an iteration.
    pub steps: ListIx,
    /// Whether some expression reads the step's `outputs`.
    pub outputs_read: bool,
}

/// How many iterations may fail before the loop does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxFailures {
    /// A number.
    Count(u64),
    /// A share of all items, 0 to 100.
    Percent(f64),
}

/// A retry policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included; none is unbounded.
    pub max_attempts: Option<u32>,
    /// How the delays grow.
    pub delay: Delay,
    /// No delay is longer.
    pub max_delay: Option<Period>,
    /// No attempt starts later than this after the first.
    pub max_elapsed: Option<Period>,
    /// `jitter: full`: a delay is drawn evenly between zero and the computed one.
    pub jitter: bool,
    /// Only these codes; makes them retriable.
    pub only: Vec<String>,
    /// Not these codes.
    pub except: Vec<String>,
}

/// How the delays of a [`Retry`] grow.
#[derive(Clone, Debug, PartialEq)]
pub enum Delay {
    /// `first`, then each `factor` times the one before.
    Exponential {
        /// The delay before the second attempt.
        first: Period,
        /// What each later one is multiplied by; 1 is constant.
        factor: f64,
    },
    /// These, one after the other.
    List(Vec<Period>),
}

impl Workflow {
    /// The root list.
    pub const ROOT: ListIx = ListIx(0);

    /// A step.
    pub fn step(&self, ix: StepIx) -> &Step {
        &self.steps[ix.0 as usize]
    }

    /// A list.
    pub fn list(&self, ix: ListIx) -> &List {
        &self.lists[ix.0 as usize]
    }

    /// The step with this id.
    pub fn find(&self, id: &str) -> Option<StepIx> {
        self.by_id.get(id).copied()
    }
}

impl Step {
    /// The lists inside the step, handlers included.
    pub fn lists(&self) -> impl Iterator<Item = ListIx> {
        let body: Vec<ListIx> = match &self.body {
            Body::Do(list) => vec![*list],
            Body::ForEach(for_each) => vec![for_each.steps],
            Body::Switch(cases) => cases.iter().filter_map(|case| case.steps).collect(),
            Body::Wait(cases) => cases.iter().filter_map(|case| case.steps).collect(),
            Body::Parallel { branches, .. } => branches.iter().map(|(_, list)| *list).collect(),
            _ => Vec::new(),
        };
        let handlers = self.catch.iter().filter_map(|handler| handler.steps);
        body.into_iter().chain(handlers).chain(self.undo).chain(self.finally)
    }
}

/// A text that is not a plan's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a plan's hash: expected 64 hexadecimal digits")]
pub struct ParsePlanHashError;

impl std::str::FromStr for PlanHash {
    type Err = ParsePlanHashError;

    fn from_str(text: &str) -> Result<Self, ParsePlanHashError> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(ParsePlanHashError);
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| ParsePlanHashError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ParsePlanHashError)?;
        }
        Ok(PlanHash(hash))
    }
}
