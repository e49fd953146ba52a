//! `email` on the wire.

use std::fs;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::bench::{Bench, welcome, with};
use super::peers::{Does, HttpPeer, nobody};
use super::servers::server;
use super::smtp_peer::{At, Fault, SmtpPeer};

fn bench(url: &str) -> Bench {
    let mut bench = Bench::new();
    bench.connect("mailer", "smtp", &[("url", url), ("from", "Events <hello@example.org>")]);
    bench
}

fn mail() -> Json {
    json!({"to": "ada@example.org", "subject": "Hello", "text": "Hi Ada,\n\nwelcome.\n"})
}

fn letter(url: &str) -> Bench {
    let mut bench = bench(url);
    bench.template("welcome", welcome());
    bench.project("files/a.bin", [0, 13, 10, 46, 13, 10, 255]);
    bench
}

/// Mails of every sort; a bench from [`letter`] can send them.
fn mails() -> [Json; 4] {
    [
        mail(),
        json!({"to": "Ada Lovelace <ada@example.org>", "subject": "Grüße, 🎉!", "text": "ä"}),
        json!({
            "to": ["ada@example.org"], "cc": ["Grace <grace@example.org>"], "bcc": "alan@example.org",
            "reply_to": "office@example.org", "from": "Other <other@example.org>", "template": "welcome",
            "with": {"first_name": "Ada"}, "headers": {"X-Campaign": "spring"},
            "attachments": ["files/a.bin", {"path": "files/a.bin", "name": "über.pdf"}]
        }),
        json!({"to": "ada@example.org", "subject": "s", "html": "<p>.</p>\n.\n"}),
    ]
}

/// What the outbox would hold for this mail.
async fn eml(body: Json, effect: &str) -> Vec<u8> {
    let mut bench = letter("");
    bench.declare(super::bench::unconfigured("mailer", "smtp", &[("from", "Events <hello@example.org>")]));
    bench.next_step(effect);
    bench.run("email", body).await.unwrap();
    fs::read(bench.store(&format!("outbox/{effect}.eml"))).unwrap()
}

#[tokio::test]
async fn a_mail_arrives_byte_for_byte() {
    for body in mails() {
        let peer = SmtpPeer::friendly().await;
        let bench = letter(&peer.url("?tls=none"));
        let output = bench.run("email", body.clone()).await.unwrap();
        assert_eq!(output["provider"], "mailer");
        let [arrived] = &peer.arrived()[..] else { panic!("{} mails", peer.arrived().len()) };
        let expected = eml(body.clone(), &bench.cx.effect).await;
        assert_eq!(String::from_utf8_lossy(&arrived.content), String::from_utf8_lossy(&expected));
        let message_id = format!("Message-ID: {}\r\n", output["message_id"].as_str().unwrap());
        assert!(String::from_utf8_lossy(&arrived.content).contains(&message_id), "{message_id}");
        assert!(arrived.content.is_ascii());
        assert!(!String::from_utf8_lossy(&arrived.content).contains("alan@"), "bcc is told to nobody");
        if body["bcc"].is_string() {
            assert_eq!(arrived.from, "<other@example.org>");
            assert_eq!(arrived.to, ["<ada@example.org>", "<grace@example.org>", "<alan@example.org>"]);
        }
    }
}

/// A server that somebody else wrote gets the same bytes, and reads in them what the step says.
#[tokio::test]
async fn another_server_gets_the_same_bytes() {
    let Some(url) = server("WF_TEST_SMTP") else { return };
    let mut bench = letter(&url);
    let unique = bench.unique();
    for (number, body) in mails().into_iter().enumerate() {
        bench.next_step(&format!("wf_{unique}_{number}"));
        let output = bench.run("email", body.clone()).await.unwrap();
        let (arrived, note) = kept_mail("WF_TEST_SMTP_DIR", &output);
        let expected = eml(body.clone(), &bench.cx.effect).await;
        assert_eq!(String::from_utf8_lossy(&arrived), String::from_utf8_lossy(&expected));
        assert_eq!(note["subject"], output["subject"]);
        let lines = |text: &Json| text.as_str().map(|text| text.trim_end().to_owned());
        assert_eq!(lines(&note["text"]), lines(&output["text"]));
        if body["html"].is_string() {
            assert_eq!(lines(&note["html"]), lines(&body["html"]));
        }
        if body["bcc"].is_string() {
            assert_eq!(note["from"], "other@example.org");
            assert_eq!(note["to"], json!(["ada@example.org", "grace@example.org", "alan@example.org"]));
            assert_eq!(lines(&note["html"]).unwrap(), "<p>Hi Ada, welcome.</p>");
            let content = "AA0KLg0K/w==";
            let attached = |name: &str, ty: &str| json!({"name": name, "type": ty, "base64": content});
            let both = [attached("a.bin", "application/octet-stream"), attached("über.pdf", "application/pdf")];
            assert_eq!(note["attachments"], json!(both));
        }
    }
}

