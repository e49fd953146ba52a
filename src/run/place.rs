//! Where a run belongs: its project, and the store beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wf_engine::{RunId, SledOptions, SledStore, clock_of};

use super::Args;
use crate::desk::{FOLDER, PROJECT, failed, named, nearest, not_opened};
use crate::exit::{Exit, Failure};
use crate::project::Checked;

/// A project and its store.
pub(super) struct Place {
    pub(super) checked: Checked,
    /// The store's folder, as people see it.
    pub(super) store: PathBuf,
    /// It was not named: it is ours to make and to hide.
    is_default: bool,
}

/// An open store.
pub(super) struct Opened {
    pub(super) store: SledStore,
    pub(super) is_simulated: bool,
}

impl Place {
    /// The project that the arguments name, or that the store of the run to resume remembers.
    pub(super) fn find(args: &Args) -> Result<Place, Failure> {
        let store = args.store.as_deref().map(named).transpose()?;
        let path = match (&args.path, args.resume) {
            (Some(path), _) => path.clone(),
            (None, Some(run)) => remembered(store.as_deref(), run)?,
            (None, None) => {
                let failure = Failure::usage("`wf run` needs a workflow file or a project");
                return Err(failure.help("`wf run .` runs the project here"));
            }
        };
        let mut projects = Checked::all(std::slice::from_ref(&path))?;
        if projects.len() > 1 {
            let roots = projects.iter().map(|checked| format!("`{}`", checked.folder.root.display()));
            let roots = roots.collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!("`{}` holds several projects: {roots}", path.display())));
        }
        let Some(checked) = projects.pop() else {
            return Err(crate::project::nothing_in(&format!("`{}`", path.display())));
        };
        let is_default = store.is_none();
        let store = store.unwrap_or_else(|| near(&checked.folder.root).join(FOLDER));
        Ok(Place { checked, store, is_default })
    }

    /// Where messages go that nobody sends.
    pub(super) fn outbox(&self) -> PathBuf {
        self.store.join("outbox")
    }

    /// Where the files of databases are that are not configured.
    pub(super) fn stand_ins(&self) -> PathBuf {
        self.store.join("stand-ins")
    }

    /// Opens the store, and makes it if there is none.
    pub(super) async fn open(&self, args: &Args) -> Result<Opened, Failure> {
        if let Some(run) = args.resume.filter(|_| !self.store.is_dir()) {
            let message = format!("there is no run {run}: there is no store `{}`", self.store.display());
            return Err(Failure::new(Exit::NotFound, message));
        }
        if self.is_default {
            self.make_hidden().map_err(|error| unusable(&self.store, &error))?;
        }
        let store = SledStore::open(&self.store, SledOptions::default()).map_err(not_opened)?;
        let clock = clock_of(&store).await.map_err(failed)?;
        let is_simulated = match clock {
            None => args.fast_forward,
            // A run goes on in the time that it began in.
            Some((is_simulated, _)) if args.resume.is_some() => is_simulated,
            Some((is_simulated, _)) if is_simulated == args.fast_forward => is_simulated,
            Some((is_simulated, _)) => return Err(self.other_time(is_simulated)),
        };
        self.remember().map_err(|error| unusable(&self.store, &error))?;
        Ok(Opened { store, is_simulated })
    }

    fn other_time(&self, is_simulated: bool) -> Failure {
        let store = self.store.display();
        let (message, add) = if is_simulated {
            (format!("the store `{store}` holds virtual time, and cannot go on in real time"), "add `--fast-forward`")
        } else {
            (format!("the store `{store}` holds real time, and cannot be fast-forwarded"), "leave `--fast-forward` out")
        };
        Failure::new(Exit::Conflict, message).help(format!("{add}, or use another store: `--store DIR`"))
    }

    /// The default folder, which no version control should see.
    fn make_hidden(&self) -> io::Result<()> {
        fs::create_dir_all(&self.store)?;
        let ignore = self.store.join(".gitignore");
        if ignore.exists() { Ok(()) } else { fs::write(ignore, "*\n") }
    }

    fn remember(&self) -> io::Result<()> {
        let folder = &self.checked.folder;
        let path = match folder.named.first() {
            Some(named) => Path::new(named).canonicalize()?,
            None => folder.root.clone(),
        };
        // A path that is not UTF-8 is not remembered; then it has to be named.
        let Some(path) = path.to_str() else { return Ok(()) };
        let memory = self.store.join(PROJECT);
        if fs::read_to_string(&memory).is_ok_and(|known| known == path) { Ok(()) } else { fs::write(memory, path) }
    }
}

/// The project of a store: of the one that is named, or of the nearest one at or above this folder.
fn remembered(store: Option<&Path>, run: RunId) -> Result<PathBuf, Failure> {
    let none =
        |message: String| Failure::new(Exit::NotFound, message).help("name its project: `wf run PATH --resume RUN`");
    let store = match store {
        Some(store) => store.to_owned(),
        None => nearest().ok_or_else(|| none(format!("there is no run {run}: there is no store here")))?,
    };
    let path = fs::read_to_string(store.join(PROJECT));
    path.map(PathBuf::from).map_err(|_| none(format!("the store `{}` does not know its project", store.display())))
}

/// The same path as seen from here, if it is below.
fn near(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let inside = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    inside.unwrap_or_else(|| path.to_owned())
}

fn unusable(store: &Path, error: &io::Error) -> Failure {
    let failure =
        Failure::new(Exit::Unavailable, format!("the store `{}` cannot be written: {error}", store.display()));
    failure.help("use another one: `--store DIR`")
}
