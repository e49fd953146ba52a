//! `http` on the wire.

use std::time::Duration;

use serde_json::{Value as Json, json};
use wf_engine::StepKind;
use wf_stdlib::{HttpOptions, Options};

use super::bench::{Bench, with};
use super::peers::{Does, HttpPeer, nobody};

fn get(peer: &HttpPeer) -> Json {
    json!({"url": peer.url("/x")})
}

#[tokio::test]
async fn a_request_says_what_the_step_says() {
    let bench = Bench::new();
    let peer = HttpPeer::that(Does::json(200, json!({"id": 7}))).await;
    let body = json!({
        "method": "POST", "url": peer.url("/orders?a=1"), "headers": {"Authorization": "Bearer s3cret", "x-n": 5},
        "query": {"q": "a b&c", "tag": ["x", true], "none": null, "n": 1.5}, "json": {"name": "é"}, "expect_status": 200
    });
    let output = bench.run("http", body).await.unwrap();
    assert_eq!(output["status"], 200);
    assert_eq!(output["body"], json!({"id": 7}));
    assert_eq!(output["headers"]["content-type"], "application/json");
    let request = peer.request();
    assert_eq!(request.line, "POST /orders?a=1&q=a+b%26c&tag=x&tag=true&n=1.5");
    assert_eq!(request.json(), json!({"name": "é"}));
    let expected = [
        ("authorization", "Bearer s3cret"),
        ("x-n", "5"),
        ("content-type", "application/json"),
        ("idempotency-key", "wf_0123456789abcdefghijklmnop"),
    ];
    for (name, value) in expected {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert!(request.header("user-agent").unwrap().starts_with("wf/"));
}

#[tokio::test]
async fn bodies_are_json_form_or_text() {
    let bench = Bench::new();
    let table = [
        (
            json!({"form": {"a": "1 2", "b": ["x", "ü&"], "c": null}}),
            "a=1+2&b=x&b=%C3%BC%26",
            "application/x-www-form-urlencoded",
        ),
        (json!({"body": "a\r\nb\0"}), "a\r\nb\0", "text/plain; charset=utf-8"),
        (json!({"json": [1], "headers": {"content-type": "application/vnd.x+json"}}), "[1]", "application/vnd.x+json"),
        (json!({"json": ""}), "\"\"", "application/json"),
    ];
    for (fields, content, content_type) in table {
        let peer = HttpPeer::that(Does::answers(204, "", "")).await;
        let body = with(with(fields, "url", json!(peer.url("/"))), "method", json!("put"));
        assert_eq!(bench.run("http", body).await.unwrap()["body"], json!(null));
        assert_eq!((peer.request().text(), peer.request().header("content-type")), (content, Some(content_type)));
    }
    let both = json!({"url": "http://127.0.0.1", "json": 1, "body": "x"});
    assert_eq!(bench.fails("http", both).await, "http.request");
}

#[tokio::test]
async fn the_idempotency_key_is_the_steps() {
    let mut bench = Bench::new();
    bench.cx.key = "order 7\r\nx: y".to_owned();
    let peer = HttpPeer::that(Does::answers(200, "", "")).await;
    bench.run("http", get(&peer)).await.unwrap();
    let sent = peer.request().header("idempotency-key").unwrap().to_owned();
    assert!(sent.len() == 64 && peer.request().header("x").is_none(), "{sent}");

    let peer = HttpPeer::that(Does::answers(200, "", "")).await;
    bench.run("http", with(get(&peer), "headers", json!({"Idempotency-Key": "mine"}))).await.unwrap();
    assert_eq!(peer.request().header("idempotency-key"), Some("mine"));
}

#[tokio::test]
async fn answers_are_read_by_their_type() {
    let bench = Bench::new();
    let table = [
        ("content-type: application/problem+json; charset=utf-8", &b"{\"a\":1}"[..], json!({"a": 1})),
        ("content-type: text/html", b"{\"a\":1}", json!("{\"a\":1}")),
        ("x: y", "é".as_bytes(), json!("é")),
        ("content-type: image/png", b"\x89PNG\xff", json!("iVBOR/8=")),
        ("content-type: application/json", b"", json!(null)),
    ];
    for (header, content, expected) in table {
        let peer = HttpPeer::that(Does::answers(200, &format!("{header}\r\n"), content)).await;
        assert_eq!(bench.run("http", get(&peer)).await.unwrap()["body"], expected, "{header}");
    }
    let twice = HttpPeer::that(Does::answers(200, "X-A: 1\r\nx-a: 2\r\n", "")).await;
    assert_eq!(bench.run("http", get(&twice)).await.unwrap()["headers"]["x-a"], "1, 2");
}

#[tokio::test]
async fn an_unexpected_status_is_an_error() {
    let bench = Bench::new();
    let expected_by = |expect: Json, status: u16| {
        let bench = &bench;
        async move {
            let peer = HttpPeer::that(Does::answers(status, "", "no")).await;
            bench.run("http", with(get(&peer), "expect_status", expect)).await
        }
    };
    for (expect, status) in
        [(json!(null), 299), (json!(404), 404), (json!([200, "300-399"]), 302), (json!("400-404"), 404)]
    {
        assert_eq!(expected_by(expect.clone(), status).await.unwrap()["status"], status, "{expect}");
    }
    for (expect, status) in
        [(json!(null), 302), (json!(404), 200), (json!([200, "300-399"]), 400), (json!("400-403"), 404)]
    {
        let error = expected_by(expect.clone(), status).await.unwrap_err();
        assert_eq!(error.code, format!("http.status.{status}"), "{expect}");
        assert_eq!(error.data, json!({"status": status, "body": "no"}));
    }
    for wrong in [json!("2xx"), json!("200"), json!([])] {
        let error = expected_by(wrong.clone(), 200).await;
        assert!(error.is_err_and(|error| error.code.starts_with("http.")), "{wrong}");
    }
}

#[tokio::test]
async fn a_busy_peer_says_when_to_come_back() {
    let bench = Bench::new();
    let table = [("30", 30), ("Wed, 01 Oct 2025 09:01:00 GMT", 60)];
    for (text, seconds) in table {
        let busy =
            Does::answers(503, &format!("Retry-After: {text}\r\ncontent-type: application/json\r\n"), "not JSON");
        let error = bench.run("http", get(&HttpPeer::that(busy).await)).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retry_after), ("http.status.503", Some(Duration::from_secs(seconds))));
        assert_eq!(error.data["body"], "not JSON");
    }
}

