//! Files that are too large, too deep, or no text at all: refused in words, and never a panic.

mod folder;

use proptest::prelude::*;
use wf_dsl::{ALIASES_MAX, FILE_BYTES_MAX, InputFile, NESTING_MAX, NODES_MAX, Project, ProjectInput, STEPS_MAX};

/// What is found in a single file: code, message and line.
fn found(bytes: impl Into<Vec<u8>>) -> Vec<(String, String, usize)> {
    let file = InputFile { path: "a.yaml".to_owned(), bytes: bytes.into(), named: true };
    let project = Project::read(ProjectInput { files: vec![file], ..ProjectInput::default() }, &folder::catalog());
    let mut found = Vec::new();
    for finding in project.findings.sorted() {
        for label in std::iter::once(&finding.primary).chain(&finding.related) {
            let source = project.sources.get(label.span.file).expect("a finding stands in a file");
            assert!(source.text.get(label.span.start..label.span.end).is_some(), "{finding:?}");
        }
        let (_, place) = project.sources.place(finding.primary.span).expect("a finding has a place");
        found.push((finding.code.to_string(), finding.message, place.line));
    }
    found
}

fn is_fine(text: &str) {
    assert_eq!(found(text), [], "{:.200}", text);
}

/// Asserts that a file has one finding, `wf::yaml`, with this in its message.
fn is_refused(bytes: impl Into<Vec<u8>>, what: &str) {
    let found = found(bytes);
    let [(code, message, _)] = found.as_slice() else { panic!("{what}: {found:.2000?}") };
    assert_eq!(code, "wf::yaml");
    assert!(message.contains(what), "{message}");
}

/// A workflow whose variable `x` has this value.
fn with_value(value: &str) -> String {
    format!("workflow: a\nvars:\n  x: {{type: any, value: {value}}}\nsteps:\n  - id: s\n    finish: ${{ vars.x }}\n")
}

#[test]
fn a_file_has_at_most_one_mebibyte() {
    let start = with_value("1");
    let comment = |bytes: usize| format!("{start}#{}\n", "x".repeat(bytes - start.len() - 2));
    assert_eq!(comment(FILE_BYTES_MAX).len(), FILE_BYTES_MAX);
    is_fine(&comment(FILE_BYTES_MAX));
    is_refused(comment(FILE_BYTES_MAX + 1), "the file has 1048577 bytes; the limit is 1048576");
    is_refused(vec![b'x'; 10_000_000], "the file has 10000000 bytes; the limit is 1048576");
    is_refused(vec![0xff; 10_000_000], "the file has 10000000 bytes; the limit is 1048576");
}

#[test]
fn a_scalar_may_fill_the_file() {
    for quote in ["\"", "'", ""] {
        let value = format!("{quote}{}{quote}", "long ".repeat(200_000).trim_end());
        is_fine(&with_value(&value));
    }
    is_fine(&format!("{}description: |\n{}", with_value("1"), "  a line of text\n".repeat(60_000)));
}

#[test]
fn lists_and_maps_stand_in_each_other_to_a_depth() {
    // The file, `vars` and the variable are three of them.
    let inner = NESTING_MAX - 3;
    let message = "lists and maps stand in each other more than 64 deep";
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("[{a: [", "]}]")] {
        let each = open.matches(['[', '{']).count();
        let nested = |levels: usize| with_value(&format!("{}1{}", open.repeat(levels), close.repeat(levels)));
        is_fine(&nested(inner / each));
        is_refused(nested(inner / each + 1), message);
        is_refused(nested(10_000), message);
    }
    let lists = |levels: usize| format!("workflow: a\nvars:\n  x:\n    {}1\n", "- ".repeat(levels));
    let fine = format!("{}steps: [{{id: s, finish: 1}}]\n", lists(NESTING_MAX - 2));
    assert!(found(fine).iter().all(|(code, ..)| code != "wf::yaml"));
    is_refused(lists(NESTING_MAX - 1), message);
    is_refused(lists(10_000), message);
    let maps: String = (0..1_400).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(maps.len() < FILE_BYTES_MAX);
    is_refused(maps, message);
}

#[test]
fn unclosed_brackets_are_as_deep_as_closed_ones() {
    for open in ["[", "{", "[{", "- ", "? ", "[?", "&a [", "!t ["] {
        let found = found(open.repeat(10_000));
        assert!(!found.is_empty() && found.iter().all(|(code, ..)| code == "wf::yaml"), "{open}: {found:.500?}");
    }
}

