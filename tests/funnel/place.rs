//! A copy of the funnel's project whose connections lead to the receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value as Json;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tempfile::TempDir;

use crate::receivers::{Message, Receivers};

pub(crate) struct Place {
    dir: TempDir,
    pub(crate) receivers: Receivers,
}

/// A row of `sent_messages`.
struct Sent {
    channel: String,
    status: String,
    provider_id: String,
    body_text: String,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let sender = format!("{}-{number}-{}@example.org", name.replace('.', "-"), std::process::id());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let receivers = Receivers::new(sender);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows/event-funnel"), &dir.path().join("project"));
        let settings = dir.path().join("project/wf.yaml");
        let text = fs::read_to_string(&settings).expect("the project has settings");
        let changed = text
            .replace("https://api.twilio.com", &format!("http://{}", receivers.texts_at))
            .replace("hello@example.org", &receivers.sender);
        assert_ne!(text, changed);
        fs::write(settings, changed).expect("the copy can be written");
        Place { dir, receivers }
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn wf(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wf"));
        command
            .env("WF_SECRET_SMTP_URL", std::env::var_os("WF_TEST_SMTP").expect("`./tests/run` names the mail server"))
            .env("WF_SECRET_SMS_ACCOUNT", "AC0123456789")
            .env("WF_SECRET_SMS_TOKEN", "a-token-of-the-test")
            .args(["run", "--fast-forward", "--store"])
            .arg(self.store());
        command
    }

    /// The command that runs a sample.
    pub(crate) fn run(&self, sample: &str) -> Command {
        let project = self.dir.path().join("project");
        let mut command = self.wf();
        command.arg(&project).arg("--event").arg(project.join("samples").join(sample));
        command
    }

    /// The command that goes on with a run.
    pub(crate) fn resume(&self, run: &str) -> Command {
        let mut command = self.wf();
        command.args(["--resume", run]);
        command
    }

    /// Holds what arrived against the database: every message arrived, under one key each, and no more deliveries were
    /// made than messages and kills together; and what the database was told happened once. Gives the number of
    /// deliveries too many.
    pub(crate) fn check(&self, received: &[Message], kills: usize) -> usize {
        let (sent, reminders) = self.tables();
        let mut by_key: BTreeMap<&str, Vec<&Message>> = BTreeMap::new();
        for message in received {
            by_key.entry(&message.key).or_default().push(message);
        }
        assert_eq!(by_key.len(), sent.len(), "one key a message");
        for row in &sent {
            assert_eq!(row.status, "sent");
            let text = |message: &&Message| message.text.trim_end() == row.body_text.trim_end();
            let copies: Vec<&Message> = match row.channel.as_str() {
                "email" => by_key.get(row.provider_id.as_str()).expect("a mail that was sent arrived").clone(),
                _ => received.iter().filter(|message| text(message)).collect(),
            };
            assert!(!copies.is_empty() && copies.iter().all(text), "the copies of a message are alike: {copies:?}");
        }
        for copies in by_key.values() {
            assert!(copies.iter().all(|copy| copy.to == copies[0].to && copy.text == copies[0].text), "{copies:?}");
        }
        for entries in reminders {
            let entries: Vec<Json> = serde_json::from_str(&entries).expect("a JSON array");
            let ids: BTreeSet<String> = entries.iter().map(|entry| entry["message_id"].to_string()).collect();
            assert_eq!(ids.len(), entries.len(), "each reminder was noted once: {entries:?}");
        }
        let extra = received.len() - sent.len();
        assert!(extra <= kills, "{extra} deliveries too many after {kills} kills");
        extra
    }

    #[tokio::main(flavor = "current_thread")]
    async fn tables(&self) -> (Vec<Sent>, Vec<String>) {
        let file = self.store().join("stand-ins/main_db.sqlite");
        let mut database =
            SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.expect("the stand-in is there");
        let sent = sqlx::query("select channel, status, provider_id, body_text from sent_messages")
            .fetch_all(&mut database)
            .await
            .expect("the messages can be read");
        let reminders = sqlx::query("select reminders_sent from registrations")
            .fetch_all(&mut database)
            .await
            .expect("the registrations can be read");
        let sent = sent.iter().map(|row| Sent {
            channel: row.get(0),
            status: row.get(1),
            provider_id: row.get(2),
            body_text: row.get(3),
        });
        (sent.collect(), reminders.iter().map(|row| row.get(0)).collect())
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("the project is there") {
        let entry = entry.expect("the project can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file is copied");
        }
    }
}
