//! The outbox, and which connection a step uses.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use wf_engine::Connection;

use super::bench::{Bench, unconfigured, welcome, with};

#[tokio::test]
async fn a_mail_without_connection_goes_to_the_outbox() {
    let mut bench = Bench::new();
    bench.template("welcome", welcome());
    bench.declare(unconfigured("mailer", "smtp", &[("from", "Events <hello@example.org>")]));
    let body = json!({
        "to": "Ada <ada@example.org>", "bcc": ["grace@example.org"], "template": "welcome",
        "with": {"first_name": "<Ada>"}, "headers": {"X-Campaign": "spring"}
    });
    let output = bench.run("email", body.clone()).await.unwrap();
    assert_eq!(
        output,
        json!({
            "message_id": "<wf_0123456789abcdefghijklmnop@example.org>",
            "accepted_at": "2025-10-01T09:00:00Z",
            "to": ["Ada <ada@example.org>"],
            "provider": "outbox",
            "subject": "Hello <Ada>",
            "text": "Hi <Ada>,\nwelcome."
        })
    );
    let outbox = bench.outbox();
    assert_eq!(outbox.keys().collect::<Vec<_>>(), ["wf_0123456789abcdefghijklmnop"]);
    let message = &outbox["wf_0123456789abcdefghijklmnop"];
    assert_eq!(
        *message,
        json!({
            "kind": "email", "connection": "mailer", "workflow": "welcome", "run": "000000000000000000000001000200aa",
            "step": "greet", "idempotency_key": "wf_0123456789abcdefghijklmnop", "accepted_at": "2025-10-01T09:00:00Z",
            "message_id": "<wf_0123456789abcdefghijklmnop@example.org>", "from": "Events <hello@example.org>",
            "to": ["Ada <ada@example.org>"], "cc": [], "bcc": ["grace@example.org"], "reply_to": [],
            "subject": "Hello <Ada>", "text": "Hi <Ada>,\nwelcome.", "html": "<p>Hi &lt;Ada&gt;, welcome.</p>",
            "headers": {"X-Campaign": "spring"}, "attachments": []
        })
    );
    let eml = fs::read_to_string(bench.store("outbox/wf_0123456789abcdefghijklmnop.eml")).unwrap();
    assert!(eml.contains("Subject: Hello <Ada>\r\n") && !eml.contains("grace@"), "{eml}");

    bench.cx.attempt = 2;
    assert_eq!(bench.run("email", body).await.unwrap(), output);
    assert_eq!(bench.outbox().len(), 1, "a later attempt replaces the message");
    assert_eq!(fs::read_dir(bench.store("outbox")).unwrap().count(), 2, "nothing unfinished is left");
}

#[tokio::test]
async fn an_explicit_key_counts_within_its_step() {
    let mut bench = Bench::new();
    let body = json!({"to": "ada@example.org", "subject": "s", "text": "t"});
    bench.cx.key = "order-7/ü".to_owned();
    let first = bench.run("email", body.clone()).await.unwrap()["message_id"].clone();
    bench.cx.effect = "wf_another_run".to_owned();
    assert_eq!(bench.run("email", body.clone()).await.unwrap()["message_id"], first);
    bench.cx.step = "other".into();
    assert_ne!(bench.run("email", body).await.unwrap()["message_id"], first);
    let id = first.as_str().unwrap();
    assert!(id.starts_with("<wf_") && id.ends_with("@localhost>") && id.is_ascii(), "{id}");
}

#[tokio::test]
async fn a_text_message_without_connection_goes_to_the_outbox() {
    let mut bench = Bench::new();
    bench.template("welcome", welcome());
    let body = json!({"to": "+12025550101", "template": "welcome", "with": {"first_name": "<Ada>"}});
    let output = bench.run("sms", body).await.unwrap();
    let id = "wf_0123456789abcdefghijklmnop";
    assert_eq!(
        output,
        json!({
            "message_id": id, "accepted_at": "2025-10-01T09:00:00Z", "to": ["+12025550101"], "provider": "outbox",
            "text": "Hi <Ada>!"
        })
    );
    assert_eq!(bench.outbox()[id]["text"], "Hi <Ada>!");
    assert_eq!(bench.outbox()[id]["connection"], json!(null));
}

