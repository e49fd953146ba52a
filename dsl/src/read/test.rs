//! Files of workflow tests.

use super::literal;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::form::Form;
use crate::node::{Node, Tree};
use crate::project::{
    Expect, ExpectedCall, ExpectedEvent, Happening, Happens, Mock, MockFailure, MockOutcome, TEST_START, TestCase,
    TestFile, TestTrigger,
};
use crate::source::Spanned;
use crate::time::{Period, Time};
use crate::value::Value;

/// Reads a file of tests whose shape has been checked; a `partial` one did not pass, and nothing more is said of it. None
/// if it does not name its workflow.
pub(crate) fn test(tree: Node, partial: bool, found: &mut Findings) -> Option<TestFile> {
    let mut unsaid = Findings::default();
    let found = if partial { &mut unsaid } else { found };
    let workflow = name(tree.get("test")?)?;
    let defaults = tree.get("defaults").map(|node| Defaults::read(node, found)).unwrap_or_default();
    let cases = items(&tree, "cases").filter_map(|node| case(node, &defaults, found)).collect();
    Some(TestFile { workflow, also: names(&tree, "also"), cases, tree, partial })
}

/// What all cases of a file have unless they say otherwise.
#[derive(Default)]
struct Defaults {
    start: Option<Time>,
    trigger: Option<TestTrigger>,
    mocks: Vec<Mock>,
}

impl Defaults {
    fn read(node: &Node, found: &mut Findings) -> Self {
        Defaults {
            start: instant(node, "start", found),
            trigger: node.get("trigger").map(|node| trigger(node, found)),
            mocks: mocks(node, found),
        }
    }
}

fn case(node: &Node, defaults: &Defaults, found: &mut Findings) -> Option<TestCase> {
    let own = Defaults::read(node, found);
    let start = own.start.or(defaults.start).unwrap_or(TEST_START);
    let is_own = |mock: &&Mock| own.mocks.iter().any(|own| own.name.value == mock.name.value);
    let mut mocks: Vec<Mock> = defaults.mocks.iter().filter(|mock| !is_own(mock)).cloned().collect();
    mocks.extend(own.mocks);
    let mut script: Vec<Happening> = items(node, "script").filter_map(|node| happening(node, start, found)).collect();
    script.sort_by_key(|happening| happening.at);
    let trigger = own.trigger.or_else(|| defaults.trigger.clone());
    let expect = node.get("expect").map(|node| expect(node, found)).unwrap_or_default();
    Some(TestCase { name: name(node.get("name")?)?, start, trigger, mocks, script, expect })
}

fn trigger(node: &Node, found: &mut Findings) -> TestTrigger {
    TestTrigger {
        span: node.span,
        event: node.get("event").and_then(name),
        data: node.get("data").cloned(),
        id: text(node, "id"),
        ts: instant(node, "ts", found),
    }
}

fn mocks(node: &Node, found: &mut Findings) -> Vec<Mock> {
    let mut mocks = Vec::new();
    for entry in node.get("mocks").map_or(&[][..], Node::entries) {
        let body = &entry.value;
        if let (Some(_), Some(both)) = (body.get("output"), body.entry("outputs")) {
            let finding = Diagnostic::error(Code::FIELD, both.key.span, "a mock has `output` or `outputs`, not both");
            found.push(finding);
        }
        let outputs = match body.get("output") {
            Some(output) => vec![output.clone()],
            None => items(body, "outputs").cloned().collect(),
        };
        let takes = period(body, "takes", found).unwrap_or(Period::ZERO);
        let fail = body.get("fail").and_then(|fail| failure(fail, found));
        let outcomes: Vec<MockOutcome> = items(body, "outcomes").filter_map(|node| outcome(node, found)).collect();
        if let (false, Some(both)) = (outcomes.is_empty(), body.entries().iter().find(|e| e.key.value != "outcomes")) {
            let message = format!("a mock with `outcomes` has no `{}`: each outcome has its own", both.key.value);
            found.push(Diagnostic::error(Code::FIELD, both.key.span, message));
        }
        mocks.push(Mock { name: entry.key.clone(), outputs, takes, fail, outcomes });
    }
    mocks
}

fn failure(node: &Node, found: &mut Findings) -> Option<MockFailure> {
    Some(MockFailure {
        code: name(node.get("code")?)?,
        message: text(node, "message"),
        times: whole(node, "times").and_then(|times| u32::try_from(times).ok()),
        retry_after: period(node, "retry_after", found),
        data: node.get("data").cloned(),
    })
}

