//! Example projects with one mistake each: how many of them the checks find.
//!
//! Every project is a right one with one thing changed. A mutant whose plans are those of the original is the same
//! project, and does not count. The seed is fixed, and is printed with the counts and with what was not found.
//!
//! Each of them is also read again from the one before it, and from the original, as an editor would; that must give
//! what reading it for the first time gives.

#![allow(clippy::print_stdout, reason = "it says which mistakes are not found")]

#[path = "../../tests/support/campaign.rs"]
mod campaign;
mod folder;
mod mutate;

use std::collections::BTreeMap;

use wf_dsl::{Catalog, InputFile, InputTemplate, Project, ProjectInput};

use mutate::{Mutation, Texts};

const SEED: u64 = 20_260_601;
const PROJECTS: [&str; 2] = ["tests/examples/language", "workflows/event-funnel"];
/// The least share of mutants that must be found, in percent.
const FOUND_MIN: usize = 90;

/// The texts of a project: its YAML files and templates.
fn texts(input: &ProjectInput) -> Texts {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the examples are UTF-8");
    let files = input.files.iter().map(|file| (file.path.clone(), text(&file.bytes)));
    let templates = input.templates.iter().map(|file| (file.path.clone(), text(&file.bytes)));
    files.chain(templates).collect()
}

fn changed(original: &ProjectInput, texts: &Texts) -> ProjectInput {
    let mut input = ProjectInput { files: Vec::new(), templates: Vec::new(), ..original.clone() };
    for (path, text) in texts {
        let bytes = text.clone().into_bytes();
        let place = path.strip_prefix("templates/").and_then(|name| name.rsplit_once('.'));
        match place.and_then(|(name, extension)| Some((name, wf_dsl::Medium::of_extension(extension)?))) {
            Some((name, medium)) => {
                let name = name.to_owned();
                input.templates.push(InputTemplate { path: path.clone(), name, medium, bytes });
            }
            None => input.files.push(InputFile { path: path.clone(), bytes, named: true }),
        }
    }
    input
}

/// An example, and the project that was read last.
struct Example {
    input: ProjectInput,
    texts: Texts,
    plans: BTreeMap<String, String>,
    sites: BTreeMap<&'static str, Vec<Mutation>>,
    original: Project,
    last: Project,
}

impl Example {
    fn new(place: &str, catalog: &Catalog) -> Example {
        let input = folder::input(&folder::root(place));
        let texts = texts(&input);
        let read = || Project::read(changed(&input, &texts), catalog);
        let (original, last) = (read(), read());
        let plans = plans(&original).expect("the example is right");
        Example { plans, sites: mutate::sites(&texts), texts, input, original, last }
    }

    /// The mutant, which must be the same whatever was known before.
    fn mutant(&mut self, mutation: &Mutation, random: &mut mutate::Random, catalog: &Catalog) -> Project {
        let mut texts = mutation.apply(&self.texts);
        // Now and then, all places of a file move too.
        if random.below(4) == 0 {
            let path = texts.keys().nth(random.below(texts.len())).filter(|path| path.ends_with(".yaml")).cloned();
            path.and_then(|path| texts.get_mut(&path)).into_iter().for_each(|text| text.insert_str(0, "# moved\n"));
        }
        let input = changed(&self.input, &texts);
        let mutant = Project::read(input.clone(), catalog);
        let again = self.last.read_again(input.clone(), catalog);
        assert_same(&again, &mutant, &format!("{}, after another mutant", mutation.what));
        let again = self.original.read_again(input, catalog);
        assert_same(&again, &mutant, &format!("{}, after the original", mutation.what));
        self.last = again;
        mutant
    }
}

fn assert_same(again: &Project, fresh: &Project, what: &str) {
    let findings = |project: &Project| {
        let all = project.findings.clone().sorted().into_iter();
        all.map(|finding| format!("{finding:?}")).collect::<Vec<_>>()
    };
    assert_eq!(findings(again), findings(fresh), "{what}");
    assert_eq!(plans(again), plans(fresh), "{what}");
}

/// What runs: the normalised plans of all workflows; none if there are errors.
fn plans(project: &Project) -> Option<BTreeMap<String, String>> {
    let names = project.workflows.iter().map(|workflow| workflow.name.value.clone());
    names.map(|name| Some((name.clone(), project.plan(&name).ok()?.hash.to_string()))).collect()
}

#[derive(Default)]
struct Tally {
    counted: usize,
    found: usize,
    same: usize,
    several: usize,
}

