//! Files with anything in them: the reader and the checks say what is wrong, at a place, and never panic.

#[path = "../../tests/support/campaign.rs"]
mod campaign;
mod folder;
#[path = "mutate/random.rs"]
mod random;

use wf_dsl::expr::Expr;
use wf_dsl::{Catalog, FileId, InputFile, InputTemplate, Medium, Project, ProjectInput, Span};

use random::Random;

const SEED: u64 = 7;

/// Pieces that mean something to YAML, or in an expression.
const PIECES: [&str; 48] = [
    ":",
    ": ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|",
    ">",
    "#",
    " #",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "? ",
    "---\n",
    "${",
    "}",
    "${ ",
    " }",
    "$${",
    "{{ ",
    " }}",
    ".",
    "?.",
    "??",
    "(",
    ")",
    "=>",
    "==",
    "!=",
    "and ",
    "not ",
    "in ",
    "if ",
    "then ",
    "else ",
    "null",
    "steps.",
    "event.data.",
    "\u{0}",
    "\u{feff}",
    "é",
];

/// All files of the cases and of an example.
fn corpus() -> Vec<String> {
    let files = ["tests/dsl", "tests/examples/language"].map(|place| folder::input(&folder::root(place)).files);
    files.into_iter().flatten().map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).collect()
}

/// A text with one to four changes.
fn changed(random: &mut Random, texts: &[String]) -> String {
    let mut text = texts[random.below(texts.len())].clone();
    for _ in 0..=random.below(4) {
        let at = |random: &mut Random, text: &str| {
            let mut at = random.below(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        match random.below(5) {
            0 => {
                let place = at(random, &text);
                text.insert_str(place, PIECES[random.below(PIECES.len())]);
            }
            1 => {
                let (one, other) = (at(random, &text), at(random, &text));
                let end = one.max(other).min(one.min(other) + 60);
                let end =
                    (one.min(other)..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(one.min(other));
                text.replace_range(one.min(other)..end, "");
            }
            2 => swap_lines(random, &mut text),
            3 => {
                // A line of another file, where it fits or does not.
                let other = &texts[random.below(texts.len())];
                let lines: Vec<&str> = other.lines().collect();
                let line = lines.get(random.below(lines.len().max(1))).copied().unwrap_or_default();
                let mut own: Vec<String> = text.lines().map(str::to_owned).collect();
                own.insert(random.below(own.len() + 1), line.to_owned());
                text = own.join("\n") + "\n";
            }
            _ => swap_words(random, &mut text),
        }
    }
    text
}

fn swap_lines(random: &mut Random, text: &mut String) {
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.len() > 1 {
        let (one, other) = (random.below(lines.len()), random.below(lines.len()));
        lines.swap(one, other);
        *text = lines.join("\n") + "\n";
    }
}

fn swap_words(random: &mut Random, text: &mut String) {
    let mut words: Vec<&str> = text.split_inclusive([' ', '\n']).collect();
    if words.len() > 1 {
        let (one, other) = (random.below(words.len()), random.below(words.len()));
        words[one] = words[other];
        *text = words.concat();
    }
}

/// Reads a project and looks at every place that a finding names.
fn check(text: &str, catalog: &Catalog) -> usize {
    let file = InputFile { path: "a.yaml".to_owned(), bytes: text.as_bytes().to_vec(), named: true };
    let template = InputTemplate {
        path: "templates/welcome.txt".to_owned(),
        name: "welcome".to_owned(),
        medium: Medium::Text,
        bytes: text.as_bytes()[..text.len().min(200)].to_vec(),
    };
    let input = ProjectInput { files: vec![file], templates: vec![template], ..ProjectInput::default() };
    let project = Project::read(input, catalog);
    let findings = project.findings.sorted();
    for finding in &findings {
        for label in std::iter::once(&finding.primary).chain(&finding.related) {
            let source = project.sources.get(label.span.file);
            let source = source.unwrap_or_else(|| panic!("{}: no file: {}\n{text}", finding.code, finding.message));
            let part = source.text.get(label.span.start..label.span.end);
            assert!(part.is_some(), "{}: no place: {}\n{text}", finding.code, finding.message);
        }
        let message = &finding.message;
        assert!(!message.is_empty() && !message.ends_with('.'), "{message}");
    }
    findings.len()
}

#[test]
fn no_file_makes_the_checks_panic_or_point_nowhere() {
    let (texts, catalog) = (corpus(), folder::catalog());
    assert!(texts.len() > 300, "only {} files to start from", texts.len());
    let mut random = Random::new(SEED);
    let mut wrong = 0;
    let rounds = campaign::rounds("yaml-fuzz");
    for _ in 0..rounds {
        let text = changed(&mut random, &texts);
        wrong += usize::from(check(&text, &catalog) > 0);
    }
    assert!(wrong * 2 > rounds, "only {wrong} of {rounds} files are wrong: the changes change nothing");
}

#[test]
fn no_text_makes_the_expression_parser_panic_or_point_nowhere() {
    let texts: Vec<String> = corpus()
        .iter()
        .flat_map(|text| {
            text.split("${").skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut random = Random::new(SEED);
    let mut parsed = 0;
    let rounds = campaign::rounds("expression-fuzz");
    for _ in 0..rounds {
        let text = changed(&mut random, &texts);
        let span = Span { file: FileId(0), start: 10, end: 10 + text.len() };
        match Expr::parse(&text, span, true) {
            Ok(expr) => {
                parsed += 1;
                let again = Expr::parse(&expr.to_string(), span, false);
                let again = again.unwrap_or_else(|error| panic!("{text}: printed as {expr}: {error}"));
                assert_eq!(again.to_string(), expr.to_string(), "{text}");
            }
            Err(error) => {
                let place = error.span.start.checked_sub(10).zip(error.span.end.checked_sub(10));
                let (start, end) = place.unwrap_or_else(|| panic!("{text:?}: {error} stands before it"));
                assert!(text.get(start..end).is_some(), "{text:?}: {error} at {start}..{end}");
            }
        }
    }
    assert!(parsed * 10 > rounds, "only {parsed} of {rounds} texts are expressions");
}
