//! Servers that ask for TLS and a password, trusted by their certificate or not at all.

use std::process::Command;

use serde_json::json;

use super::bench::Bench;
use super::email::kept_mail;
use super::servers::server;

/// Where the platform looks for certificates, if it is set. Read once in a process, so that trusting one takes another
/// process: this test runs itself again.
const TRUSTED: &str = "SSL_CERT_FILE";

#[tokio::test]
async fn a_server_is_used_only_if_its_certificate_is_trusted() {
    let Some(certificate) = server("WF_TEST_CERTIFICATE") else { return };
    let url = |variable: &str| server(variable).unwrap();
    let is_trusted = std::env::var(TRUSTED).is_ok_and(|file| file == certificate);

    let mut bench = Bench::new();
    bench.next_step(&format!("wf_{}", bench.unique()));
    bench.connect("mailer", "smtp", &[("url", &url("WF_TEST_SMTP_TLS")), ("from", "hello@example.org")]);
    bench.connect("cache", "redis", &[("url", &url("WF_TEST_REDIS_TLS"))]);
    let mail = json!({"to": "ada@example.org", "subject": "Hello", "text": "Hi"});
    let value = json!({"key": bench.unique(), "value": "kept"});
    if !is_trusted {
        assert_eq!(bench.fails("email", mail).await, "email.unavailable");
        assert_eq!(bench.fails("redis.set", value).await, "redis.unavailable");
        let itself = "tls::a_server_is_used_only_if_its_certificate_is_trusted";
        let mut again = Command::new(std::env::current_exe().unwrap());
        let again = again.args(["--exact", itself]).env(TRUSTED, &certificate).output().unwrap();
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let output = bench.run("email", mail.clone()).await.unwrap();
    assert_eq!(kept_mail("WF_TEST_SMTP_TLS_DIR", &output).1["to"], json!(["ada@example.org"]));
    bench.run("redis.set", value.clone()).await.unwrap();
    assert_eq!(bench.run("redis.get", json!({"key": value["key"]})).await.unwrap()["value"], "kept");

    // A certificate is for a name, and a password for a user.
    for (from, to, codes) in [
        ("localhost", "127.0.0.1", ["email.unavailable", "redis.unavailable"]),
        ("s3cret", "secret", ["email.auth", "redis.auth"]),
    ] {
        let other = |variable: &str| url(variable).replace(from, to);
        bench.connect("mailer", "smtp", &[("url", &other("WF_TEST_SMTP_TLS")), ("from", "hello@example.org")]);
        bench.connect("cache", "redis", &[("url", &other("WF_TEST_REDIS_TLS"))]);
        assert_eq!(bench.fails("email", mail.clone()).await, codes[0]);
        assert_eq!(bench.fails("redis.set", value.clone()).await, codes[1]);
    }
}
