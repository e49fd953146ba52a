//! Step kinds that do as their bodies say, and what they were asked.

use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::{Value as Json, json};
use wf_dsl::Period;
use wf_engine::{BoxFuture, Catalog, Effect, ErrorCode, Kind, Output, RunId, StepContext, StepError, StepKind, Time};

/// All calls of one world, in the order in which they began.
pub(crate) type Calls = Arc<Mutex<Vec<Call>>>;

/// One attempt, as the kind sees it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Time,
    pub(crate) run: RunId,
    pub(crate) workflow: String,
    pub(crate) step: String,
    pub(crate) attempt: u32,
    pub(crate) key: String,
    pub(crate) effect: String,
    pub(crate) say: Json,
    /// How it ended; none if it did not.
    pub(crate) result: Option<String>,
}

/// What a body says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// For people.
    #[serde(default)]
    say: Json,
    /// The output.
    #[serde(default)]
    gives: Json,
    /// What the attempts come to, one after the other; the last holds for all that follow. `ok`, `panic`, or an error
    /// code, with ` after 10s` if the peer asks for that delay.
    #[serde(default)]
    results: Vec<String>,
    /// How long an attempt takes.
    #[serde(default)]
    takes: Option<String>,
    /// The output is a text of so many bytes of JSON.
    #[serde(default)]
    bytes: Option<usize>,
}

/// `test.call`, which does as its body says; `test.typed`, which must give `{n: int}`.
pub(crate) struct TestKind {
    name: &'static str,
    calls: Calls,
}

/// All kinds of the tests.
pub(crate) fn all(calls: &Calls) -> Vec<Arc<dyn StepKind>> {
    let kind = |name| Arc::new(TestKind { name, calls: calls.clone() }) as Arc<dyn StepKind>;
    vec![kind("test.call"), kind("test.typed")]
}

/// What the language should know of them.
pub(crate) fn catalog() -> Catalog {
    all(&Calls::default()).iter().map(|kind| kind.describe()).collect()
}

impl StepKind for TestKind {
    fn describe(&self) -> Kind {
        let typed = self.name == "test.typed";
        let output = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let code = |code: &str, retriable| ErrorCode { code: code.into(), retriable };
        Kind {
            name: self.name.into(),
            description: String::new(),
            body: json!({"type": "object"}),
            output: if typed { output } else { json!({}) },
            errors: vec![code("test.busy", true), code("test.limited", true), code("test.broken", false)],
            effect: Effect::Keyed,
            repeats: std::collections::BTreeMap::new(),
            literal_fields: Vec::new(),
            secret_fields: vec!["say".into()],
            connections: Vec::new(),
            open_output: !typed,
            returns_at: String::new(),
            examples: Vec::new(),
        }
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let body: Body = serde_json::from_value(args).map_err(|error| StepError::new("test", error.to_string()))?;
            let call = Call {
                at: cx.clock.now(),
                run: cx.run,
                workflow: cx.workflow.to_string(),
                step: cx.step.to_string(),
                attempt: cx.attempt,
                key: cx.key.clone(),
                effect: cx.effect.clone(),
                say: body.say,
                result: None,
            };
            let number = {
                let mut calls = self.calls.lock().unwrap();
                calls.push(call);
                calls.len() - 1
            };
            if let Some(takes) = &body.takes {
                let takes: Period = takes.parse().expect("`takes` is a duration");
                tokio::time::sleep_until(tokio::time::Instant::now() + takes.to_std()).await;
            }
            let at = (cx.attempt as usize - 1).min(body.results.len().saturating_sub(1));
            let result = body.results.get(at).map_or("ok", String::as_str);
            self.calls.lock().unwrap()[number].result = Some(result.to_owned());
            let (code, after) = match result.split_once(" after ") {
                Some((code, after)) => (code, Some(after.parse::<Period>().expect("a duration").to_std())),
                None => (result, None),
            };
            match code {
                "ok" => {
                    let text = body.bytes.map(|bytes| json!("x".repeat(bytes - 2)));
                    Ok(Output { value: text.unwrap_or(body.gives) })
                }
                "panic" => panic!("as the case says"),
                code => {
                    let data = json!({"attempt": cx.attempt});
                    Err(StepError { retry_after: after, data, ..StepError::new(code, "as the case says") })
                }
            }
        })
    }
}
