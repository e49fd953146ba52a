//! `wf events`

use serde_json::{Value as Json, json};
use wf_dsl::Time;
use wf_engine::{EventFilter, Gathered, LoggedEvent, Position};

use crate::desk::{StoreArgs, failed};
use crate::exit::{Exit, Failure};
use crate::findings::count;
use crate::selection::{Listing, Since};
use crate::table::Table;
use crate::terminal::{Look, data, talk};
use crate::when::{due, second};

/// What is shown of an event's data on a line, in columns.
const DATA_COLUMNS: usize = 76;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List events, newest first
    List(List),
    /// Send an event again: a new one with the same data
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Events of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Events that were received at this time or later: a timestamp, or how long ago, such as `24h`
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Events that were received before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
    /// Events before this place in the log
    #[arg(long, value_name = "POSITION")]
    before: Option<u64>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The event's id: the one that its sender was answered, or the engine's own
    #[arg(value_name = "EVENT")]
    event: String,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::List(args) => list(&args),
        Command::Replay(args) => replay(&args),
    }
}

fn list(args: &List) -> Result<Exit, Failure> {
    args.listing.store.operate(async |operator| {
        let now = operator.now();
        let filter = EventFilter {
            name: args.name.clone(),
            since: args.since.map(|since| since.at(now)),
            until: args.until.map(|until| until.at(now)),
        };
        let page = operator.events(&filter, args.before.map(Position), args.listing.limit).await.map_err(failed)?;
        if args.listing.json {
            let events: Vec<Json> = page.items.iter().map(json_of).collect();
            let next = page.next.map(|position| position.0);
            data(&format!("{:#}\n", json!({"version": 1, "events": events, "next": next})))?;
        } else if page.items.is_empty() {
            talk("no events");
        } else {
            data(&table(&page.items, now, Look::stdout()))?;
            if let Some(next) = page.next {
                talk(&format!("there are more: add `--before {}`, or `--limit N`", next.0));
            }
        }
        Ok(Exit::Success)
    })
}

fn table(events: &[LoggedEvent], now: Time, look: Look) -> String {
    let mut table = Table::new(&["EVENT", "NAME", "RECEIVED (UTC)", "STARTED"], 1);
    for event in events {
        let started = match (event.runs.len(), event.gathered.is_empty()) {
            (0, true) => String::new(),
            (0, false) => "gathered".to_owned(),
            (runs, _) => count(runs, "run"),
        };
        let text = event.data.to_string();
        let mut note: Vec<String> = event.gathered.iter().map(|gathered| waits(gathered, now)).collect();
        note.push(console::truncate_str(&text, DATA_COLUMNS, "…").into_owned());
        table.row([event.id.clone(), event.name.clone(), second(event.received), started], note.join("; "));
    }
    table.text(look)
}

/// What an event is gathered for.
fn waits(gathered: &Gathered, now: Time) -> String {
    let Gathered { workflow, since, due: at, events } = gathered;
    let how_many = count(*events, "event");
    format!("gathered for {workflow} since {}, {how_many}, due {}", second(*since), due(now, *at))
}

fn json_of(event: &LoggedEvent) -> Json {
    json!({
        "id": event.id,
        "event_id": event.event.to_string(),
        "position": event.position.0,
        "name": event.name,
        "ts": event.ts.to_string(),
        "received_at": event.received.to_string(),
        "data": event.data,
        "sent_by": event.sent_by.map(|run| run.to_string()),
        "replay_of": event.replay_of.map(|event| event.to_string()),
        "runs": event.runs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "gathered": event.gathered.iter().map(json_of_gathered).collect::<Vec<_>>(),
    })
}

fn json_of_gathered(gathered: &Gathered) -> Json {
    let Gathered { workflow, since, due, events } = gathered;
    json!({"workflow": workflow, "since": since.to_string(), "due": due.to_string(), "events": events})
}

fn replay(args: &Replay) -> Result<Exit, Failure> {
    args.store.operate(async |operator| {
        let new = operator.replay_event(&args.event).await.map_err(failed)?;
        data(&format!("{new}\n"))?;
        talk("a new event; it comes in when an engine has this store");
        Ok(Exit::Success)
    })
}