/// The mail with this output in a folder of `smtp_sink.py`, and what the server noted about it.
pub(crate) fn kept_mail(folder: &str, output: &Json) -> (Vec<u8>, Json) {
    let message_id = format!("Message-ID: {}\r\n", output["message_id"].as_str().unwrap());
    let files = fs::read_dir(server(folder).unwrap()).unwrap().map(|file| file.unwrap().path());
    let mut found =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).filter_map(|note| {
            let mail = fs::read(note.with_extension("eml")).unwrap();
            let is_it = String::from_utf8_lossy(&mail).contains(&message_id);
            is_it.then(|| (mail, serde_json::from_slice(&fs::read(&note).unwrap()).unwrap()))
        });
    let mail = found.next().unwrap_or_else(|| panic!("no mail with {message_id}"));
    assert!(found.next().is_none(), "more than one mail with {message_id}");
    mail
}

#[tokio::test]
async fn all_attempts_send_the_same_bytes() {
    let peer = SmtpPeer::friendly().await;
    let mut bench = bench(&peer.url("?tls=none"));
    bench.template("welcome", welcome());
    bench.project("files/a.bin", "x");
    let body = json!({
        "to": "ada@example.org", "template": "welcome", "with": {"first_name": "A"}, "attachments": ["files/a.bin"]
    });
    for attempt in [1, 2] {
        bench.cx.attempt = attempt;
        bench.run("email", body.clone()).await.unwrap();
    }
    assert_eq!(peer.arrived()[0], peer.arrived()[1]);
    assert_eq!(peer.sessions(), 1, "the session is used again");
}

/// A body cannot end the message and begin another one, whatever a server takes for a line break.
#[tokio::test]
async fn a_body_cannot_speak_smtp() {
    let evil = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nevil\r\n.\r\n";
    for breaks in [["\r\n", "\r\n"], ["\n", "\n"], ["\r", "\r"], ["\n", "\r\n"], ["\r\n", "\n"], ["\r", "\n"]] {
        let [before, after] = breaks;
        let text = format!("start{before}.{after}{evil}{before}..{after}.end{before}.");
        for field in ["text", "html"] {
            let peer = SmtpPeer::friendly().await;
            let body = with(json!({"to": "ada@example.org", "subject": "s"}), field, json!(text));
            bench(&peer.url("?tls=none")).run("email", body.clone()).await.unwrap();
            let [arrived] = &peer.arrived()[..] else { panic!("{breaks:?}: {} mails", peer.arrived().len()) };
            assert_eq!(arrived.to, ["<ada@example.org>"], "{breaks:?}");
            let content = String::from_utf8(arrived.content.clone()).unwrap();
            assert_eq!(decoded(&content), normal(&text), "{breaks:?}");
        }
    }
}

/// The text of a mail with one quoted-printable part.
fn decoded(content: &str) -> String {
    let (head, body) = content.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Transfer-Encoding: quoted-printable"), "{head}");
    let joined = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let [first, others @ ..] = rest {
        if *first == b'=' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&others[..2]).unwrap(), 16).unwrap());
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// With line breaks as mail has them, and one at the end.
fn normal(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let ended = if lines.ends_with('\n') { lines } else { lines + "\n" };
    ended.replace('\n', "\r\n")
}