#[tokio::test]
async fn hostile_peers_are_errors() {
    let bench = Bench::new();
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    let endless_head = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(100_000)].concat();
    let table = [
        (Does::Writes(b"\x00\xff garbage\r\n\r\n".to_vec()), "http.interrupted"),
        (Does::Writes(Vec::new()), "http.interrupted"),
        (Does::Writes(half), "http.interrupted"),
        (Does::Writes(endless_head), "http.interrupted"),
        (Does::Resets, "http.interrupted"),
        (Does::answers(200, "content-type: application/json\r\n", "{\"a\":"), "http.body"),
        (Does::answers(200, "content-type: application/json\r\n", "[".repeat(100_000)), "http.body"),
        (Does::answers(200, "", vec![b'x'; 1024 * 1024 + 1]), "http.too_large"),
    ];
    for (does, code) in table {
        let peer = HttpPeer::that(does.clone()).await;
        let error = bench.run("http", get(&peer)).await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(!error.message.contains("/x"), "{error}");
    }
    // The status is known before the body.
    let busy = HttpPeer::that(Does::answers(503, "retry-after: 7\r\n", vec![b'x'; 1024 * 1024 + 1])).await;
    let error = bench.run("http", get(&busy)).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry_after), ("http.status.503", Some(Duration::from_secs(7))));
    let most = HttpPeer::that(Does::answers(200, "", vec![b'x'; 1024 * 1024])).await;
    assert_eq!(bench.run("http", get(&most)).await.unwrap()["body"].as_str().unwrap().len(), 1024 * 1024);
    assert_eq!(bench.fails("http", json!({"url": format!("http://{}/", nobody().await)})).await, "http.connect");
    assert_eq!(bench.fails("http", json!({"url": "http://nowhere.invalid/"})).await, "http.connect");
    // Without a limit from the step, the exchange has one of its own; time is virtual here.
    let slow = HttpPeer::that(Does::Hangs(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_vec())).await;
    tokio::time::pause();
    assert_eq!(bench.fails("http", get(&slow)).await, "http.timeout");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let bench = Bench::new();
    let peer = HttpPeer::that(Does::answers(302, "location: /elsewhere\r\n", "")).await;
    let output = bench.run("http", with(get(&peer), "expect_status", json!(302))).await.unwrap();
    assert_eq!(output["headers"]["location"], "/elsewhere");
    assert_eq!(peer.requests().len(), 1);
}

