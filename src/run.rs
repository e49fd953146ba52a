//! `wf run`

mod clock;
mod events;
mod follow;
mod outcome;
mod place;
pub(crate) mod sent;
mod start;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use wf_dsl::Period;
use wf_engine::folder::Surroundings;
use wf_engine::{Clock, Engine, RunId, SystemClock};
use wf_stdlib::{HttpOptions, Options};

use crate::desk::{failed, quoted};
use crate::exit::{Exit, Failure};
use crate::project::Checked;
use crate::terminal::{Look, talk};
use crate::timeline::Timeline;
use clock::VirtualClock;
use follow::{End, Session};
use place::Place;
use start::Start;

/// How long what is left in the background may take at the end.
const SHUTDOWN: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A workflow file, or a project
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// The event as JSON, `{"name", "data", "id"?, "ts"?}`, or a list of events: a file, or `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "resume"])]
    event: Option<PathBuf>,
    /// The data of the workflow's one event, or its input
    #[arg(long, value_name = "JSON", conflicts_with = "resume")]
    data: Option<String>,
    /// Skip sleeps in virtual time
    #[arg(long)]
    fast_forward: bool,
    /// Where runs are kept; `.wf` in the project by default
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Go on with a run that was stopped
    #[arg(long, value_name = "RUN")]
    resume: Option<RunId>,
    /// Stop after this time, such as `90s`; the run can be resumed
    #[arg(long, value_name = "DURATION")]
    max_wait: Option<Period>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<Exit, Failure> {
    let place = Place::find(&args)?;
    let checked = &place.checked;
    let found = checked.findings();
    if found.tally().errors > 0 {
        talk(found.human(Look::stderr()).trim_end_matches('\n'));
        talk(&format!("\n{}; nothing was run", found.tally().phrase()));
        return Err(Failure::explained(Exit::Invalid));
    }
    let surroundings = Surroundings::read(&checked.project, std::env::vars_os());
    let surroundings = surroundings.map_err(|error| Failure::usage(error.to_string()))?;
    let start = Start::of(&args, checked)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Unavailable, format!("no threads: {error}")))?;
    let exit = runtime.block_on(live(&args, &place, surroundings, start));
    // A step may hold a thread that nobody waits for any more.
    runtime.shutdown_timeout(SHUTDOWN);
    exit
}

async fn live(args: &Args, place: &Place, surroundings: Surroundings, start: Start) -> Result<Exit, Failure> {
    // Asked for first, so that no Ctrl-C is lost once there is a run.
    let interrupted = tokio::signal::ctrl_c();
    let (heard, hears) = mpsc::unbounded_channel();
    watch::listen(&heard, &surroundings.secrets);
    let store = place.open(args).await?;
    let is_simulated = store.is_simulated;
    let clock = is_simulated.then(|| VirtualClock::starting_at(SystemClock::default().now()));
    let checked = &place.checked;
    let mut builder = Engine::builder()
        .store(store.store)
        .kinds(wf_stdlib::all_with(options(checked)))
        .plans(checked.plans()?)
        .project(&checked.folder.root)
        .stand_ins(place.outbox(), place.stand_ins())
        .connections(surroundings.connections.iter().cloned())
        .config(surroundings.config.clone())
        .secrets(surroundings.secrets.clone())
        .observer(watch::Watcher(heard))
        .without_schedules();
    if let Some(clock) = &clock {
        // What is told at the end may be long past by then.
        builder = builder.clock(clock.clone()).retention(None);
    }
    let engine = builder.build().await.map_err(failed)?;
    let timeline = Timeline::new(checked.project.workflows.iter().map(AsRef::as_ref), Look::stderr(), talk);
    let mut session = Session::new(&engine, clock, hears, timeline);
    let end = tokio::select! {
        biased;
        end = session.go(start, args.max_wait) => end,
        _ = interrupted => Ok(End::Interrupted),
    };
    let end = end.map_err(|failure| store_failed(args, &session).unwrap_or(failure))?;
    let ended = outcome::Ended { args, place, surroundings: &surroundings, engine: &engine, end: &end, is_simulated };
    let exit = ended.tell(&mut session).await;
    if end != End::Interrupted {
        engine.shutdown().await;
    }
    exit
}

/// What a run at a desk may do: reach this machine, and what the project allows.
fn options(checked: &Checked) -> Options {
    let allow = checked.project.settings.http_allow.iter().filter_map(|entry| entry.value.parse().ok()).collect();
    Options { http: HttpOptions { allow, allow_loopback: true } }
}

/// The failure of the store, which explains whatever else failed.
fn store_failed(args: &Args, session: &Session<'_>) -> Option<Failure> {
    let failure = session.check_store().err()?;
    Some(match session.roots.first() {
        Some(run) => {
            let command = resume_command(args, *run);
            failure.help(format!("what was recorded is kept; when that is mended, go on with: {command}"))
        }
        None => failure.help("nothing was started"),
    })
}

/// The command that goes on with a run.
fn resume_command(args: &Args, run: RunId) -> String {
    let mut command = "wf run".to_owned();
    let mut add = |word: &str| {
        command.push(' ');
        command.push_str(&quoted(word));
    };
    match (&args.store, &args.path) {
        (Some(store), _) => {
            add("--store");
            add(&store.display().to_string());
        }
        (None, Some(path)) if path != Path::new(".") => add(&path.display().to_string()),
        (None, _) => {}
    }
    add("--resume");
    add(&run.to_string());
    command
}
