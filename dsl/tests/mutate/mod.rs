//! One change to a project, made on its text.

mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use regex::Regex;

pub(crate) use random::Random;

/// The files of a project: path and text.
pub(crate) type Texts = BTreeMap<String, String>;

/// What is changed.
pub(crate) const OPERATORS: [&str; 15] = [
    "rename a key",
    "rename an id",
    "rename a field",
    "rename a variable",
    "rename a function",
    "rename an event",
    "rename a workflow",
    "rename a template",
    "rename a parameter",
    "delete a required field",
    "delete a step",
    "delete something used",
    "another type",
    "indent more",
    "indent less",
];

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Mutation {
    pub(crate) what: String,
    path: String,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    /// These bytes become this text.
    Text(Range<usize>, String),
    /// The file gets another path; with none it is gone.
    Path(Option<String>),
}

impl Mutation {
    /// The project with the change.
    pub(crate) fn apply(&self, texts: &Texts) -> Texts {
        let mut texts = texts.clone();
        match &self.change {
            Change::Text(range, with) => {
                let text = texts.get_mut(&self.path).expect("the file is there");
                text.replace_range(range.clone(), with);
            }
            Change::Path(path) => {
                let text = texts.remove(&self.path).expect("the file is there");
                if let Some(path) = path {
                    texts.insert(path.clone(), text);
                }
            }
        }
        texts
    }
}

/// The words of the language that stand as keys.
const KEYS: &str = "workflow|triggers|event|cron|timezone|overlap|catch_up|limits|throttle|limit|per|key|unique|\
    on_conflict|rate_limit|concurrency|cancel_on|match|vars|defaults|retry|timeout|steps|id|if|switch|when|next|do|\
    parallel|join|branches|for_each|in|as|on_error|max_failures|invoke|with|send_event|name|data|set|sleep|sleep_until|\
    time|if_past|wait|after|until|fail|code|message|finish|catch|errors|finally|returns|returns\\[\\]|idempotency_key|\
    email|to|template|subject|text|html|sms|http|method|url|headers|query|json|db.query|db.exec|sql|params|expect|log|\
    level|fields|redis.get|redis.set|redis.incr|value|ttl|events|external|project|connections|kind|retries|delays|\
    max_attempts|delay|factor|max_delay|jitter|statements|input|debounce|batch|within|quiet|undo|detach|expect_status";

/// Fields without which their kind is nothing.
const REQUIRED: &str = "id|to|url|sql|in|as|event|workflow|template|code|message|name|when|errors|branches|steps|time|\
    key|limit|per|max_attempts";

/// All changes to a project, by operator.
pub(crate) fn sites(texts: &Texts) -> BTreeMap<&'static str, Vec<Mutation>> {
    let mut sites = Sites { texts, by_operator: BTreeMap::new() };
    let all = texts.values().cloned().collect::<Vec<_>>().join("\n");
    for (path, text) in texts {
        if path.starts_with("tests/") || path.starts_with("samples/") {
            continue;
        }
        if path.starts_with("templates/") {
            sites.template(path, text, &all);
        } else {
            sites.yaml(path, text, &all);
        }
    }
    sites.by_operator
}

struct Sites<'t> {
    texts: &'t Texts,
    by_operator: BTreeMap<&'static str, Vec<Mutation>>,
}