#[test]
fn aliases_are_counted() {
    let aliases = |count: usize| with_value(&format!("[&a 1{}]", ", *a".repeat(count)));
    is_fine(&aliases(ALIASES_MAX));
    is_refused(aliases(ALIASES_MAX + 1), "the file has more than 100 aliases");
}

#[test]
fn aliases_count_for_what_they_stand_for() {
    // Nine levels of ten would be a thousand million values.
    let mut bomb = String::from("workflow: a\nvars:\n  a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..=9 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("  a{level}: &a{level} [{below}]\n"));
    }
    is_refused(bomb, "the file has more than 100000 values, aliases expanded");

    let deep = |levels: usize| {
        let list = format!("{}1{}", "[".repeat(30), "]".repeat(30));
        with_value(&format!("[&a {list}, {}*a{}]", "[".repeat(levels), "]".repeat(levels)))
    };
    is_fine(&deep(NESTING_MAX - 34));
    is_refused(deep(NESTING_MAX - 33), "more than 64 deep");
    is_refused("workflow: &a [*a]\n", "this alias stands inside of what it names");
}

#[test]
fn a_file_has_a_number_of_values() {
    // Beside the items: the file with its name, its variables, one with a type and a list, and the step with two fields.
    let list = |values: usize| with_value(&format!("[{}1]", "1, ".repeat(values - 11)));
    is_fine(&list(NODES_MAX));
    is_refused(list(NODES_MAX + 1), "the file has more than 100000 values, aliases expanded");
}

#[test]
fn what_is_no_text_is_refused() {
    is_refused(*b"workflow: a\nvars: {x: \xff}\n", "the file is not UTF-8");
    is_refused(*b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "the file is not UTF-8");
    is_refused(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "the file contains a NUL character");
    is_refused("workflow: a\0b\n", "the file contains a NUL character");
    let utf16: Vec<u8> = "\u{feff}workflow: a\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    is_refused(utf16, "the file is not UTF-8");
    assert_eq!(found(*b"workflow: a\n\nvars: {x: \xe4}\n")[0].2, 3);
    is_fine(&format!("\u{feff}{}", with_value("1")));
    is_fine(&with_value("1").replace('\n', "\r\n"));
}

#[test]
fn what_is_empty_is_said_to_be() {
    for text in ["", "\n", "# nothing but a comment\n", "---\n", "\u{feff}"] {
        let found = found(text);
        assert!(matches!(found.as_slice(), [(code, ..)] if code == "wf::yaml"), "{text:?}: {found:?}");
    }
}

#[test]
fn a_workflow_may_have_thousands_of_steps() {
    let steps = |count: usize| {
        // The last one stands inside of another.
        let steps = (0..count - 2).map(|step| format!("- {{id: s{step}, sleep: 1s}}\n"));
        format!("workflow: a\nsteps:\n{}- id: block\n  do: [{{id: last, sleep: 1s}}]\n", steps.collect::<String>())
    };
    is_fine(&steps(STEPS_MAX));
    is_refused(steps(STEPS_MAX + 1), "the workflow has more than 5000 steps");
    is_refused(steps(15_000), "the workflow has more than 5000 steps");
}

/// Texts that are nearly files of ours: an example, cut and patched.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let examples = folder::input(&folder::root("tests/examples/language")).files;
    let patch = prop_oneof![
        Just(String::new()),
        prop::sample::select(vec![
            ":",
            ": ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            "\"",
            "'",
            "|",
            ">",
            "&a ",
            "*a",
            "!",
            "%",
            "@",
            "#",
            "\t",
            "\n",
            "\n  ",
            "\n\n",
            "\r",
            "\0",
            "${",
            "${ ",
            " }",
            "?",
            "<<: ",
            "---\n",
            "...\n",
            ",",
            "ä",
            "\u{feff}",
            "\u{2028}",
            "💥",
            "~",
            "null",
            "-",
            "id",
            "next: ",
            "steps:",
            "if: ",
            "1",
            "1s",
            "true",
            "\\",
            "$${",
            "steps.",
            "event.data.",
            ".",
            "(",
            ")",
            "=>",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, patch), 1..5);
    (prop::sample::select(examples), edits).prop_map(|(example, edits)| {
        let mut bytes = example.bytes;
        for (at, cut, patch) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, patch.into_bytes());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_is_a_panic(bytes in prop_oneof![
        4 => nearly(),
        1 => "\\PC{0,80}".prop_map(String::into_bytes),
        1 => "(workflow: a\n)?([-?:,\\[\\]{}#&*!|>'\"%@` \n\ta1~.]{0,40})".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]) {
        found(bytes);
    }
}