#[tokio::test]
async fn where_nothing_may_stand_in_a_step_fails_at_once() {
    let bodies = [
        ("email", json!({"to": "ada@example.org", "subject": "s", "text": "t"}), "smtp"),
        ("sms", json!({"to": "+12025550101", "text": "t"}), "sms"),
        ("db.query", json!({"sql": "select 1"}), "sqlite"),
        ("db.exec", json!({"sql": "select 1"}), "sqlite"),
        ("redis.get", json!({"key": "k"}), "redis"),
        ("redis.set", json!({"key": "k", "value": 1}), "redis"),
        ("redis.incr", json!({"key": "k"}), "redis"),
        ("redis.del", json!({"key": "k"}), "redis"),
    ];
    for (kind, body, connection) in bodies {
        let family = kind.split('.').next().unwrap();
        let unavailable = format!("{family}.unavailable");
        let mut bench = Bench::new();
        bench.declare(Connection { optional: true, ..unconfigured("maybe", connection, &[]) });
        let error = bench.run(kind, body.clone()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retriable), (unavailable.as_str(), Some(false)), "{kind}");

        let mut bench = Bench::new();
        (bench.cx.outbox, bench.cx.stand_ins) = (None, None);
        let error = bench.run(kind, body.clone()).await.unwrap_err();
        assert_eq!((error.code, error.retriable), (unavailable.clone(), Some(false)), "{kind}");

        // A folder that cannot be written is not a reason to lose a message.
        let mut bench = Bench::new();
        fs::create_dir_all(bench.store("")).unwrap();
        fs::write(bench.store("file"), "").unwrap();
        let blocked: Arc<std::path::Path> = bench.store("file/below").into();
        (bench.cx.outbox, bench.cx.stand_ins) = (Some(blocked.clone()), Some(blocked));
        if family != "redis" {
            assert_eq!(bench.fails(kind, body.clone()).await, unavailable, "{kind}");
        }

        // Wrong settings are an error, never a stand-in.
        let config = format!("{family}.config");
        let mut bench = Bench::new();
        bench.connect("one", connection, &[]);
        assert_eq!(bench.fails(kind, body.clone()).await, config, "{kind}: no url");
        bench.connect("two", connection, &[]);
        assert_eq!(bench.fails(kind, body.clone()).await, config, "{kind}: two connections");
        assert_eq!(
            bench.fails(kind, with(body.clone(), "connection", json!("three"))).await,
            config,
            "{kind}: unknown"
        );
        bench.connect("other", "something", &[]);
        assert_eq!(bench.fails(kind, with(body.clone(), "connection", json!("other"))).await, config, "{kind}: kind");
        assert!(bench.outbox().is_empty());
    }
}

#[tokio::test]
async fn templates_fail_with_a_code_of_their_own() {
    let mut bench = Bench::new();
    bench.template("welcome", welcome());
    bench.template("sms-only", wf_engine::MessageTemplate { sms: Some("x".to_owned()), ..Default::default() });
    let mail = |template: &str| json!({"to": "ada@example.org", "template": template, "subject": "s"});
    assert_eq!(bench.fails("email", mail("none")).await, "email.template");
    assert_eq!(bench.fails("email", mail("welcome")).await, "email.template", "a parameter is missing");
    assert_eq!(bench.fails("email", mail("sms-only")).await, "email.template");
    assert_eq!(bench.fails("sms", json!({"to": "+12025550101", "template": "welcome"})).await, "sms.template");
    let named = with(mail("welcome"), "with", json!({"first_name": "Ada"}));
    assert_eq!(bench.run("email", named.clone()).await.unwrap()["subject"], "s", "the step's subject goes first");
    assert_eq!(bench.fails("email", with(named, "text", json!("t"))).await, "validation.input");
    let bare = json!({"to": "ada@example.org", "subject": "s"});
    assert_eq!(bench.fails("email", bare.clone()).await, "validation.input");
    assert_eq!(bench.fails("email", with(bare, "with", json!({"a": 1}))).await, "validation.input");
}
