//! Projects on disk: which files belong together, and what the environment says.
//!
//! A project is a folder with a `wf.yaml`. The rules of what is read are those of section 2 of the language.

mod environment;
mod walk;

use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use wf_dsl::{
    Catalog, Code, Diagnostic, FILE_BYTES_MAX, InputCatalog, InputFile, InputTemplate, Medium, Outline, Project,
    ProjectInput, Span,
};

pub(crate) use environment::secrets_of;
pub use environment::{Surroundings, SurroundingsError};

/// The file that makes a folder a project.
pub const PROJECT_FILE: &str = "wf.yaml";
/// How many files one project may have.
pub const FILES_MAX: usize = 10_000;

/// One project, as it was found and read.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its folder: absolute, without symbolic links.
    pub root: PathBuf,
    /// Its files.
    pub input: ProjectInput,
    /// The files that were named one by one, as they are shown; empty if the project was meant as a whole.
    pub named: Vec<String>,
    /// Files that belong to it and could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The path to show.
    pub path: String,
    /// The code of the finding that it becomes.
    pub code: Code,
    /// Why, in one lower-case phrase.
    pub why: String,
}

/// Why there is no project to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The path is not there, or may not be looked at.
    #[error("`{}` cannot be read: {}", path.display(), reason(source))]
    Path {
        /// The path as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder without a project, a workflow or event types.
    #[error("`{}` holds no workflows", path.display())]
    Empty {
        /// The path as it was given.
        path: PathBuf,
    },
    /// More files than [`FILES_MAX`].
    #[error("the project `{}` has more than {FILES_MAX} files", root.display())]
    TooMany {
        /// The project's folder.
        root: PathBuf,
    },
    /// More files and folders, of whatever sort, than a walk looks at.
    #[error("`{}` holds more than {} files and folders", root.display(), walk::ENTRIES_MAX)]
    TooManyEntries {
        /// The folder.
        root: PathBuf,
    },
}

impl Folder {
    /// Checks the project. What could not be read is a finding, beside what the checks find in the rest.
    pub fn check(&self, catalog: &Catalog) -> Project {
        self.check_again(&Project::default(), catalog)
    }

    /// The same, without working out again what `before` knows of files that have not changed since (see
    /// [`Project::read_again`]).
    pub fn check_again(&self, before: &Project, catalog: &Catalog) -> Project {
        let mut project = before.read_again(self.input.clone(), catalog);
        for file in &self.unreadable {
            let id = project.sources.add(file.path.clone(), "");
            project.findings.push(Diagnostic::error(file.code, Span { file: id, start: 0, end: 0 }, file.why.clone()));
        }
        project
    }
}

/// Finds and reads the projects that the paths stand for, each once, in the order of the paths.
///
/// A file stands for itself in the project around it. A folder is a project if it has a `wf.yaml`; otherwise it stands
/// for all projects further down; without any, for the project around it; and without that, for the workflows that it
/// holds, under the defaults.
///
/// # Errors
/// See [`FolderError`]. What is wrong with a file of a project is no error here: see [`Folder::check`].
pub fn read(paths: &[PathBuf]) -> Result<Vec<Folder>, FolderError> {
    let mut found: Vec<Place> = Vec::new();
    for path in paths {
        for place in places(path)? {
            match found.iter_mut().find(|known| known.root == place.root) {
                // A project that is also named as a whole stays whole.
                Some(known) if known.named.is_empty() || place.named.is_empty() => known.named.clear(),
                Some(known) => known.named.extend(place.named),
                None => found.push(place),
            }
        }
    }
    found.into_iter().map(load).collect()
}

/// A project that a path led to.
struct Place {
    root: PathBuf,
    /// How to show the root; empty for where the user stands.
    shown: PathBuf,
    /// There is a `wf.yaml`.
    is_project: bool,
    /// Files that were named, with how to show them.
    named: Vec<(PathBuf, PathBuf)>,
}

fn places(path: &Path) -> Result<Vec<Place>, FolderError> {
    let failed = |source| FolderError::Path { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        let folder = path.canonicalize().map_err(failed)?;
        return places_of_folder(path, &folder);
    }
    let typed = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or(path.as_os_str());
    // Links are followed for the folder alone: a linked file belongs to the project that it is linked into.
    let folder = here_if_empty(typed).canonicalize().map_err(failed)?;
    let named = vec![(folder.join(name), path.to_owned())];
    Ok(vec![match nearest(&folder) {
        Some((root, up)) => Place { shown: shown_above(typed, up, &root), root, is_project: true, named },
        None => Place { root: folder, shown: typed.to_owned(), is_project: false, named },
    }])
}

fn places_of_folder(path: &Path, folder: &Path) -> Result<Vec<Place>, FolderError> {
    let shown = if path == Path::new(".") { Path::new("") } else { path };
    let whole = |root: PathBuf, shown: PathBuf, is_project| Place { root, shown, is_project, named: Vec::new() };
    if folder.join(PROJECT_FILE).is_file() {
        return Ok(vec![whole(folder.to_owned(), shown.to_owned(), true)]);
    }
    let below = walk::projects(folder);
    let below = below.map_err(|walk::TooMany| FolderError::TooManyEntries { root: folder.to_owned() })?;
    if !below.is_empty() {
        let places = below.into_iter().map(|inner| whole(folder.join(&inner), shown.join(&inner), true));
        return Ok(places.collect());
    }
    Ok(vec![match nearest(folder) {
        Some((root, up)) => whole(root.clone(), shown_above(path, up, &root), true),
        None => whole(folder.to_owned(), shown.to_owned(), false),
    }])
}

