//! A host program: a workflow, a step kind of its own, an event, a run that is awaited.
use wf_engine::{Engine, Event, SledOptions, SledStore, StepContext, StepError, kind};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Announce {
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let announce = kind("hall.announce", async |_: StepContext, announce: Announce| {
        eprintln!("{}", announce.text);
        Ok::<_, StepError>(())
    });
    let engine = Engine::builder()
        .store(SledStore::open(std::env::temp_dir().join("greetings"), SledOptions::default())?)
        .kind(announce)
        .file("greeting.yaml", include_str!("greeting.yaml"))
        .build()
        .await?;
    let sent = engine.send(Event::new("person.arrived", serde_json::json!({"name": "Ada"}))).await?;
    let report = engine.wait(sent.runs[0]).await?;
    eprintln!("{} {}", report.workflow, report.status.as_str());
    engine.shutdown().await;
    Ok(())
}