#[tokio::test]
async fn a_request_has_a_plain_method_and_a_hundred_headers() {
    let bench = Bench::new();
    let peer = HttpPeer::that(Does::answers(200, "", "")).await;
    for method in ["get", "HEAD", "post", "Put", "patch", "delete", "options"] {
        bench.run("http", with(get(&peer), "method", json!(method))).await.unwrap();
    }
    for method in ["connect", "TRACE", "", "get post", "x"] {
        assert_eq!(bench.fails("http", with(get(&peer), "method", json!(method))).await, "http.request", "{method}");
    }
    assert_eq!(peer.requests().len(), 7);
    let headers = |count: usize| json!({"x": vec!["v"; count]});
    bench.run("http", with(get(&peer), "headers", headers(100))).await.unwrap();
    for too_many in [101, 100_000] {
        assert_eq!(bench.fails("http", with(get(&peer), "headers", headers(too_many))).await, "http.request");
    }
}

#[tokio::test]
async fn nothing_private_is_reached() {
    let bench = Bench::new();
    let peer = HttpPeer::that(Does::answers(200, "", "")).await;
    let port = peer.address.port();
    let http = |options: HttpOptions| {
        let kinds = wf_stdlib::all_with(Options { http: options });
        kinds.into_iter().find(|kind| kind.describe().name == "http").unwrap()
    };
    let code = async |kind: &dyn StepKind, url: String| {
        kind.execute(&bench.cx, json!({"url": url})).await.map(drop).map_err(|error| error.code)
    };
    let strict = http(HttpOptions::default());
    let refused = Err("http.refused".to_owned());
    for host in ["127.0.0.1", "localhost", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"] {
        assert_eq!(code(&*strict, format!("http://{host}:{port}/")).await, refused, "{host}");
    }
    assert!(peer.requests().is_empty());
    let lenient = http(HttpOptions { allow: vec!["localhost".parse().unwrap()], allow_loopback: false });
    assert_eq!(code(&*lenient, format!("http://localhost:{port}/")).await, Ok(()));
    assert_eq!(code(&*lenient, format!("http://127.0.0.1:{port}/")).await, refused);
    let network = http(HttpOptions { allow: vec!["127.0.0.0/8".parse().unwrap()], allow_loopback: false });
    assert_eq!(code(&*network, format!("http://127.0.0.1:{port}/")).await, Ok(()));
}

#[tokio::test]
async fn a_wrong_request_repeats_none_of_its_secrets() {
    let bench = Bench::new();
    let bodies = [
        json!({"url": "s3cret"}),
        json!({"url": "ftp://example.org/s3cret"}),
        json!({"url": "https://s3cret:443:443/"}),
        json!({"url": "http://127.0.0.1", "headers": {"authorization": "s3cret\r\nx: y"}}),
        json!({"url": "http://127.0.0.1", "headers": {"a b": "s3cret"}}),
        json!({"url": "http://127.0.0.1", "headers": {"Host": "s3cret"}}),
        json!({"url": "http://127.0.0.1", "method": "s3cret\n"}),
        json!({"url": 5, "body": "s3cret"}),
        json!({"url": "http://127.0.0.1", "query": {"a": {"s3cret": 1}}}),
        json!({"url": format!("http://user:s3cret@{}/s3cret?s3cret#s3cret", nobody().await)}),
        json!({"url": "http://user:s3cret@nowhere.invalid/s3cret"}),
    ];
    for body in bodies {
        let error = bench.run("http", body.clone()).await.unwrap_err();
        assert!(!format!("{error} {}", error.data).contains("s3cret"), "{error}");
        assert!(matches!(error.code.as_str(), "http.request" | "http.connect" | "validation.input"), "{body}: {error}");
    }
}