impl Sites<'_> {
    fn add(&mut self, operator: &'static str, path: &str, what: String, change: Change) {
        let mutation = Mutation { what: format!("{path}: {what}"), path: path.to_owned(), change };
        self.by_operator.entry(operator).or_default().push(mutation);
    }

    /// A rename of everything that the first group of a pattern matches.
    fn rename(&mut self, operator: &'static str, path: &str, text: &str, pattern: &str) {
        let pattern = Regex::new(pattern).expect("the pattern compiles");
        for found in pattern.captures_iter(text) {
            let name = found.get(1).expect("the pattern has a group");
            let other = misspelt(name.as_str());
            let what = format!("`{}` becomes `{other}`", name.as_str());
            self.add(operator, path, what, Change::Text(name.range(), other));
        }
    }

    fn yaml(&mut self, path: &str, text: &str, all: &str) {
        let own = !path.starts_with("events/");
        if own {
            self.rename("rename a key", path, text, &format!(r"(?m)^ *(?:- )*({KEYS}):(?: |$)"));
        }
        self.rename("rename an id", path, text, r"(?m)^ *- id: (\w+)$");
        self.rename("rename an id", path, text, r"steps\.(\w+)");
        self.rename("rename an id", path, text, r"(?m)^ *next: (\w+)$");
        self.rename("rename a field", path, text, r"(?:event|it)\.data\.(\w+)");
        self.rename("rename a field", path, text, r"steps\.\w+\??\.(\w+)[^\w(]");
        self.rename("rename a variable", path, text, r"vars\.(\w+)");
        self.rename("rename a function", path, text, r"\b(now|div|timestamp|duration)\(");
        self.rename("rename a function", path, text, r"\.(\w+)\(");
        self.rename("rename an event", path, text, r"(?m)^ *- event: (\S+)$");
        self.rename("rename an event", path, text, r"send_event:\n +name: (\S+)\n");
        self.rename("rename a workflow", path, text, r"(?m)^workflow: (\S+)$");
        self.rename("rename a workflow", path, text, r"invoke:\n +workflow: (\S+)\n");
        self.rename("rename a template", path, text, r"(?m)^ *template: ([\w-]+)$");
        self.blocks(path, text, all);
        self.other_types(path, text);
        self.indents(path, text);
        let required = Regex::new(&format!(r"(?m)^ *({REQUIRED}): \S.*\n")).expect("the pattern compiles");
        for found in required.captures_iter(text) {
            let whole = found.get(0).expect("a match has a place");
            let what = format!("without `{}`", whole.as_str().trim());
            self.add("delete a required field", path, what, Change::Text(whole.range(), String::new()));
        }
    }

    /// Keys with what stands below them.
    fn blocks(&mut self, path: &str, text: &str, all: &str) {
        let lines = Lines::of(text);
        for (number, line) in lines.iter().enumerate() {
            let block = lines.block(number);
            let below = |outer: &str| lines.parent(number).is_some_and(|parent| lines.key(parent) == Some(outer));
            if let Some(id) = line.text.trim_start().strip_prefix("- id: ") {
                let used = [format!("steps.{id}"), format!("next: {id}\n")].iter().any(|use_| all.contains(use_));
                if used {
                    self.add("delete a step", path, format!("without `{id}`"), Change::Text(block, String::new()));
                }
                continue;
            }
            let Some(key) = lines.key(number) else { continue };
            let name = key.trim_end_matches(['?', '[', ']']);
            let start = line.start + line.indent;
            let in_name = start..start + name.len();
            let renamed = || Change::Text(in_name.clone(), misspelt(name));
            let what = format!("`{name}`");
            if below("vars") {
                self.add("rename a variable", path, what.clone(), renamed());
                self.add("delete something used", path, what.clone(), Change::Text(block.clone(), String::new()));
            }
            if below("set") {
                self.add("rename a variable", path, what.clone(), renamed());
            }
            if (below("data") && path.starts_with("events/")) || below("returns") || below("returns[]") {
                let used = Regex::new(&format!(r"\.{name}\b")).expect("the pattern compiles").is_match(all);
                if used {
                    self.add("rename a field", path, what.clone(), renamed());
                    self.add("delete something used", path, what.clone(), Change::Text(block.clone(), String::new()));
                }
            }
            if below("events") && !path.ends_with("wf.yaml") {
                self.add("rename an event", path, what.clone(), renamed());
                self.add("delete something used", path, what.clone(), Change::Text(block.clone(), String::new()));
            }
            if below("with") || (below("params") && !path.starts_with("templates/")) {
                self.add("rename a parameter", path, what.clone(), renamed());
                self.add("delete something used", path, what, Change::Text(block, String::new()));
            }
        }
    }

    fn template(&mut self, path: &str, text: &str, all: &str) {
        let (start, extension) = path.rsplit_once('.').expect("a template has an extension");
        let name = start.trim_start_matches("templates/");
        if all.contains(name) {
            let other = format!("templates/{}.{extension}", misspelt(name));
            self.add("rename a template", path, format!("becomes `{other}`"), Change::Path(Some(other)));
            self.add("rename a template", path, "is gone".to_owned(), Change::Path(None));
        }
        if let Some((front, _)) = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")) {
            self.rename("rename a parameter", path, &text[..front.len() + 4], r"(?m)^  (\w+)\??(?:\[\])?:");
        }
        self.rename("rename a parameter", path, text, r"\{\{ (\w+)");
        assert!(self.texts.contains_key(path));
    }

    /// Literals that become ones of another type.
    fn other_types(&mut self, path: &str, text: &str) {
        let pairs = [
            (r"(?m)^ *(?:- )*[\w.]+: (\d+)$", "soon"),
            (r"(?m)^ *(?:- )*[\w.]+: (true|false)$", "7"),
            (r"(?m)^ *(?:- )*[\w.]+: (\d+(?:ms|s|m|h|d))$", "true"),
            (r"(?m)^ *(?:- )*[\w.]+: ([a-z][\w-]*)$", "7"),
            (r#"\$\{[^}\n]*("[^"\n]*")[^}\n]*\}"#, "7"),
            (r"\$\{[^}\n]*[ (](\d+)\b[^}\n]*\}", "\"x\""),
            (r"\$\{[^}\n]*[ (](\d+(?:s|m|h|d))\b[^}\n]*\}", "\"x\""),
        ];
        for (pattern, other) in pairs {
            let pattern = Regex::new(pattern).expect("the pattern compiles");
            for found in pattern.captures_iter(text) {
                let literal = found.get(1).expect("the pattern has a group");
                let what = format!("`{}` becomes `{other}` in `{}`", literal.as_str(), found[0].trim());
                self.add("another type", path, what, Change::Text(literal.range(), other.to_owned()));
            }
        }
    }

    fn indents(&mut self, path: &str, text: &str) {
        let lines = Lines::of(text);
        for (number, line) in lines.iter().enumerate().skip(1) {
            if line.text.trim().is_empty() || line.text.trim_start().starts_with('#') {
                continue;
            }
            let block = lines.block(number);
            let inner = &text[block.clone()];
            let what = format!("`{}`", line.text.trim());
            let more: String = inner.split_inclusive('\n').map(|line| format!("  {line}")).collect();
            self.add("indent more", path, what.clone(), Change::Text(block.clone(), more));
            if line.indent >= 2 {
                let less: String =
                    inner.split_inclusive('\n').map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                self.add("indent less", path, what, Change::Text(block, less));
            }
        }
    }
}