fn outcome(node: &Node, found: &mut Findings) -> Option<MockOutcome> {
    if ["output", "fail", "hangs"].iter().filter(|key| node.get(key).is_some()).count() != 1 {
        let message = "an outcome has one of `output`, `fail` and `hangs`";
        found.push(Diagnostic::error(Code::FIELD, node.span, message));
        return None;
    }
    if let Some(times) = node.get("fail").and_then(|fail| fail.entry("times")) {
        let finding = Diagnostic::error(Code::FIELD, times.key.span, "an outcome is that of one call");
        found.push(finding.help("write it once for each call; the last outcome holds for all that follow"));
    }
    Some(MockOutcome {
        span: node.span,
        output: node.get("output").cloned(),
        fail: node.get("fail").and_then(|fail| failure(fail, found)),
        hangs: node.get("hangs").is_some(),
        takes: period(node, "takes", found).unwrap_or(Period::ZERO),
        iteration: text(node, "iteration"),
    })
}

fn happening(node: &Node, start: Time, found: &mut Findings) -> Option<Happening> {
    let refuse = |found: &mut Findings, message: &str| {
        found.push(Diagnostic::error(Code::FIELD, node.span, message));
        None
    };
    let at = match (node.get("at"), node.get("after")) {
        (Some(_), Some(_)) | (None, None) => {
            return refuse(found, "an entry of `script` has either `at` or `after`");
        }
        (Some(place), None) => {
            let at = instant(node, "at", found)?;
            if at < start {
                let finding = Diagnostic::error(Code::FIELD, place.span, "this lies before the start of the case");
                found.push(finding.help(format!("the case starts at {start}")));
                return None;
            }
            at
        }
        (None, Some(_)) => start.checked_add(period(node, "after", found)?)?,
    };
    let what = match (node.get("event").and_then(name), node.get("restart"), text(node, "cancel")) {
        (Some(name), None, None) => Happens::Event { name, data: node.get("data").cloned(), id: text(node, "id") },
        (None, Some(_), None) => Happens::Restart,
        (None, None, Some(reason)) => Happens::Cancel(reason),
        _ => return refuse(found, "an entry of `script` has one of `event`, `restart` and `cancel`"),
    };
    Some(Happening { at, span: node.span, what })
}

fn expect(node: &Node, found: &mut Findings) -> Expect {
    let mut calls = Vec::new();
    for call in items(node, "calls") {
        let Some(step) = call.get("step").and_then(name) else { continue };
        let (at, with) = (instant(call, "at", found), call.get("with").cloned());
        calls.push(ExpectedCall { step, at, with, times: whole(call, "times") });
    }
    let mut events = Vec::new();
    for event in items(node, "events") {
        let Some(name) = event.get("name").and_then(name) else { continue };
        events.push(ExpectedEvent { name, at: instant(event, "at", found), data: event.get("data").cloned() });
    }
    Expect {
        status: text(node, "status"),
        output: node.get("output").cloned(),
        error: node.get("error").cloned(),
        runs: whole(node, "runs"),
        path: node.get("path").map(|_| names(node, "path")),
        skipped: names(node, "skipped"),
        never: names(node, "never"),
        elapsed: period(node, "elapsed", found),
        calls,
        events,
    }
}

/// A text as it stands: nothing is evaluated in a test.
fn name(node: &Node) -> Option<Spanned<String>> {
    node.as_str().map(|text| Spanned::new(text.to_owned(), node.span))
}

fn names(node: &Node, key: &str) -> Vec<Spanned<String>> {
    items(node, key).filter_map(name).collect()
}

fn items<'n>(node: &'n Node, key: &str) -> impl Iterator<Item = &'n Node> {
    node.get(key).map_or(&[][..], Node::items).iter()
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.as_str().map(str::to_owned)
}

fn whole(node: &Node, key: &str) -> Option<u64> {
    match node.get(key)?.tree {
        Tree::Int(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

fn period(node: &Node, key: &str, found: &mut Findings) -> Option<Period> {
    literal::period(node.get(key)?, found)
}

fn instant(node: &Node, key: &str, found: &mut Findings) -> Option<Time> {
    match literal::instant(node.get(key)?, found)? {
        Form::Literal(Value::Time(time), _) => Some(time),
        Form::Literal(..) => None,
        // What is no literal is an expression, and there are none in tests.
        form => {
            let finding = Diagnostic::error(Code::EXPRESSION, form.span(), "nothing is evaluated in a test");
            found.push(finding.help("write the instant itself, such as `2025-10-01T09:00:00Z`"));
            None
        }
    }
}
