//! What the kinds say of themselves holds.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use wf_engine::run::OUTPUT_BYTES_MAX;
use wf_engine::{Kind, Type, Value};

use super::bench::{Bench, unconfigured, welcome};
use super::peers::{Does, HttpPeer};

/// Every example of every kind works, on stand-ins and against a server that agrees to everything.
#[tokio::test]
async fn the_examples_work() {
    let peer = HttpPeer::that(Does::json(200, json!({"ok": true}))).await;
    for kind in wf_stdlib::catalog().iter() {
        assert!(!kind.examples.is_empty(), "{} has no example", kind.name);
        let mut bench = furnished();
        for (number, example) in kind.examples.iter().enumerate() {
            bench.next_step(&format!("wf_example{number}"));
            let output = bench
                .run(&kind.name, at(&peer, example))
                .await
                .unwrap_or_else(|error| panic!("{} {example}: {error}", kind.name));
            fits(kind, &output);
        }
    }
}

/// Whatever a body holds, there is an output of the declared type or an error with a declared code: no panic, and
/// nothing that `catch` cannot name.
#[tokio::test]
async fn any_body_gives_an_output_or_a_declared_error() {
    let peer = HttpPeer::that(Does::json(200, json!({"ok": true}))).await;
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5e300),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(""),
        json!("\0"),
        json!("\r\n.\r\n"),
        json!("é\u{feff}\u{202e}🎉"),
        json!("'\";--:a"),
        json!("../../../etc/passwd"),
        json!("999999999999999999999999d"),
        json!("x".repeat(70_000)),
        json!([]),
        json!([null]),
        json!({}),
        json!({"": null}),
        json!({"a\nb": ["c"]}),
        deep,
    ];
    for kind in wf_stdlib::catalog().iter() {
        let mut bench = furnished();
        let mut number = 0;
        for example in &kind.examples {
            let body = at(&peer, example);
            for place in places(&body) {
                for value in &values {
                    let mut body = body.clone();
                    *body.pointer_mut(&place).unwrap() = value.clone();
                    number += 1;
                    bench.next_step(&format!("wf_body{number}"));
                    match bench.run(&kind.name, body).await {
                        Ok(output) => fits(kind, &output),
                        Err(error) => {
                            let declared = |known: &str| match known.strip_suffix('*') {
                                Some(family) => error.code.starts_with(family),
                                None => error.code == known,
                            };
                            assert!(kind.errors.iter().any(|known| declared(&known.code)), "{}: {error}", kind.name);
                            assert!(error.message.len() < 2_000, "{}: {place} {}", kind.name, &error.message[..200]);
                        }
                    }
                }
            }
        }
    }
}

/// Pointers to all values inside of a body.
fn places(body: &Json) -> Vec<String> {
    let inner: Vec<(String, &Json)> = match body {
        Json::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Json::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = |(name, value): (String, &Json)| {
        let deeper = places(value).into_iter().map(|place| format!("/{name}{place}")).collect::<Vec<_>>();
        std::iter::once(format!("/{name}")).chain(deeper).collect::<Vec<_>>()
    };
    inner.into_iter().flat_map(below).collect()
}

/// A project with all that the examples name.
fn furnished() -> Bench {
    let mut bench = Bench::new();
    bench.template("welcome", welcome());
    bench.project("files/invoice.pdf", "%PDF-1.7");
    bench.project("db/schema.sql", "create table contacts (id text primary key, name text);");
    bench.project("db/sample.sql", "insert into contacts values ('ada', 'Ada'), ('grace', 'Grace');");
    let stand_in = ["db/schema.sql", "db/sample.sql"].map(String::from).to_vec();
    bench.declare(wf_engine::Connection { stand_in, ..unconfigured("main_db", "postgres", &[]) });
    bench
}

/// An example with our peer in place of the one that it names.
fn at(peer: &HttpPeer, example: &Json) -> Json {
    serde_json::from_str(&example.to_string().replace("https://api.example.org", &peer.url(""))).unwrap()
}

fn fits(kind: &Kind, output: &Json) {
    let declared = Type::from_schema(&kind.output).unwrap();
    assert!(declared.accept(output).is_ok(), "{}: {output} does not fit {}", kind.name, kind.output);
    assert!(Value::from_json(output).size_within(OUTPUT_BYTES_MAX).is_some(), "{}: {output} is too large", kind.name);
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
