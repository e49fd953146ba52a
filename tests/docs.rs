//! The documentation keeps its word: links lead somewhere, and every example is a file that checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wf_dsl::{Code, Diagnostic, InputFile, Project, ProjectInput, Severity, json_report};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files of the tree, without hidden folders and build output.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.iter().any(|path| path.ends_with("spec/language.md")));
    found
}

/// A fenced block of a page.
struct Block {
    page: String,
    line: usize,
    language: String,
    text: String,
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    /// The path in a first line such as `# workflows/send-message.yaml`, and the text after that line.
    fn file(&self) -> Option<(&str, &str)> {
        let (first, rest) = self.text.split_once('\n')?;
        let path = first.strip_prefix("# ")?;
        (path.ends_with(".yaml") && !path.contains(' ')).then_some((path, rest))
    }
}

/// All fenced blocks of all pages.
fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for path in pages() {
        let page = path.strip_prefix(root()).unwrap().display().to_string();
        let mut open: Option<Block> = None;
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => {
                    open = Some(Block {
                        page: page.clone(),
                        line: number + 1,
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{page} ends inside a block");
    }
    found
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut links = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            assert!(path.parent().unwrap().join(file).exists(), "{} links to {target}", path.display());
            links += 1;
        }
    }
    assert!(links > 5, "only {links} links found");
}