/// A name with a mistake in it.
fn misspelt(name: &str) -> String {
    let letters: BTreeSet<char> = name.chars().collect();
    let chars: Vec<char> = name.chars().collect();
    // Two neighbours in the middle change places, if that makes a difference.
    let middle = chars.len() / 2;
    if letters.len() > 1 && chars.len() > 3 && chars[middle] != chars[middle - 1] {
        let mut chars = chars;
        chars.swap(middle, middle - 1);
        return chars.into_iter().collect();
    }
    format!("{name}x")
}

/// The lines of a YAML file.
struct Lines<'t> {
    lines: Vec<Line<'t>>,
}

struct Line<'t> {
    start: usize,
    end: usize,
    text: &'t str,
    /// Where its key or value begins, behind dashes.
    indent: usize,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let mut start = 0;
        let lines = text.split_inclusive('\n').map(|line| {
            let indent = line.len() - line.trim_start_matches([' ']).len();
            let text = line.trim_end_matches('\n');
            let found = Line { start, end: start + line.len(), text, indent };
            start += line.len();
            found
        });
        Lines { lines: lines.collect() }
    }

    fn iter(&self) -> impl Iterator<Item = &Line<'t>> {
        self.lines.iter()
    }

    /// The key of a line that is no item of a list.
    fn key(&self, number: usize) -> Option<&'t str> {
        let (key, rest) = self.lines[number].text.trim_start().trim_start_matches("- ").split_once(':')?;
        let named = key.chars().all(|c| c.is_alphanumeric() || "_.-/?[]".contains(c));
        (named && !key.is_empty() && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
    }

    /// The bytes of a line and of all deeper lines after it.
    fn block(&self, number: usize) -> Range<usize> {
        let first = &self.lines[number];
        let inside = |line: &&Line<'_>| line.text.trim().is_empty() || line.indent > first.indent;
        let end = self.lines[number + 1..].iter().take_while(inside).last().map_or(first.end, |line| line.end);
        first.start..end
    }

    /// The nearest line above that is less deep.
    fn parent(&self, number: usize) -> Option<usize> {
        let indent = self.lines[number].indent;
        (0..number).rev().find(|above| {
            let line = &self.lines[*above];
            !line.text.trim().is_empty() && line.indent < indent
        })
    }
}
