//! What the kinds say of themselves holds.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use wf_engine::{Kind, Type};

use super::bench::{Bench, unconfigured, welcome};
use super::peers::{Does, HttpPeer};

/// Every example of every kind works, on stand-ins and against a server that agrees to everything.
#[tokio::test]
async fn the_examples_work() {
    let peer = HttpPeer::that(Does::json(200, json!({"ok": true}))).await;
    for kind in wf_stdlib::catalog().iter() {
        assert!(!kind.examples.is_empty(), "{} has no example", kind.name);
        let mut bench = Bench::new();
        bench.template("welcome", welcome());
        bench.project("files/invoice.pdf", "%PDF-1.7");
        bench.project("db/schema.sql", "create table contacts (id text primary key, name text);");
        bench.project("db/sample.sql", "insert into contacts values ('ada', 'Ada'), ('grace', 'Grace');");
        let stand_in = ["db/schema.sql", "db/sample.sql"].map(String::from).to_vec();
        bench.declare(wf_engine::Connection { stand_in, ..unconfigured("main_db", "postgres", &[]) });
        for (number, example) in kind.examples.iter().enumerate() {
            bench.next_step(&format!("wf_example{number}"));
            let body: Json =
                serde_json::from_str(&example.to_string().replace("https://api.example.org", &peer.url(""))).unwrap();
            let output =
                bench.run(&kind.name, body).await.unwrap_or_else(|error| panic!("{} {example}: {error}", kind.name));
            fits(kind, &output);
        }
    }
}

fn fits(kind: &Kind, output: &Json) {
    let declared = Type::from_schema(&kind.output).unwrap();
    assert!(declared.accept(output).is_ok(), "{}: {output} does not fit {}", kind.name, kind.output);
}

#[test]
fn a_description_is_complete() {
    for kind in wf_stdlib::catalog().iter() {
        let name = &kind.name;
        assert!(kind.description.ends_with('.'), "{name}");
        let properties = kind.body["properties"].as_object().unwrap();
        for (field, schema) in properties {
            assert!(schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}: {field}");
        }
        assert_eq!(kind.body["additionalProperties"], false, "{name}");
        for field in kind.literal_fields.iter().chain(&kind.secret_fields) {
            assert!(properties.contains_key(field), "{name}: {field}");
        }
        if kind.connections.is_empty() {
            assert!(!properties.contains_key("connection"), "{name}");
        } else {
            assert!(properties.contains_key("connection"), "{name}");
        }
        assert!(kind.returns_at.is_empty() || kind.open_output, "{name}");
        let codes: BTreeSet<_> = kind.errors.iter().map(|error| &error.code).collect();
        assert_eq!(codes.len(), kind.errors.len(), "{name} declares a code twice");
        let family = name.split('.').next().unwrap();
        for error in &kind.errors {
            let ours = error.code.starts_with(&format!("{family}.")) || error.code.starts_with("validation.");
            assert!(ours, "{name}: {}", error.code);
        }
        for example in &kind.examples {
            Type::from_schema(&kind.body).unwrap().accept(example).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        }
    }
}

#[tokio::test]
async fn a_body_of_another_shape_is_refused() {
    for kind in wf_stdlib::catalog().iter() {
        let bench = Bench::new();
        for wrong in [json!(null), json!([]), json!({}), json!({"nonsense": 1})] {
            assert_eq!(bench.fails(&kind.name, wrong).await, "validation.input", "{}", kind.name);
        }
    }
}

/// The table of codes that retry by default, as the language has it.
#[test]
fn only_what_may_pass_is_retried() {
    for kind in wf_stdlib::catalog().iter() {
        for error in &kind.errors {
            let code = error.code.as_str();
            let passing = code.ends_with(".unavailable")
                || matches!(code, "db.conflict" | "db.timeout" | "http.timeout" | "http.connect" | "http.interrupted")
                || matches!(
                    code.strip_prefix("http.status."),
                    Some("408" | "425" | "429" | "500" | "502" | "503" | "504")
                );
            assert_eq!(error.retriable, passing, "{code}");
        }
    }
}
