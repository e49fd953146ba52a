//! The process under watch, with a whole engine: it says which events it has sent, which records a next step builds on,
//! and how runs ended. Each is marked by the first write that holds it.

use std::path::Path;
use std::sync::Arc;

use wf_engine::store::{Durability, Key, Store, Table};
use wf_engine::{Engine, Event, SledOptions, SledStore, StepContext, StepError, kind};

use crate::writer::{Plan, mark, say};

/// The first step makes a record; the second knows it.
const WORKFLOW: &str = "
workflow: marked
triggers:
  - event: mark.sent
events:
  mark.sent:
    data:
      sent: string
      recorded: string
      ended: string
steps:
  - id: first
    mark.give:
      mark: ${ event.data.recorded }
  - id: second
    mark.tell:
      mark: ${ steps.first.mark }
      last: ${ event.data.ended }
  - id: done
    finish: ${ steps.second.mark }
";

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Give {
    /// Without its angle brackets, so that the record is the first to hold it whole.
    mark: String,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Tell {
    mark: String,
    last: String,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Marked {
    mark: String,
}

/// Sends events as planned, and waits for their runs.
pub(crate) fn run(arguments: &[String]) {
    let plan = Plan::read(&arguments[1..]).expect("the arguments of a plan");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(send_all(Path::new(&arguments[0]), plan));
}

/// Sends one event and waits for its run, whatever the disk does.
pub(crate) fn try_one(arguments: &[String]) {
    let plan = Plan::read(&arguments[1..]).expect("the arguments of a plan");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let tried = runtime.block_on(async {
        let tried = try_to_send(Path::new(&arguments[0]), &plan);
        tokio::time::timeout(PATIENCE, tried).await.unwrap_or_else(|_| Err("it hangs".into()))
    });
    if let Err(why) = tried {
        say(format!("stopped: {why}"));
    }
}

/// Longer than anything takes here, so that what hangs is seen.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

async fn try_to_send(dir: &Path, plan: &Plan) -> Result<(), String> {
    let engine = engine(dir, plan.durability).await?;
    let [sent, ended] = ['a', 'z'].map(|letter| mark(letter, 0, 1));
    let receipt = engine.send(event(0, 1)).await.map_err(|error| error.to_string())?;
    say(format!("sent {sent}"));
    let report = engine.wait(receipt.runs[0]).await;
    // Whatever was written, what is there can be read.
    let read = engine.report(receipt.runs[0]).await.map_err(|error| format!("not read: {error}"))?;
    say(format!("read {}", read.status.as_str()));
    assert_eq!(report.map_err(|error| error.to_string())?.output, serde_json::json!(ended));
    say(format!("ended {ended}"));
    engine.shutdown().await;
    Ok(())
}

/// Opens what a process left that was told this, and lets its run come to its end.
pub(crate) fn check_one(dir: &Path, told: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = open(dir, Durability::Process)?;
        let heads = store.scan(Key::all(Table::Head), false, usize::MAX).await.map_err(|error| error.to_string())?;
        let ended = store.scan(Key::all(Table::Ended), false, usize::MAX).await.map_err(|error| error.to_string())?;
        drop(store);
        let was_told = |word: &str| told.lines().any(|line| line.starts_with(word));
        if was_told("ended ") && ended.len() != 1 || was_told("sent ") && heads.len() != 1 {
            return Err(format!("of 1 run, {} are there, of which {} have ended", heads.len(), ended.len()));
        }
        let engine = engine(dir, Durability::Process).await?;
        for run in heads.iter().filter_map(|head| head.key.as_head()) {
            let report = engine.wait(run).await.map_err(|error| error.to_string())?;
            if report.output != serde_json::json!(mark('z', 0, 1)) {
                return Err(format!("run {run} ended with {}", report.output));
            }
            let kept = engine.records(run).await.map_err(|error| error.to_string())?;
            let kept = format!("{kept:?}");
            if let Some(lost) =
                told.lines().filter_map(|line| line.strip_prefix("recorded ")).find(|mark| !kept.contains(mark))
            {
                return Err(format!("{lost} was recorded, and is lost"));
            }
        }
        engine.shutdown().await;
        Ok(())
    })
}

async fn send_all(dir: &Path, plan: Plan) {
    let engine = Arc::new(engine(dir, plan.durability).await.expect("an engine"));
    let senders = (0..plan.senders).map(|sender| tokio::spawn(send(engine.clone(), sender, plan.commits)));
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("a sender that does not panic");
    }
    engine.shutdown().await;
}

async fn engine(dir: &Path, durability: Durability) -> Result<Engine, String> {
    let give = kind("mark.give", async |_cx: StepContext, give: Give| {
        Ok::<_, StepError>(Marked { mark: format!("<{}>", give.mark) })
    });
    let tell = kind("mark.tell", async |_cx: StepContext, tell: Tell| {
        say(format!("recorded {}", tell.mark));
        Ok::<_, StepError>(Marked { mark: format!("<{}>", tell.last) })
    });
    let builder = Engine::builder().store(open(dir, durability)?).kind(give).kind(tell).file("marked.yaml", WORKFLOW);
    builder.build().await.map_err(|error| format!("not started: {error}"))
}

fn open(dir: &Path, durability: Durability) -> Result<SledStore, String> {
    let options = SledOptions { durability, ..SledOptions::default() };
    SledStore::open(dir, options).map_err(|error| format!("not opened: {error}"))
}

fn event(sender: u32, number: u32) -> Event {
    let [sent, recorded, ended] = ['a', 'b', 'z'].map(|letter| mark(letter, sender, number));
    let data = serde_json::json!({ "sent": sent, "recorded": bare(&recorded), "ended": bare(&ended) });
    Event::new("mark.sent", data)
}

async fn send(engine: Arc<Engine>, sender: u32, events: u32) {
    for number in 1..=events {
        let sent = mark('a', sender, number);
        let receipt = engine.send(event(sender, number)).await.expect("an event that is taken");
        say(format!("sent {sent}"));
        for run in receipt.runs {
            let report = engine.wait(run).await.expect("a run that ends");
            say(format!("ended {}", report.output));
        }
    }
}

fn bare(mark: &str) -> &str {
    mark.trim_matches(['<', '>'])
}
