//! The golden corpus of edition 1: what expressions mean. A row that changes its meaning needs a new edition.
//!
//! Files under `tests/expr` hold rows `EXPRESSION ==> RESULT`. A result is a value in its stored form (so that 1 and 1.0
//! differ, and a timestamp is `{"$time": ms}`), or `! CODE MESSAGE in SNIPPET` for a failure at run time, or
//! `? CODE START..END MESSAGE (HELP)` for a text that is no expression. A line `input JSON`, continued on indented
//! lines, says what the following rows may read. Lines that start with `#` are comments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wf_dsl::{Expr, Scope, Span, Time, Value};

/// What the rows of a file may read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Input {
    roots: BTreeMap<String, Value>,
    steps: BTreeMap<String, Value>,
    vars: BTreeMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    now: i64,
    chance: u8,
}

impl Scope for Input {
    fn root(&self, name: &str) -> Option<Value> {
        self.roots.get(name).cloned()
    }

    fn step(&self, id: &str) -> Option<Value> {
        self.steps.get(id).cloned()
    }

    fn var(&self, name: &str) -> Option<Value> {
        self.vars.get(name).cloned()
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.secrets.get(name).cloned()
    }

    fn now(&self) -> Time {
        Time(self.now)
    }

    fn chance(&self) -> [u8; 32] {
        [self.chance; 32]
    }
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/expr");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// Calls `row` with the input, the place, the expression and the expected result of every row of the corpus.
fn each_row(row: &mut dyn FnMut(&Input, &str, &str, &str)) {
    for path in corpus() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let mut input = Input::default();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let place = format!("{name}:{}", number + 1);
            if let Some(json) = line.strip_prefix("input ") {
                let mut json = json.to_owned();
                while let Some((_, more)) = lines.next_if(|(_, line)| line.starts_with(' ')) {
                    json.push_str(more);
                }
                input = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{place}: {error}"));
            } else if !line.is_empty() && !line.starts_with('#') {
                let (expression, result) =
                    line.split_once(" ==> ").unwrap_or_else(|| panic!("{place}: a row needs ` ==> `"));
                row(&input, &place, expression.trim(), result.trim());
            }
        }
    }
}

fn outcome(input: &Input, text: &str) -> String {
    let span = Span { end: text.len(), ..Span::NOWHERE };
    match Expr::parse(text, span, true) {
        Err(error) => {
            let help = error.help.map_or(String::new(), |help| format!(" ({help})"));
            let Span { start, end, .. } = error.span;
            format!("? {} {start}..{end} {}{help}", error.code, error.message)
        }
        Ok(expr) => match expr.eval(input) {
            Ok(value) => serde_json::to_string(&value).unwrap(),
            Err(error) => format!("! {} {error}", error.code),
        },
    }
}

#[test]
fn every_row_of_the_corpus_gives_its_result() {
    let mut wrong = Vec::new();
    let mut rows = 0;
    each_row(&mut |input, place, expression, expected| {
        rows += 1;
        // The layout of the expected JSON does not count.
        let expected = match serde_json::from_str::<serde_json::Value>(expected) {
            Ok(json) => json.to_string(),
            Err(_) => expected.to_owned(),
        };
        let found = outcome(input, expression);
        if found != expected {
            wrong.push(format!("{place}\n  {expression}\n  expected {expected}\n  found    {found}\n"));
        }
    });
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join(""));
}

#[test]
fn every_expression_prints_as_itself() {
    each_row(&mut |input, place, text, expected| {
        let Ok(expr) = Expr::parse(text, Span::NOWHERE, false) else { return };
        let printed = expr.to_string();
        let again = Expr::parse(&printed, Span::NOWHERE, false)
            .unwrap_or_else(|error| panic!("{place}: printed as `{printed}`: {error}"));
        assert_eq!(again.to_string(), printed, "{place}");
        if !expected.starts_with('!') {
            assert_eq!(outcome(input, &printed), outcome(input, text), "{place}: printed as `{printed}`");
        }
    });
}
