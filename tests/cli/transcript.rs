//! Cases as text: files, then commands. The snapshot has what each command said.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Stdio;

use crate::binary::{Desk, Said, said};

#[test]
fn commands_say_what_the_snapshots_have() {
    insta::glob!("cases/*.txt", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("# "), "{} does not begin with a sentence", path.display());
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(transcript(&text));
        });
    });
}

/// Runs a case. Its parts begin with `-- <path>`; the last, `-- run`, has one command a line.
fn transcript(case: &str) -> String {
    let mut parts = case.split("\n-- ");
    let sentence = parts.next().unwrap();
    let (mut desk, mut shown) = (Session::new(), format!("{}\n", sentence.trim()));
    for part in parts {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        if name == "run" {
            text.lines().filter(|line| !line.is_empty()).for_each(|line| desk.command(line, &mut shown));
        } else {
            desk.desk.write(name, format!("{}\n", text.trim_end_matches('\n')));
        }
    }
    shown
}

struct Session {
    desk: Desk,
    folder: String,
    names: Names,
}

impl Session {
    fn new() -> Self {
        Session { desk: Desk::new(), folder: String::new(), names: Names::default() }
    }

    /// A line such as `WF_CONFIG_X=1 wf run . --event - < event.json` or `wf kinds > kinds.txt`; RUN1 stands for the first run that was shown.
    fn command(&mut self, line: &str, shown: &mut String) {
        writeln!(shown, "\n$ {line}").unwrap();
        let mut words = words(line);
        if words[0] == "cd" {
            self.folder = words[1].clone();
            return;
        }
        let input = words.iter().position(|word| word == "<").map(|at| words.drain(at..).nth(1).unwrap());
        let output = words.iter().position(|word| word == ">").map(|at| words.drain(at..).nth(1).unwrap());
        let program = words.iter().position(|word| word == "wf").unwrap_or_else(|| panic!("no `wf` in {line}"));
        let args = words[program + 1..].iter().map(|word| self.names.meant(word));
        let mut command = self.desk.wf(args);
        command.current_dir(self.desk.path(&self.folder));
        for variable in &words[..program] {
            let (name, value) = variable.split_once('=').unwrap();
            command.env(name, value);
        }
        if let Some(input) = input {
            let file = std::fs::File::open(self.desk.path(&self.folder).join(input)).unwrap();
            command.stdin(Stdio::from(file));
        }
        let Said { mut stdout, stderr, code } = said(&command.output().unwrap());
        if let Some(output) = output {
            std::fs::write(self.desk.path(&self.folder).join(output), std::mem::take(&mut stdout)).unwrap();
        }
        let home = self.desk.root().canonicalize().unwrap().display().to_string();
        for (text, before) in [(stdout, ""), (stderr, "! ")] {
            for line in self.names.hide(&text.replace(&home, "HOME")).lines() {
                shown.push_str(format!("{before}{line}").trim_end());
                shown.push('\n');
            }
        }
        writeln!(shown, "[{}]", code.unwrap()).unwrap();
    }
}

/// Words as a shell has them, with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        for (n, word) in part.split(' ').enumerate() {
            if n > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(word);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Stand-ins for what is another one each time: ids of runs and events, keys of effects; or with each change
/// of a kind: hashes of plans.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn hide(&mut self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut hidden = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
            hidden.push_str(before);
            hidden.push_str(&self.name(word));
            rest = after;
        }
        hidden + rest
    }

    fn name(&mut self, word: &str) -> String {
        let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sort = match word.len() {
            32 if is_hex => "RUN",
            24 if is_hex => "EVENT",
            64 if is_hex => "HASH",
            12 if is_hex => "VERSION",
            29 if word.starts_with("wf_") => "KEY",
            _ => return word.to_owned(),
        };
        if let Some(name) = self.0.get(word) {
            return name.clone();
        }
        let number = self.0.values().filter(|name| name.starts_with(sort)).count() + 1;
        let name = format!("{sort}{number}");
        self.0.insert(word.to_owned(), name.clone());
        name
    }

    fn meant(&self, name: &str) -> String {
        let found = self.0.iter().find(|(_, known)| *known == name);
        found.map_or_else(|| name.to_owned(), |(word, _)| word.clone())
    }
}