#[test]
fn the_examples_of_the_language_are_the_files_of_the_example_project() {
    let project = root().join("tests/examples/language");
    let mut shown = 0;
    for block in blocks().iter().filter(|block| block.page == "spec/language.md" && block.language == "yaml") {
        let (path, text) = block.file().unwrap_or_else(|| panic!("{}: no path in the first line", block.place()));
        let file = fs::read_to_string(project.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(text, file, "{} differs from tests/examples/language/{path}", block.place());
        shown += 1;
    }
    assert!(shown >= 25, "only {shown} examples found");
}

#[test]
fn the_language_lists_every_code() {
    let text = fs::read_to_string(root().join("spec/language.md")).unwrap();
    let (_, rules) = text.split_once("\n### Errors\n").unwrap();
    let (errors, warnings) = rules.split_once("\n### Warnings\n").unwrap();
    let listed = |section: &str| -> BTreeSet<String> {
        section
            .lines()
            .take_while(|line| !line.starts_with("## "))
            .filter_map(|line| Some(line.strip_prefix("| `wf::")?.split_once('`')?.0.to_owned()))
            .collect()
    };
    let known = |severity| -> BTreeSet<String> {
        let codes = Code::all().iter().filter(|info| info.severity == severity);
        codes.map(|info| info.code.name().to_owned()).collect()
    };
    assert_eq!(listed(errors), known(Severity::Error));
    assert_eq!(listed(warnings), known(Severity::Warning));
}

#[test]
fn the_language_shows_the_json_of_a_finding() {
    let text = "workflow: nightly\nsteps:\n  - id: fetch\n    sleep: 1s\n    next: fetsh\n";
    let project = read("nightly.yaml", text);
    let report = json_report(&project.findings.clone().sorted(), &project.sources, 1);
    let shown = blocks().into_iter().find(|block| block.page == "spec/language.md" && block.language == "json");
    assert_eq!(shown.unwrap().text, format!("{report:#}\n"));
}

/// A file that is a project by itself.
fn read(path: &str, text: &str) -> Project {
    let file = InputFile { path: path.to_owned(), bytes: text.as_bytes().to_vec(), named: true };
    Project::read(ProjectInput { files: vec![file], ..ProjectInput::default() }, &wf_stdlib::catalog())
}

fn findings_in(text: &str) -> Vec<Diagnostic> {
    read("example.yaml", text).findings.sorted()
}

#[test]
fn the_examples_of_the_language_have_no_findings() {
    let folders = wf_engine::folder::read(&[root().join("tests/examples/language")]).unwrap();
    let [folder] = folders.as_slice() else { panic!("one project") };
    let project = folder.check(&wf_stdlib::catalog());
    let shown = |found: Diagnostic| match project.sources.place(found.primary.span) {
        Some((path, place)) => format!("{path}:{}: {} {}", place.line, found.code, found.message),
        None => found.message,
    };
    let found: Vec<String> = project.findings.clone().sorted().into_iter().map(shown).collect();
    assert_eq!(found, [""; 0]);
    assert!(project.workflows.len() >= 19 && project.counts.tests >= 3 && project.counts.left_alone == 0);
}

#[test]
fn every_other_example_is_valid_or_wrong_where_it_says_so() {
    let mut examples = 0;
    // The examples of the language are files of a project, and the error pages have a test of their own.
    // A workflow of a host program uses the kinds of that program, which checks it when it runs.
    let embedded = fs::read_to_string(root().join("engine/examples/greeting.yaml")).unwrap();
    let elsewhere = |block: &Block| {
        block.page == "spec/language.md" || block.page.starts_with("spec/errors/") || block.text == embedded
    };
    for block in blocks().iter().filter(|block| block.language == "yaml" && !elsewhere(block)) {
        let lines = block.text.lines().zip(1..);
        let marked = lines.filter_map(|(line, number)| Some(format!("{number} {}", line.split_once("# error: ")?.1)));
        let line = |found: &Diagnostic| block.text[..found.primary.span.start].matches('\n').count() + 1;
        let found = findings_in(&block.text).into_iter().map(|found| format!("{} {}", line(&found), found.code));
        assert_eq!(found.collect::<Vec<_>>(), marked.collect::<Vec<_>>(), "{}", block.place());
        examples += 1;
    }
    assert!(examples >= 3, "only {examples} examples found");
}

#[test]
fn every_error_page_shows_its_code_and_how_to_be_rid_of_it() {
    let mut not_found = Vec::new();
    for info in Code::all() {
        let name = info.code.name();
        let page = format!("spec/errors/{name}.md");
        let blocks: Vec<Block> =
            blocks().into_iter().filter(|block| block.page == page && block.language == "yaml").collect();
        let [wrong, right] = blocks.as_slice() else { panic!("{page}: one wrong file and one right file") };
        let found = findings_in(&wrong.text);
        if !found.iter().any(|found| found.code == info.code) {
            not_found.push(name);
        }
        let is_other = |found: &&Diagnostic| found.severity == Severity::Error && found.code != info.code;
        let other: Vec<&str> = found.iter().filter(is_other).map(|found| found.message.as_str()).collect();
        assert_eq!(other, [""; 0], "{}", wrong.place());
        let left: Vec<String> = findings_in(&right.text).into_iter().map(|found| found.message).collect();
        assert_eq!(left, [""; 0], "{}", right.place());
    }
    assert_eq!(not_found, [""; 0]);
}

#[test]
fn the_kinds_that_the_checks_are_tried_with_are_those_of_the_standard_library() {
    let path = root().join("dsl/tests/catalog.json");
    let catalog = serde_json::to_string_pretty(&wf_stdlib::catalog()).unwrap() + "\n";
    if std::env::var_os("WF_UPDATE").is_some() {
        fs::write(&path, &catalog).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == catalog,
        "run again with WF_UPDATE=1 to write dsl/tests/catalog.json"
    );
}

#[test]
fn the_embedding_example_is_in_the_readme_and_runs() {
    let file = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let readme = file("README.md");
    for (language, path) in [("rust", "engine/examples/embed.rs"), ("yaml", "engine/examples/greeting.yaml")] {
        assert!(readme.contains(&format!("```{language}\n{}```", file(path))), "README.md shows {path} as it is");
    }
    // A test of the whole workspace has built it, next to the folder of this test's own program.
    let built = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples").join("embed");
    if !built.exists() {
        let build = ["build", "--locked", "--quiet", "--package", "wf-engine", "--example", "embed"];
        let status = Command::new(env!("CARGO")).args(build).current_dir(root()).status().expect("cargo is there");
        assert!(status.success());
    }
    let output = Command::new(built).output().expect("it was built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.lines().filter(|line| !line.starts_with("warning")).collect::<Vec<_>>(),
        ["Welcome, Ada", "greeting finished"]
    );
}