#[tokio::test]
async fn a_header_cannot_be_added() {
    let peer = SmtpPeer::friendly().await;
    let bench = bench(&peer.url("?tls=none"));
    for break_ in ["\r\n", "\n", "\r", "\0"] {
        let evil = format!("x{break_}Bcc: victim@example.org");
        let address = format!("ada@example.org{break_}");
        let fields = [
            ("subject", json!(evil)),
            ("to", json!(address)),
            ("to", json!(["ada@example.org", format!("{evil} <ada@example.org>")])),
            ("cc", json!(address)),
            ("bcc", json!(address)),
            ("from", json!(address)),
            ("reply_to", json!(address)),
            ("headers", json!({"X-A": evil})),
            ("headers", json!({format!("X-A{break_}"): "x"})),
        ];
        for (field, value) in fields {
            assert_eq!(
                bench.fails("email", with(mail(), field, value.clone())).await,
                "email.rejected",
                "{field} {value}"
            );
        }
    }
    for name in ["Subject", "bcc", "Content-Type", "MESSAGE-ID", "DATE", "", "a b", "a:b", "é"] {
        assert_eq!(bench.fails("email", with(mail(), "headers", json!({name: "x"}))).await, "email.rejected", "{name}");
    }
    for to in
        [json!(""), json!([]), json!("ada"), json!("ada@"), json!("@example.org"), json!("a@b>, <c@d"), json!("a b@c")]
    {
        assert_eq!(bench.fails("email", with(mail(), "to", to.clone())).await, "email.rejected", "{to}");
    }
    assert_eq!(bench.fails("email", with(mail(), "subject", json!(null))).await, "email.rejected");
    let recipients = |count: usize| json!((0..count).map(|n| format!("a{n}@example.org")).collect::<Vec<_>>());
    assert_eq!(bench.fails("email", with(mail(), "to", recipients(101))).await, "email.rejected");
    assert_eq!(peer.sessions(), 0);
    bench.run("email", with(mail(), "to", recipients(100))).await.unwrap();
    assert_eq!(peer.arrived()[0].to.len(), 100);
    let headers = |count: usize| (0..count).map(|n| (format!("X-{n}"), json!("x"))).collect::<Json>();
    assert_eq!(bench.fails("email", with(mail(), "headers", headers(101))).await, "email.rejected");
    bench.run("email", with(mail(), "headers", headers(100))).await.unwrap();
}

#[tokio::test]
async fn attachments_are_files_of_the_project() {
    let peer = SmtpPeer::friendly().await;
    let bench = bench(&peer.url("?tls=none"));
    bench.project("big.bin", vec![0; 20 * 1024 * 1024 - 1]);
    bench.project("one.bin", [0]);
    bench.project("two.bin", [0, 0]);
    fs::write(bench.store("").parent().unwrap().join("secret.txt"), "secret").unwrap();
    for path in ["../secret.txt", "/etc/passwd", "none.txt", ".", ""] {
        assert_eq!(
            bench.fails("email", with(mail(), "attachments", json!([path]))).await,
            "email.attachment",
            "{path}"
        );
    }
    let with_files = |files: Json| with(mail(), "attachments", files);
    assert_eq!(bench.fails("email", with_files(json!(["big.bin", "two.bin"]))).await, "email.attachment");
    bench.run("email", with_files(json!(["big.bin", "one.bin"]))).await.unwrap();
    let renamed = json!([{"path": "one.bin", "name": "a\r\nb"}]);
    assert_eq!(bench.fails("email", with_files(renamed)).await, "email.rejected");
}

