//! The process under watch, with a whole engine: it says which events it has sent, which records a next step builds on,
//! and how runs ended. Each is marked by the first write that holds it.

use std::path::Path;
use std::sync::Arc;

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

async fn send_all(dir: &Path, plan: Plan) {
    let give = kind("mark.give", async |_cx: StepContext, give: Give| {
        Ok::<_, StepError>(Marked { mark: format!("<{}>", give.mark) })
    });
    let tell = kind("mark.tell", async |_cx: StepContext, tell: Tell| {
        say(format!("recorded {}", tell.mark));
        Ok::<_, StepError>(Marked { mark: format!("<{}>", tell.last) })
    });
    let options = SledOptions { durability: plan.durability, ..SledOptions::default() };
    let engine = Engine::builder()
        .store(SledStore::open(dir, options).expect("a store"))
        .kind(give)
        .kind(tell)
        .file("marked.yaml", WORKFLOW)
        .build()
        .await
        .expect("an engine");
    let engine = Arc::new(engine);
    let senders = (0..plan.senders).map(|sender| tokio::spawn(send(engine.clone(), sender, plan.commits)));
    for sender in senders.collect::<Vec<_>>() {
        sender.await.expect("a sender that does not panic");
    }
    engine.shutdown().await;
}

async fn send(engine: Arc<Engine>, sender: u32, events: u32) {
    for number in 1..=events {
        let sent = mark('a', sender, number);
        let [recorded, ended] = ['b', 'z'].map(|letter| mark(letter, sender, number));
        let data = serde_json::json!({ "sent": sent, "recorded": bare(&recorded), "ended": bare(&ended) });
        let receipt = engine.send(Event::new("mark.sent", data)).await.expect("an event that is taken");
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
