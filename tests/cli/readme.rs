//! README's commands say what README prints.

use std::path::Path;

use crate::binary::{Desk, said};

/// Commands that are not ours to run: they build, or pass all tests.
const LEFT_OUT: [&str; 2] = ["cargo install", "./tests/run"];
/// Where the file goes that a command after it names.
const FILE: &str = "trial-reminder.yaml";

#[test]
fn commands_say_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let desk = Desk::new();
    copy(&root.join("workflows"), &desk.path("workflows"));
    let (mut folder, mut heard, mut compared, mut commands) = (desk.root().to_owned(), String::new(), 0, 0);
    for (language, text) in blocks(&readme) {
        match language {
            "yaml" => std::fs::write(folder.join(FILE), text).unwrap(),
            "sh" => {
                heard.clear();
                for line in text.lines().filter(|line| !LEFT_OUT.iter().any(|left_out| line.starts_with(left_out))) {
                    if let Some(inner) = line.strip_prefix("cd ") {
                        folder.push(inner);
                        continue;
                    }
                    let args = line.strip_prefix("cargo run -- ").or_else(|| line.strip_prefix("wf "));
                    let args = args.unwrap_or_else(|| panic!("README has a command that no test runs: {line}"));
                    let said = said(&desk.wf(args.split(' ')).current_dir(&folder).output().unwrap());
                    assert!(matches!(said.code, Some(0 | 1)), "{line}: {said:?}");
                    // What goes wrong is data of `validate`, which comes before its summary.
                    let parts =
                        if said.code == Some(0) { [said.stderr, said.stdout] } else { [said.stdout, said.stderr] };
                    heard.extend(parts);
                    commands += 1;
                }
            }
            "text" => {
                let (printed, heard) = (steady(text), steady(&heard));
                assert!(has(&heard, &printed), "README prints\n{printed}\nbut this was said:\n{heard}");
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(commands >= 5 && compared >= 3, "{commands} commands, {compared} outputs");
}

/// The fenced blocks of a page, with their languages.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'))
}

/// Whether a text has these lines in a row. One that ends in `…` is how a narrow terminal shows a longer one.
fn has(text: &str, wanted: &str) -> bool {
    let (text, wanted): (Vec<_>, Vec<_>) = (text.lines().collect(), wanted.lines().collect());
    let is = |(line, wanted): (&&str, &&str)| match wanted.strip_suffix('…') {
        Some(begin) => line.starts_with(begin),
        None => line == wanted,
    };
    text.windows(wanted.len()).any(|window| window.iter().zip(&wanted).all(is))
}

/// A text without what is another one each day: ids, times of the day, and dates before the samples' year.
fn steady(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<String> = line.split(' ').map(word).collect();
        words.join(" ").trim_end().to_owned()
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn word(word: &str) -> String {
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "00:00:00" => "TIME".to_owned(),
        "0000-00-00" if word < "2031" => "DATE".to_owned(),
        _ if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => "RUN".to_owned(),
        _ => word.to_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            // Runs that somebody has left in the example.
            true if entry.file_name() == ".wf" => {}
            true => copy(&path, &copied),
            false => drop(std::fs::copy(path, copied).unwrap()),
        }
    }
}
