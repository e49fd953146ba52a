//! The store that a command looks at, with nobody else at it.

use std::path::{Path, PathBuf};

use wf_engine::folder::Surroundings;
use wf_engine::store::OpenError;
use wf_engine::{Builder, ErrorKind, Operator, RunId, SledOptions, SledStore};

use crate::bug;
use crate::exit::{Exit, Failure};
use crate::project::Checked;
use crate::terminal::{Look, talk};

/// The store's folder in its project.
pub(crate) const FOLDER: &str = ".wf";
/// What a store knows of its project, so that a run can be resumed from anywhere.
pub(crate) const PROJECT: &str = "project";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// Where runs are kept; by default the nearest `.wf` at or above this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store, does the work, and leaves the store.
    pub(crate) fn operate<T>(&self, work: impl AsyncFnOnce(&Operator) -> Result<T, Failure>) -> Result<T, Failure> {
        self.open(async |store, _| {
            let kinds = wf_stdlib::catalog().iter().map(|kind| kind.name.clone()).collect::<Vec<_>>();
            work(&Operator::of(store).await.map_err(failed)?.kinds(kinds)).await
        })
    }

    /// Opens the store, and does the work with it and its folder.
    pub(crate) fn open<T>(&self, work: impl AsyncFnOnce(SledStore, &Path) -> Result<T, Failure>) -> Result<T, Failure> {
        let folder = self.folder()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Unavailable, format!("no threads: {error}")))?;
        runtime.block_on(async {
            let store = SledStore::open(&folder, SledOptions::default()).map_err(not_opened)?;
            work(store, &folder).await
        })
    }

    /// The project that the store belongs to, as its files are now.
    pub(crate) fn project(&self) -> Result<Checked, Failure> {
        project_of(&self.folder()?)
    }

    /// The plans of that project.
    pub(crate) fn plans(&self) -> Result<Vec<wf_dsl::Plan>, Failure> {
        let checked = self.project()?;
        let found = checked.findings();
        if found.tally().errors > 0 {
            talk(found.human(Look::stderr()).trim_end_matches('\n'));
            talk(&format!("\n{}; nothing was changed", found.tally().phrase()));
            return Err(Failure::explained(Exit::Invalid));
        }
        checked.plans()
    }

    /// The store's folder.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        let found = match &self.store {
            Some(store) => Some(named(store)?).filter(|store| SledStore::is_at(store)),
            None => nearest(),
        };
        found.ok_or_else(|| match &self.store {
            Some(store) => Failure::new(Exit::NotFound, format!("there is no store `{}`", store.display())),
            None => Failure::new(Exit::NotFound, "there is no store here").help("name it: `--store DIR`"),
        })
    }

    /// The command that goes on with a run.
    pub(crate) fn resume(&self, run: RunId) -> String {
        let store = self.store.as_ref().map(|store| format!(" --store {}", quoted(&store.display().to_string())));
        format!("wf run{} --resume {run}", store.unwrap_or_default())
    }
}

/// The project that the store in a folder belongs to, as its files are now.
fn project_of(folder: &Path) -> Result<Checked, Failure> {
    let none = |why: String| Failure::new(Exit::NotFound, format!("the store names no project{why}"));
    let path = std::fs::read_to_string(folder.join(PROJECT)).map_err(|error| none(format!(": {error}")))?;
    Checked::all(&[PathBuf::from(path)])?.pop().ok_or_else(|| none(String::new()))
}

/// The kinds keep what must go with the runs in the databases of the project.
pub(crate) fn with_kinds(builder: Builder, folder: &Path) -> Result<Builder, Failure> {
    let Ok(checked) = project_of(folder) else {
        talk("the store's project is not there: what its step kinds keep of the runs stays where it is");
        return Ok(builder);
    };
    let surroundings = Surroundings::read(&checked.project, std::env::vars_os());
    let surroundings = surroundings.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(builder
        .kinds(wf_stdlib::all())
        .project(&checked.folder.root)
        .stand_ins(folder.join("outbox"), folder.join("stand-ins"))
        .connections(surroundings.connections.iter().cloned())
        .secrets(surroundings.secrets.clone()))
}

/// The nearest store at or above this folder.
pub(crate) fn nearest() -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let mut stores = here.ancestors().map(|folder| folder.join(FOLDER));
    stores.find(|store| store.join(PROJECT).is_file())
}

/// The folder that `--store` names.
pub(crate) fn named(store: &Path) -> Result<PathBuf, Failure> {
    let text = store.to_string_lossy();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Err(Failure::usage("runs are kept in a folder, not in PostgreSQL"));
    }
    Ok(text.strip_prefix("sled:").map_or_else(|| store.to_owned(), PathBuf::from))
}

pub(crate) fn not_opened(error: OpenError) -> Failure {
    let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    let help = match error {
        OpenError::Locked { .. } => "wait until it ends, or use another store: `--store DIR`",
        OpenError::Newer { .. } => "use the version of wf that wrote it, or another store: `--store DIR`",
        _ => "use another one: `--store DIR`",
    };
    Failure::new(Exit::Unavailable, format!("{error}{why}")).help(help)
}

/// What an error of the engine means for a command.
pub(crate) fn failed(error: wf_engine::Error) -> Failure {
    let exit = match error.kind() {
        ErrorKind::NotFound => Exit::NotFound,
        ErrorKind::Invalid => Exit::Usage,
        ErrorKind::Unsupported => Exit::Invalid,
        ErrorKind::Unavailable | ErrorKind::Unknown | ErrorKind::Damaged | ErrorKind::Busy => Exit::Unavailable,
        ErrorKind::Conflict => Exit::Conflict,
        _ => return bug::report(),
    };
    let failure = Failure::new(exit, error.to_string());
    match error.retry_after() {
        Some(after) => failure.help(format!("try again after {}s", after.as_secs_f32().ceil())),
        None => failure,
    }
}

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:+=@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
