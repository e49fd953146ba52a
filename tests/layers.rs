//! Invariants of the source tree: who may depend on whom, and what no file may contain.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names before `=` in the dependency tables of a manifest, dev and build dependencies included.
fn dependencies(package: &str) -> Vec<String> {
    let manifest = read(&root().join(package).join("Cargo.toml"));
    let mut names = Vec::new();
    let mut in_table = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_table = line.ends_with("dependencies]");
        } else if in_table && line.contains('=') {
            names.push(line.split([' ', '.', '=']).next().unwrap_or_default().to_owned());
        }
    }
    names
}

/// All files of the tree that people wrote, without hidden folders and build output.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && name != ".ci";
            if path.is_dir() {
                if !hidden && name != "target" {
                    folders.push(path);
                }
            } else if !hidden {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the walk found only {} files", found.len());
    found
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known))
}

/// Every line of the files with these extensions that `wrong` objects to, as `path:line: text`.
fn lines_that(extensions: &[&str], wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in files().into_iter().filter(|path| has_extension(path, extensions)) {
        let bytes = fs::read(&path).unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            if wrong(line) {
                found.push(format!("{shown}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: [(&str, &[&str]); 5] = [
        ("dsl", &[]),
        ("engine", &["wf-dsl"]),
        ("stdlib", &["wf-engine"]),
        ("server", &["wf-dsl", "wf-engine"]),
        (".", &["wf-dsl", "wf-engine", "wf-server", "wf-stdlib"]),
    ];
    let mut edges = 0;
    for (package, below) in allowed {
        for name in dependencies(package).iter().filter(|name| name.starts_with("wf-")) {
            assert!(below.contains(&name.as_str()), "{package} must not depend on {name}");
            edges += 1;
        }
    }
    assert!(edges >= 3, "the manifests were not understood: {edges} edges found");
}

#[test]
fn dsl_reads_no_files_no_clock_and_no_network() {
    let names = dependencies("dsl");
    assert!(names.iter().any(|name| name == "pest"), "the manifest was not understood");
    for far in ["tokio", "sled", "sqlx", "reqwest", "lettre", "redis", "futures-util"] {
        assert!(!names.iter().any(|name| name == far), "dsl must not depend on {far}");
    }
    let source = root().join("dsl/src");
    for path in files().into_iter().filter(|path| path.starts_with(&source)) {
        let text = read(&path);
        for far in ["std::fs", "std::net", "std::env", "std::process", "tokio::"] {
            assert!(!text.contains(far), "{} uses {far}", path.display());
        }
    }
}

#[test]
fn engine_knows_no_kind() {
    let source = root().join("engine/src");
    for path in files().into_iter().filter(|path| path.starts_with(&source)) {
        let text = read(&path);
        for kind in ["\"email\"", "\"sms\"", "\"http\"", "\"db.query\"", "\"db.exec\"", "\"redis.get\"", "\"log\""] {
            assert!(!text.contains(kind), "{} names the kind {kind}", path.display());
        }
    }
}

#[test]
fn no_source_file_is_over_800_lines() {
    const LINES_MAX: usize = 800;
    for path in files().into_iter().filter(|path| has_extension(path, &["rs", "pest", "py"])) {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: look for the seam", path.display());
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not contain what it looks for.
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let stubs = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ig", "nore")];
    let found = lines_that(&["rs", "pest", "py", "yaml", "yml", "sql", "toml", "txt", "html", "sms"], |line| {
        notes.iter().chain(&stubs).any(|stub| line.contains(stub))
    });
    assert!(found.is_empty(), "left for later:\n{}", found.join("\n"));
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    let homes = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    let found = lines_that(
        &["rs", "pest", "py", "yaml", "yml", "sql", "toml", "txt", "html", "sms", "md", "json", "snap", "lock"],
        |line| homes.iter().any(|home| line.contains(home)),
    );
    assert!(found.is_empty(), "paths of one machine:\n{}", found.join("\n"));
}

#[test]
fn every_campaign_has_two_sizes() {
    let table = read(&root().join("tests/campaigns.txt"));
    let rows: Vec<&str> = table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let sizes: Vec<usize> = row.split_whitespace().skip(1).take(2).filter_map(|size| size.parse().ok()).collect();
        assert!(matches!(sizes[..], [ci, full] if 0 < ci && ci < full), "not a name and two sizes: {row}");
    }
}

#[test]
fn every_excused_advisory_concerns_a_crate_that_is_there() {
    let lock = read(&root().join("Cargo.lock"));
    let deny = read(&root().join("deny.toml"));
    let reasons: Vec<&str> = deny
        .lines()
        .filter(|line| line.contains("id = \"RUSTSEC"))
        .map(|line| line.split("reason = \"").nth(1).unwrap_or_else(|| panic!("an excuse without a reason: {line}")))
        .collect();
    assert!(!reasons.is_empty());
    for reason in reasons {
        let name = reason.split(':').next().unwrap();
        assert!(lock.contains(&format!("name = \"{name}\"\n")), "nothing brings in {name} any more");
    }
}