/// The nearest folder with a `wf.yaml` at or above this one, and how many levels up it is.
fn nearest(folder: &Path) -> Option<(PathBuf, usize)> {
    let mut levels = folder.ancestors().zip(0..);
    levels.find(|(above, _)| above.join(PROJECT_FILE).is_file()).map(|(above, up)| (above.to_owned(), up))
}

/// How to show what is `up` levels above a folder that the user typed.
fn shown_above(typed: &Path, up: usize, root: &Path) -> PathBuf {
    let mut shown: Vec<Component<'_>> = typed.components().filter(|part| *part != Component::CurDir).collect();
    for _ in 0..up {
        match shown.last() {
            Some(Component::Normal(_)) => _ = shown.pop(),
            None | Some(Component::ParentDir) => shown.push(Component::ParentDir),
            Some(_) => return root.to_owned(),
        }
    }
    shown.iter().collect()
}

fn here_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn load(place: Place) -> Result<Folder, FolderError> {
    let mut folder = Folder {
        root: place.root.clone(),
        input: ProjectInput::default(),
        named: place.named.iter().map(|(_, shown)| shown.display().to_string()).collect(),
        unreadable: Vec::new(),
    };
    let outline = if place.is_project { folder.add_project_file(&place) } else { Outline::default() };
    // A file without a project stands alone, but for the templates beside it.
    let alone = !place.is_project && !place.named.is_empty();
    let start = if alone { TEMPLATES } else { "" };
    let walked = walk::files(&place.root, start, &outline.ignore);
    let walked = walked.map_err(|walk::TooMany| FolderError::TooManyEntries { root: place.root.clone() })?;
    let has_name = |path: &Path| place.named.iter().any(|(named, _)| named == path);
    for inside in walked.files {
        let (path, shown) = (place.root.join(&inside), place.shown.join(&inside));
        if let Some((name, medium)) = template_name(&inside).filter(|_| !has_name(&path)) {
            folder.add_template(&path, &shown, name, medium);
        } else if is_yaml(&inside) && !alone && !has_name(&path) && inside != Path::new(PROJECT_FILE) {
            folder.add_yaml(&path, &shown, false);
        }
    }
    for (path, shown) in place.named.iter().filter(|(path, _)| *path != place.root.join(PROJECT_FILE)) {
        folder.add_yaml(path, shown, true);
    }
    for (closed, error) in walked.closed {
        let path = place.shown.join(closed).display().to_string();
        let why = format!("the folder cannot be read: {}", reason(&error));
        folder.unreadable.push(Unreadable { path, code: Code::YAML, why });
    }
    for path in outline.catalogs {
        let bytes = read_file(&place.root.join(&path), false);
        folder.input.catalogs.push(InputCatalog { path, bytes });
    }
    let count = folder.input.files.len() + folder.input.templates.len() + folder.unreadable.len();
    if count > FILES_MAX {
        return Err(FolderError::TooMany { root: place.root });
    }
    if count == 0 {
        return Err(FolderError::Empty { path: here_if_empty(&place.shown).to_owned() });
    }
    Ok(folder)
}

/// The folder of the message templates.
const TEMPLATES: &str = "templates";

impl Folder {
    fn add_project_file(&mut self, place: &Place) -> Outline {
        let path = place.root.join(PROJECT_FILE);
        let named = place.named.iter().any(|(named, _)| *named == path);
        self.add_yaml(&path, &place.shown.join(PROJECT_FILE), named);
        self.input.files.first().map(|file| Outline::of(&file.bytes)).unwrap_or_default()
    }

    fn add_yaml(&mut self, path: &Path, shown: &Path, named: bool) {
        let shown = shown.display().to_string();
        match read_file(path, named) {
            Ok(bytes) => self.input.files.push(InputFile { path: shown, bytes, named }),
            Err(why) => self.unreadable.push(Unreadable { path: shown, code: Code::YAML, why }),
        }
    }

    fn add_template(&mut self, path: &Path, shown: &Path, name: String, medium: Medium) {
        let shown = shown.display().to_string();
        let refused = match read_file(path, false) {
            Ok(bytes) if bytes.len() <= FILE_BYTES_MAX => {
                return self.input.templates.push(InputTemplate { path: shown, name, medium, bytes });
            }
            Ok(_) => format!("the template has more than {FILE_BYTES_MAX} bytes"),
            Err(why) => why,
        };
        self.unreadable.push(Unreadable { path: shown, code: Code::TEMPLATE, why: refused });
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The name and medium of the template at a path of the project; none for any other file.
fn template_name(inside: &Path) -> Option<(String, Medium)> {
    let name = inside.strip_prefix(TEMPLATES).ok()?;
    let medium = Medium::of_extension(name.extension()?.to_str()?)?;
    let name = name.with_extension("");
    let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
    Some((parts.join("/"), medium))
}

/// A file's bytes, as many as show that it is too large. A pipe or a device is read only if it was `named`.
fn read_file(path: &Path, named: bool) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("the file cannot be read: {}", reason(&error));
    if !named && !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("this is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// What the system said, as a phrase of ours.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a folder".to_owned(),
        _ => error.to_string(),
    }
}
