//! `sms` on the wire.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::bench::{Bench, with};
use super::peers::{Does, HttpPeer, nobody};

fn bench(url: &str) -> Bench {
    let mut bench = Bench::new();
    let settings = [("url", url), ("account", "AC/7"), ("token", "s3cret"), ("from", "+15005550006")];
    bench.connect("texts", "sms", &settings);
    bench
}

#[tokio::test]
async fn a_message_has_twilios_shape() {
    let peer = HttpPeer::that(Does::json(201, json!({"sid": "SM123", "status": "queued"}))).await;
    let bench = bench(&peer.url("/base/"));
    let body = json!({"to": "+12025550101", "text": "Doors open at 18:00 & more é"});
    assert_eq!(
        bench.run("sms", body.clone()).await.unwrap(),
        json!({
            "message_id": "SM123", "accepted_at": "2025-10-01T09:00:00Z", "to": ["+12025550101"],
            "provider": "texts", "text": "Doors open at 18:00 & more é"
        })
    );
    let request = peer.request();
    assert_eq!(request.line, "POST /base/2010-04-01/Accounts/AC%2F7/Messages.json");
    assert_eq!(request.text(), "To=%2B12025550101&From=%2B15005550006&Body=Doors+open+at+18%3A00+%26+more+%C3%A9");
    let basic = format!("Basic {}", BASE64_STANDARD.encode("AC/7:s3cret"));
    assert_eq!(request.header("authorization"), Some(basic.as_str()));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("i-twilio-idempotency-token"), Some("wf_0123456789abcdefghijklmnop"));
    assert!(bench.outbox().is_empty());
    bench.run("sms", with(body, "from", json!("Acme"))).await.unwrap();
    assert!(peer.requests()[1].text().contains("From=Acme"));
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_tried() {
    let peer = HttpPeer::that(Does::json(201, json!({}))).await;
    let bench = bench(&peer.url(""));
    let body = json!({"to": "+12025550101", "text": "t"});
    for to in ["12025550101", "+1 202 555 0101", "+12025550101\n", "ada@example.org", ""] {
        assert_eq!(bench.fails("sms", with(body.clone(), "to", json!(to))).await, "sms.rejected", "{to}");
    }
    for (field, value) in [("from", "a name that is long"), ("text", ""), ("text", &"x".repeat(1601))] {
        assert_eq!(bench.fails("sms", with(body.clone(), field, json!(value))).await, "sms.rejected", "{field}");
    }
    assert!(peer.requests().is_empty());
}

#[tokio::test]
async fn refusals_are_final_or_not() {
    let refusal = |status, code: i32, message: &str| Does::json(status, json!({"code": code, "message": message}));
    let table = [
        (refusal(400, 21211, "Invalid 'To'\nnumber"), "sms.rejected"),
        (refusal(401, 20003, "Authenticate"), "sms.auth"),
        (refusal(404, 20404, "not found"), "sms.rejected"),
        (refusal(429, 20429, "Too many"), "sms.unavailable"),
        (refusal(500, 20500, "Internal"), "sms.unavailable"),
        (refusal(503, 20503, "s3cret leaked back"), "sms.unavailable"),
        (Does::answers(400, "", "\u{0}<html>"), "sms.rejected"),
        (Does::answers(302, "location: /\r\n", ""), "sms.rejected"),
        (Does::Writes(b"nonsense".to_vec()), "sms.unavailable"),
        (Does::Resets, "sms.unavailable"),
    ];
    let body = json!({"to": "+12025550101", "text": "t"});
    for (does, code) in table {
        let peer = HttpPeer::that(does.clone()).await;
        let error = bench(&peer.url("")).run("sms", body.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(!error.to_string().contains("s3cret") && !error.message.contains('\n'), "{error}");
    }
    let error = bench(&format!("http://{}", nobody().await)).run("sms", body.clone()).await.unwrap_err();
    assert_eq!(error.code, "sms.unavailable");
    assert!(bench("texts s3cret").run("sms", body.clone()).await.is_err_and(|error| error.code == "sms.config"));
    let slow = HttpPeer::that(Does::Hangs(Vec::new())).await;
    tokio::time::pause();
    assert_eq!(bench(&slow.url("")).fails("sms", body).await, "sms.unavailable");
}

#[tokio::test]
async fn a_busy_provider_says_when_to_come_back() {
    let busy = Does::answers(429, "retry-after: 7\r\n", "{\"code\": 20429, \"message\": \"Too many\"}");
    let error = bench(&HttpPeer::that(busy).await.url("")).run("sms", json!({"to": "+12025550101", "text": "t"})).await;
    let error = error.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(error.data, json!({"status": 429, "code": 20429}));
}

#[tokio::test]
async fn an_acceptance_without_id_is_an_acceptance() {
    let large = vec![b'x'; 1024 * 1024 + 1];
    let half = b"HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    for accepted in [Does::answers(201, "", "thanks"), Does::answers(200, "", &large), Does::Writes(half)] {
        let peer = HttpPeer::that(accepted).await;
        let output = bench(&peer.url("")).run("sms", json!({"to": "+12025550101", "text": "t"})).await.unwrap();
        assert_eq!(output["message_id"], "wf_0123456789abcdefghijklmnop");
    }
    for (status, code) in [(400, "sms.rejected"), (503, "sms.unavailable")] {
        let peer = HttpPeer::that(Does::answers(status, "", &large)).await;
        let body = json!({"to": "+12025550101", "text": "t"});
        assert_eq!(bench(&peer.url("")).fails("sms", body).await, code, "a refusal without words is a refusal");
    }
}
