//! Workflow tests, as their files have them: cases with what is mocked, what happens, and what is expected.

use crate::node::Node;
use crate::source::{Span, Spanned};
use crate::time::{Period, Time};

/// When a case starts that does not say: 2026-01-01T00:00:00Z.
pub const TEST_START: Time = Time(1_767_225_600_000);

/// A file of workflow tests.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// `test:`, the workflow under test.
    pub workflow: Spanned<String>,
    /// `also:`, other workflows that may start.
    pub also: Vec<Spanned<String>>,
    /// `cases:`, each with what `defaults:` gives it.
    pub cases: Vec<TestCase>,
    /// The whole file.
    pub tree: Node,
    /// The file has mistakes of shape, and the findings say so: something may be missing here.
    pub partial: bool,
}

impl TestFile {
    /// The workflows that start: the one under test and the others.
    pub fn workflows(&self) -> impl Iterator<Item = String> {
        std::iter::once(&self.workflow).chain(&self.also).map(|name| name.value.clone())
    }

    /// The events that its cases name.
    pub(crate) fn events(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().flat_map(|case| {
            let trigger = case.trigger.iter().filter_map(|trigger| trigger.event.as_ref());
            let script = case.script.iter().filter_map(|happening| match &happening.what {
                Happens::Event { name, .. } => Some(name),
                Happens::Restart | Happens::Cancel(_) => None,
            });
            let expected = case.expect.events.iter().map(|event| &event.name);
            trigger.chain(script).chain(expected).map(|name| name.value.as_str())
        })
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// `name:`
    pub name: Spanned<String>,
    /// `start:`, when virtual time begins; [`TEST_START`] by default.
    pub start: Time,
    /// `trigger:`, what starts the run.
    pub trigger: Option<TestTrigger>,
    /// `mocks:`, by step or kind; a case's own take the place of the default ones of the same name.
    pub mocks: Vec<Mock>,
    /// `script:`, in the order of time.
    pub script: Vec<Happening>,
    /// `expect:`
    pub expect: Expect,
}

/// What starts the run of a case.
#[derive(Clone, Debug)]
pub struct TestTrigger {
    /// Where it stands.
    pub span: Span,
    /// `event:`; without it, the workflow's one trigger, or its `input`.
    pub event: Option<Spanned<String>>,
    /// `data:`
    pub data: Option<Node>,
    /// `id:`, the sender's id.
    pub id: Option<String>,
    /// `ts:`, when the event happened.
    pub ts: Option<Time>,
}

/// What an effect or an `invoke` comes to in a test.
#[derive(Clone, Debug)]
pub struct Mock {
    /// The step or kind that it stands for.
    pub name: Spanned<String>,
    /// The outputs, one call after the other; the last holds for all that follow. One for `output:`.
    pub outputs: Vec<Node>,
    /// `takes:`, how long each call takes; no time by default.
    pub takes: Period,
    /// `fail:`
    pub fail: Option<MockFailure>,
    /// `outcomes:`, what one call after the other comes to; then there is none of the others.
    pub outcomes: Vec<MockOutcome>,
}

/// What one call of a mock comes to: an output, a failure, or nothing.
#[derive(Clone, Debug)]
pub struct MockOutcome {
    /// Where it stands.
    pub span: Span,
    /// `output:`
    pub output: Option<Node>,
    /// `fail:`; its `times` is not said.
    pub fail: Option<MockFailure>,
    /// `hangs:`, there is no answer.
    pub hangs: bool,
    /// `takes:`, how long the call takes.
    pub takes: Period,
    /// `iteration:`, the iterations and branches of the calls that it is for; for any if it is not said.
    pub iteration: Option<String>,
}

/// How the calls of a mock fail.
#[derive(Clone, Debug)]
pub struct MockFailure {
    /// `code:`
    pub code: Spanned<String>,
    /// `message:`
    pub message: Option<String>,
    /// `times:`, how many calls fail before the outputs come; all of them by default.
    pub times: Option<u32>,
    /// `retry_after:`, the delay that the peer asks for.
    pub retry_after: Option<Period>,
    /// `data:`, what `error.data` is.
    pub data: Option<Node>,
}

/// One entry of `script`.
#[derive(Clone, Debug)]
pub struct Happening {
    /// When.
    pub at: Time,
    /// Where the entry stands.
    pub span: Span,
    /// What.
    pub what: Happens,
}

/// What an entry of `script` does.
#[derive(Clone, Debug)]
pub enum Happens {
    /// An event is sent.
    Event {
        /// Its name.
        name: Spanned<String>,
        /// Its data.
        data: Option<Node>,
        /// The sender's id.
        id: Option<String>,
    },
    /// The engine is dropped, and a new one opens the store.
    Restart,
    /// Somebody asks the run to end, for this reason.
    Cancel(String),
}

/// What must have come of a case. What is not said is not compared.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// How the run ended: `finished`, `failed` or `cancelled`.
    pub status: Option<String>,
    /// What it finished with; of maps, the fields that are named.
    pub output: Option<Node>,
    /// Why it failed: `code`, `message`, `step` and `data`, as far as they are named.
    pub error: Option<Node>,
    /// How many runs there were.
    pub runs: Option<u64>,
    /// The steps of the outermost list that ran, all of them in order.
    pub path: Option<Vec<Spanned<String>>>,
    /// Steps whose `if` was false.
    pub skipped: Vec<Spanned<String>>,
    /// Steps that were not called in any run.
    pub never: Vec<Spanned<String>>,
    /// How long the run took.
    pub elapsed: Option<Period>,
    /// Calls in their order, others may lie between them.
    pub calls: Vec<ExpectedCall>,
    /// Events that were sent, in their order; others may lie between them.
    pub events: Vec<ExpectedEvent>,
}

/// A call that is expected.
#[derive(Clone, Debug)]
pub struct ExpectedCall {
    /// `step:`
    pub step: Spanned<String>,
    /// `at:`
    pub at: Option<Time>,
    /// `with:`, the fields of the body that are compared.
    pub with: Option<Node>,
    /// `times:`, how many calls of the step there are in all.
    pub times: Option<u64>,
}

/// An event that is expected.
#[derive(Clone, Debug)]
pub struct ExpectedEvent {
    /// `name:`
    pub name: Spanned<String>,
    /// `at:`
    pub at: Option<Time>,
    /// `data:`, the fields that are compared.
    pub data: Option<Node>,
}