#[tokio::test]
async fn refusals_are_final_or_not() {
    let table = [
        (At::Greeting, Fault::Says("421 too busy"), "email.unavailable"),
        (At::Greeting, Fault::Says("554 go away"), "email.rejected"),
        (At::Greeting, Fault::Says("\u{1}\u{2} garbage"), "email.unavailable"),
        (At::Greeting, Fault::Closes, "email.unavailable"),
        (At::Command("EHLO"), Fault::Closes, "email.unavailable"),
        (At::Command("AUTH"), Fault::Says("535 5.7.8 wrong: s3cret"), "email.auth"),
        (At::Command("AUTH"), Fault::Says("454 later"), "email.unavailable"),
        (At::Command("AUTH"), Fault::Closes, "email.unavailable"),
        (At::Command("MAIL"), Fault::Says("530 authenticate first"), "email.auth"),
        (At::Command("MAIL"), Fault::Says("451 later"), "email.unavailable"),
        (At::Command("RCPT"), Fault::Says("550 no such user s3cret"), "email.rejected"),
        (At::Command("RCPT"), Fault::Says("550-no\r\n550 such user"), "email.rejected"),
        (At::Command("RCPT"), Fault::Says("450 greylisted"), "email.unavailable"),
        (At::Command("DATA"), Fault::Says("554 no"), "email.rejected"),
        (At::Command("DATA"), Fault::Says("421 shutting down"), "email.unavailable"),
        (At::Command("DATA"), Fault::Closes, "email.unavailable"),
        (At::Content, Fault::Says("552 too large"), "email.rejected"),
        (At::Content, Fault::Says("452 disk full"), "email.unavailable"),
        (At::Content, Fault::Says("354 go on"), "email.unavailable"),
        (At::Content, Fault::Says("what"), "email.unavailable"),
        (At::Content, Fault::Closes, "email.unavailable"),
    ];
    for (at, fault, code) in table {
        let peer = SmtpPeer::that(at, fault).await;
        let url = format!("smtp://user:s3cret@{}?tls=none", peer.address);
        let bench = bench(&url);
        let error = bench.run("email", mail()).await.unwrap_err();
        assert_eq!(error.code, code, "{at:?} {fault:?}: {error}");
        assert!(!error.to_string().contains("s3cret") && !error.message.contains(['\n', '\r']), "{error}");
        // The fault happens once: the next attempt gets through, in a session of its own.
        assert!(bench.run("email", mail()).await.is_ok(), "{at:?} {fault:?}");
        let arrived = peer.arrived();
        assert_eq!(arrived.len(), if at == At::Content { 2 } else { 1 }, "{at:?} {fault:?}");
        assert!(arrived.iter().all(|mail| mail.content == arrived[0].content), "a repetition is the same mail");
    }
    let nowhere = bench(&format!("smtp://{}?tls=none", nobody().await));
    assert_eq!(nowhere.fails("email", mail()).await, "email.unavailable");
    assert_eq!(bench("smtp://nowhere.invalid?tls=none").fails("email", mail()).await, "email.unavailable");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    for at in [At::Greeting, At::Command("EHLO"), At::Command("AUTH"), At::Command("RCPT"), At::Content] {
        let peer = SmtpPeer::that(at, Fault::Hangs).await;
        let bench = bench(&format!("smtp://user:s3cret@{}?tls=none", peer.address));
        // Virtual time: the limit is reached at once, and only because nothing else happens.
        tokio::time::pause();
        assert_eq!(bench.fails("email", mail()).await, "email.unavailable", "{at:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn credentials_are_given_as_they_are() {
    let peer = SmtpPeer::friendly().await;
    let url = format!("smtp://ada%40example.org:p%C3%A4ss%2F@{}?tls=none", peer.address);
    bench(&url).run("email", mail()).await.unwrap();
    // base64 of "\0ada@example.org\0päss/"
    assert!(
        peer.commands().contains(&"AUTH PLAIN AGFkYUBleGFtcGxlLm9yZwBww6Rzcy8=".to_owned()),
        "{:?}",
        peer.commands()
    );
    let none = SmtpPeer::with(&[], Vec::new()).await;
    let error = bench(&format!("smtp://user:s3cret@{}?tls=none", none.address)).run("email", mail()).await.unwrap_err();
    assert_eq!(error.code, "email.auth");
    assert!(none.arrived().is_empty());
}

#[tokio::test]
async fn without_tls_nothing_is_said_unless_the_url_allows_it() {
    for settings in ["", "?tls=required", "?tls=starttls"] {
        let plain = SmtpPeer::friendly().await;
        let url = format!("smtp://user:s3cret@{}{settings}", plain.address);
        assert_eq!(bench(&url).fails("email", mail()).await, "email.config", "{settings}");
        // A server that says yes to STARTTLS and then cannot do it.
        let broken = SmtpPeer::with(&["STARTTLS", "AUTH PLAIN"], Vec::new()).await;
        let url = format!("smtp://user:s3cret@{}{settings}", broken.address);
        assert_eq!(bench(&url).fails("email", mail()).await, "email.unavailable", "{settings}");
        for peer in [plain, broken] {
            let said = peer.commands().join(" ");
            assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
        }
    }
    let peer = SmtpPeer::friendly().await;
    let immediate = peer.url("").replace("smtp:", "smtps:");
    assert_eq!(bench(&immediate).fails("email", mail()).await, "email.unavailable");
    for url in
        ["smtp://", "http://example.org", "s3cret", "smtp://h?tls=maybe", "smtps://h?tls=none", "smtp://h?s3cret=1"]
    {
        let error = bench(url).run("email", mail()).await.unwrap_err();
        assert_eq!(error.code, "email.config", "{url}");
        assert!(url.contains('?') || !error.message.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_session_that_went_away_is_replaced() {
    let peer = SmtpPeer::that(At::Command("NOOP"), Fault::Says("421 idle for too long")).await;
    let bench = bench(&peer.url("?tls=none"));
    bench.run("email", mail()).await.unwrap();
    bench.run("email", mail()).await.unwrap();
    assert_eq!((peer.arrived().len(), peer.sessions()), (2, 2));
}

/// The answer to an abandoned command must not be taken for the answer to a later one.
#[tokio::test]
async fn an_attempt_that_is_dropped_takes_its_session_along() {
    for at in [At::Command("MAIL"), At::Command("RCPT"), At::Command("DATA"), At::Content] {
        let peer = SmtpPeer::that(at, Fault::Hangs).await;
        let bench = bench(&peer.url("?tls=none"));
        let attempt = bench.kind("email").execute(&bench.cx, mail());
        assert!(tokio::time::timeout(Duration::from_millis(300), attempt).await.is_err(), "{at:?}");
        bench.run("email", mail()).await.unwrap();
        assert_eq!(peer.sessions(), 2, "{at:?}");
    }
}

#[tokio::test]
async fn many_mails_at_once_share_few_sessions() {
    let peer = SmtpPeer::friendly().await;
    let bench = bench(&peer.url("?tls=none"));
    let all = futures_util::future::join_all((0..100).map(|_| bench.run("email", mail()))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(peer.arrived().len(), 100);
    assert!(peer.sessions() <= 16, "{}", peer.sessions());
}

fn api(url: &str) -> Bench {
    let mut bench = Bench::new();
    let settings = [("url", url), ("token", "s3cret"), ("from", "Events <hello@example.org>")];
    bench.connect("mailer", "mail_api", &settings);
    bench
}

#[tokio::test]
async fn the_mail_api_has_resends_shape() {
    let peer = HttpPeer::that(Does::json(200, json!({"id": "49a3999c"}))).await;
    let bench = api(&peer.url(""));
    bench.project("files/a.txt", "hello");
    let body = json!({
        "to": ["Ada <ada@example.org>", "grace@example.org"], "cc": "c@example.org", "bcc": "b@example.org",
        "reply_to": "r@example.org", "subject": "Hi ü", "text": "t", "html": "<p>t</p>", "headers": {"X-A": "1"},
        "attachments": ["files/a.txt"]
    });
    let output = bench.run("email", body).await.unwrap();
    assert_eq!((&output["message_id"], &output["provider"]), (&json!("49a3999c"), &json!("mailer")));
    let request = peer.request();
    assert_eq!(request.line, "POST /emails");
    assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(request.header("idempotency-key"), Some("wf_0123456789abcdefghijklmnop"));
    assert_eq!(
        request.json(),
        json!({
            "from": "Events <hello@example.org>", "to": ["Ada <ada@example.org>", "grace@example.org"], "subject": "Hi ü",
            "cc": ["c@example.org"], "bcc": ["b@example.org"], "reply_to": ["r@example.org"], "text": "t",
            "html": "<p>t</p>", "headers": {"X-A": "1"},
            "attachments": [{"filename": "a.txt", "content": "aGVsbG8=", "content_type": "text/plain; charset=utf-8"}]
        })
    );
    let peer = HttpPeer::that(Does::json(200, json!({"id": "1"}))).await;
    api(&peer.url("/v2")).run("email", mail()).await.unwrap();
    assert_eq!(peer.request().line, "POST /v2/emails");
    assert_eq!(
        peer.request().json().as_object().unwrap().keys().collect::<Vec<_>>(),
        ["from", "to", "subject", "text"]
    );
}

#[tokio::test]
async fn the_mail_apis_refusals_are_final_or_not() {
    let refusal =
        |status, name: &str| Does::json(status, json!({"statusCode": status, "name": name, "message": "no s3cret"}));
    let table = [
        (refusal(400, "validation_error"), "email.rejected"),
        (refusal(401, "missing_api_key"), "email.auth"),
        (refusal(403, "invalid_api_key"), "email.auth"),
        (refusal(403, "validation_error"), "email.rejected"),
        (refusal(409, "invalid_idempotent_request"), "email.rejected"),
        (refusal(409, "concurrent_idempotent_requests"), "email.unavailable"),
        (refusal(422, "invalid_from_address"), "email.rejected"),
        (refusal(429, "rate_limit_exceeded"), "email.unavailable"),
        (refusal(500, "application_error"), "email.unavailable"),
        (Does::Resets, "email.unavailable"),
    ];
    for (does, code) in table {
        let error = api(&HttpPeer::that(does.clone()).await.url("")).run("email", mail()).await.unwrap_err();
        assert_eq!(error.code, code, "{does:?}: {error}");
        assert!(!format!("{error} {}", error.data).contains("s3cret"), "{error}");
    }
    let busy = Does::answers(429, "retry-after: 3\r\n", "{}");
    let error = api(&HttpPeer::that(busy).await.url("")).run("email", mail()).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
}
