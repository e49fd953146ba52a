//! Folders and files of the repository as projects.

use std::fs;
use std::path::{Path, PathBuf};

use wf_dsl::{Catalog, InputCatalog, InputFile, InputTemplate, Medium, ProjectInput};

/// A path from the root of the repository.
pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The kinds of the standard library.
pub(crate) fn catalog() -> Catalog {
    serde_json::from_str(include_str!("../catalog.json")).expect("the catalog of the tests is one")
}

/// A folder with everything in it, or a single file, as a project.
pub(crate) fn input(place: &Path) -> ProjectInput {
    // The cases are checked as of June 2026.
    let now = "2026-06-01T00:00:00Z".parse().ok();
    let mut input = ProjectInput { now, ..ProjectInput::default() };
    let files = if place.is_dir() {
        files_below(place, "")
    } else {
        vec![(place.file_name().unwrap_or_default().to_string_lossy().into_owned(), place.to_owned())]
    };
    for (path, file) in files {
        let bytes = fs::read(&file).expect("the file can be read");
        let extension = file.extension().unwrap_or_default().to_string_lossy().into_owned();
        let medium = match extension.as_str() {
            "txt" => Medium::Text,
            "html" => Medium::Html,
            "sms" => Medium::Sms,
            "yaml" | "yml" => {
                input.files.push(InputFile { path, bytes, named: true });
                continue;
            }
            "json" if path.starts_with("kinds/") => {
                input.catalogs.push(InputCatalog { path, bytes: Ok(bytes) });
                continue;
            }
            _ => continue,
        };
        let name = path.trim_start_matches("templates/").trim_end_matches(&format!(".{extension}")).to_owned();
        input.templates.push(InputTemplate { path, name, medium, bytes });
    }
    input
}

/// The files below a folder in the order of their paths, with those paths.
fn files_below(folder: &Path, prefix: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            found.extend(files_below(&path, &format!("{name}/")));
        } else {
            found.push((name, path));
        }
    }
    found.sort();
    found
}
