//! A host program: one workflow, one step kind of its own, an event, a run that is awaited.

use wf_engine::{Engine, Event, SledOptions, SledStore, StepContext, StepError, kind};

const GREETING: &str = "
workflow: greeting
triggers:
  - event: person.arrived
events:
  person.arrived:
    data:
      name: string
steps:
  - id: greet
    hall.announce:
      text: Welcome, ${ event.data.name }
  - id: done
    finish: ${ steps.greet.heard_by }
";

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Announce {
    text: String,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Announced {
    heard_by: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let announce = kind("hall.announce", async |_cx: StepContext, announce: Announce| {
        eprintln!("{}", announce.text);
        Ok::<_, StepError>(Announced { heard_by: 3 })
    });
    let engine = Engine::builder()
        .store(SledStore::open("greeting-store", SledOptions::default())?)
        .kind(announce)
        .file("greeting.yaml", GREETING)
        .build()
        .await?;
    let sent = engine.send(Event::new("person.arrived", serde_json::json!({"name": "Ada"}))).await?;
    for run in sent.runs {
        let report = engine.wait(run).await?;
        eprintln!("{} {}: {}", report.workflow, report.status.as_str(), report.output);
    }
    engine.shutdown().await;
    Ok(())
}