#[test]
fn a_mistake_in_an_example_is_found() {
    let catalog = folder::catalog();
    let rounds = campaign::rounds("mutants");
    let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
    let mut survivors: BTreeMap<String, usize> = BTreeMap::new();
    let mut several: BTreeMap<String, usize> = BTreeMap::new();
    let mut random = mutate::Random::new(SEED);
    let mut counted = 0;
    let mut examples: Vec<Example> = PROJECTS.iter().map(|place| Example::new(place, &catalog)).collect();
    let mut tried = 0;
    while counted < rounds {
        tried += 1;
        assert!(tried < rounds * 10, "too few mutants differ from their original");
        let count = examples.len();
        let example = &mut examples[tried % count];
        // Each operator in turn, so that the many keys do not hide the few workflows.
        let operator = mutate::OPERATORS[(tried / count) % mutate::OPERATORS.len()];
        let Some(candidates) = example.sites.get(operator).filter(|sites| !sites.is_empty()) else { continue };
        let mutation = candidates[random.below(candidates.len())].clone();
        let mutant = example.mutant(&mutation, &mut random, &catalog);
        let findings = mutant.findings.clone().sorted();
        let tally = tallies.entry(operator).or_default();
        if plans(&mutant).as_ref() == Some(&example.plans) {
            tally.same += 1;
            continue;
        }
        counted += 1;
        tally.counted += 1;
        tally.several += usize::from(findings.len() > 1);
        if findings.len() > 1 {
            let codes: Vec<&str> = findings.iter().map(|finding| finding.code.name()).collect();
            *several.entry(format!("{operator}: {}", codes.join(", "))).or_default() += 1;
        }
        if findings.is_empty() {
            *survivors.entry(format!("{operator}: {}", mutation.what)).or_default() += 1;
        } else {
            tally.found += 1;
        }
        for finding in &findings {
            assert!(mutant.sources.place(finding.primary.span).is_some(), "{}: no place", mutation.what);
        }
    }
    let found: usize = tallies.values().map(|tally| tally.found).sum();
    println!("seed {SEED}: {found} of {counted} mutants found");
    for (operator, tally) in &tallies {
        println!(
            "{operator:<28} {:>5} of {:>5} found, {:>5} with several findings, {:>5} the same plan",
            tally.found, tally.counted, tally.several, tally.same
        );
    }
    for (codes, times) in &several {
        println!("several findings, {times} times: {codes}");
    }
    for (survivor, times) in &survivors {
        println!("not found, {times} times: {survivor}");
    }
    assert!(found * 100 >= counted * FOUND_MIN, "only {found} of {counted} mutants were found");
}

/// What is found at each step of a history, read again each time; it must be what reading anew finds.
fn history(inputs: &[(ProjectInput, Catalog)]) -> Vec<Vec<String>> {
    let mut last = Project::default();
    let read = |(input, catalog): &(ProjectInput, Catalog)| {
        last = last.read_again(input.clone(), catalog);
        assert_same(&last, &Project::read(input.clone(), catalog), "in a history");
        last.findings.clone().sorted().into_iter().map(|finding| finding.message).collect()
    };
    inputs.iter().map(read).collect()
}

fn of_texts(texts: &[(&str, &str)], now: Option<&str>) -> ProjectInput {
    let file = |(path, text): &(&str, &str)| InputFile {
        path: (*path).to_owned(),
        bytes: text.as_bytes().to_vec(),
        named: true,
    };
    let now = now.map(|now| now.parse().expect("this is a time"));
    ProjectInput { files: texts.iter().map(file).collect(), now, ..ProjectInput::default() }
}

#[test]
fn time_goes_on_between_two_checks() {
    let texts = [("a.yaml", "workflow: a\nsteps:\n  - id: new_year\n    sleep_until: 2027-01-01T00:00:00Z\n")];
    let at = |now: Option<&str>| (of_texts(&texts, now), folder::catalog());
    let found = history(&[
        at(None),
        at(Some("2026-12-31T00:00:00Z")),
        at(Some("2027-01-01T00:00:00Z")),
        at(Some("2027-01-01T00:00:01Z")),
        at(Some("2026-12-31T00:00:00Z")),
        at(None),
    ]);
    let past = vec!["this time is past: `sleep_until` would end at once, always".to_owned()];
    assert_eq!(found, [vec![], vec![], vec![], past, vec![], vec![]]);
}

#[test]
fn what_workflows_stand_on_changes_between_two_checks() {
    let caller = "workflow: a\nsteps:\n  - id: call\n    invoke:\n      workflow: b\n  - id: send\n    log:\n      message: ${ steps.call.x }\n    retry: often\n";
    let callee = "workflow: b\ninput: {}\nsteps:\n  - id: done\n    finish:\n      x: one\n";
    let settings = "project: p\nretries:\n  often:\n    max_attempts: 3\n    delay: 1s\n";
    let other_settings = settings.replace("often", "seldom");
    let number = callee.replace("x: one", "x: [1]");
    let ring = callee
        .replace("steps:\n", "steps:\n  - id: pause\n    sleep: 1h\n  - id: back\n    invoke:\n      workflow: a\n");
    let (all, none) = (folder::catalog(), Catalog::default());
    let of = |texts: &[(&str, &str)], catalog: &Catalog| (of_texts(texts, None), catalog.clone());
    let right = [("a.yaml", caller), ("b.yaml", callee), ("wf.yaml", settings)];
    let found = history(&[
        of(&right, &all),
        of(&[("a.yaml", caller), ("b.yaml", &number), ("wf.yaml", settings)], &all),
        of(&[("a.yaml", caller), ("b.yaml", &ring), ("wf.yaml", settings)], &all),
        of(&[("a.yaml", caller), ("b.yaml", callee), ("wf.yaml", &other_settings)], &all),
        of(&right, &none),
        // The places of all files change.
        of(&right[1..], &all),
        of(&[("b.yaml", callee), ("a.yaml", caller), ("c.yaml", callee), ("wf.yaml", settings)], &all),
        of(&[("a.yaml", caller), ("b.yaml", "workflow: b\n  steps: ["), ("wf.yaml", settings)], &all),
        of(&right, &all),
    ]);
    let counts: Vec<usize> = found.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 1, 0, 1, 1, 1, 1, 1, 0], "{found:#?}");
}
