//! Example projects with one mistake each: how many of them the checks find.
//!
//! Every project is a right one with one thing changed. A mutant whose plans are those of the original is the same
//! project, and does not count. The seed is fixed, and is printed with the counts and with what was not found.

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

fn project(original: &ProjectInput, texts: &Texts, catalog: &Catalog) -> Project {
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
    Project::read(input, catalog)
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
    let examples: Vec<_> = PROJECTS
        .iter()
        .map(|place| {
            let input = folder::input(&folder::root(place));
            let texts = texts(&input);
            let original = plans(&project(&input, &texts, &catalog)).expect("the example is right");
            let sites = mutate::sites(&texts);
            (input, texts, original, sites)
        })
        .collect();
    let mut tried = 0;
    while counted < rounds {
        tried += 1;
        assert!(tried < rounds * 10, "too few mutants differ from their original");
        let (input, texts, original, sites) = &examples[tried % examples.len()];
        // Each operator in turn, so that the many keys do not hide the few workflows.
        let operator = mutate::OPERATORS[(tried / examples.len()) % mutate::OPERATORS.len()];
        let Some(candidates) = sites.get(operator).filter(|sites| !sites.is_empty()) else { continue };
        let mutation: &Mutation = &candidates[random.below(candidates.len())];
        let mutant = project(input, &mutation.apply(texts), &catalog);
        let findings = mutant.findings.clone().sorted();
        let tally = tallies.entry(operator).or_default();
        if plans(&mutant).as_ref() == Some(original) {
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
