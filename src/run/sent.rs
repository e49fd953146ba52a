//! What was sent: to whom, and when.

use serde_json::Value as Json;
use wf_dsl::Time;
use wf_engine::RunReport;

use crate::findings::count;
use crate::terminal::{Look, harmless};
use crate::when::date_and_time;

/// The provider of messages that nobody sends.
const OUTBOX: &str = "outbox";
/// More messages than these are only counted.
const SHOWN_MAX: usize = 100;

/// A message that a step has handed over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    kind: String,
    at: Time,
    to: String,
    provider: String,
    /// The subject, or how the text begins.
    about: String,
}

impl Message {
    /// The message that an output tells of, whatever kind has made it.
    pub(crate) fn of(kind: &str, output: &Json) -> Option<Message> {
        let text = |key: &str| output.get(key).and_then(Json::as_str);
        let to: Vec<&str> = output.get("to")?.as_array()?.iter().filter_map(Json::as_str).collect();
        let about = text("subject").or_else(|| text("text").and_then(|text| text.lines().next()));
        Some(Message {
            kind: kind.to_owned(),
            at: text("accepted_at")?.parse().ok()?,
            to: to.join(", "),
            provider: text("provider").unwrap_or_default().to_owned(),
            about: about.unwrap_or_default().to_owned(),
        })
    }

    /// The message in the timeline.
    pub(crate) fn line(&self) -> String {
        let Message { to, about, .. } = self;
        let verb = if self.provider == OUTBOX { "outbox: to" } else { "sent to" };
        format!("{verb} {to}: {about}")
    }
}

/// All messages of these runs, in the order of time.
pub(super) fn messages(reports: &[RunReport]) -> Vec<Message> {
    let steps = reports.iter().flat_map(|report| &report.steps).filter(|step| step.status == "finished");
    let mut messages: Vec<Message> = steps.filter_map(|step| Message::of(&step.kind, &step.output)).collect();
    messages.sort_by_key(|message| message.at);
    messages
}

/// A table of them; empty if there are none.
pub(super) fn table(messages: &[Message], look: Look) -> String {
    if messages.is_empty() {
        return String::new();
    }
    let width = |part: fn(&Message) -> &String| {
        messages.iter().take(SHOWN_MAX).map(|message| console::measure_text_width(part(message))).max().unwrap_or(0)
    };
    // On a screen each message has one line, so that a long list of people leaves room for what they got.
    let people_max = if look.is_terminal { look.width / 3 } else { usize::MAX };
    let (kinds, people) = (width(|message| &message.kind), width(|message| &message.to).min(people_max));
    let mut table = format!("{}\n", look.bold(&title(messages)));
    for message in messages.iter().take(SHOWN_MAX) {
        let (date, time) = date_and_time(message.at);
        let kind = console::pad_str(&message.kind, kinds, console::Alignment::Left, None);
        let to = console::pad_str(&message.to, people, console::Alignment::Left, Some("…"));
        let row = harmless(&format!("  {date} {time}  {kind}  {to}  {}", message.about)).replace('\n', " ");
        table.push_str(&if look.is_terminal { console::truncate_str(&row, look.width, "…") } else { row.into() });
        table.push('\n');
    }
    if messages.len() > SHOWN_MAX {
        table.push_str(&format!("  … and {}\n", count(messages.len() - SHOWN_MAX, "more message")));
    }
    table
}

fn title(messages: &[Message]) -> String {
    let kept = messages.iter().filter(|message| message.provider == OUTBOX).count();
    match (kept, messages.len() - kept) {
        (0, sent) => format!("Sent {}", count(sent, "message")),
        (kept, 0) => format!("Put {} into the outbox; nothing has left this machine", count(kept, "message")),
        (kept, sent) => format!("Sent {}, and put {kept} into the outbox", count(sent, "message")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mail(provider: &str) -> Message {
        let output = json!({
            "message_id": "m", "accepted_at": "2031-05-01T09:00:00.123Z", "to": ["Ada <ada@example.org>"],
            "provider": provider, "subject": "Welcome", "text": "Dear Ada,\nhow good"
        });
        Message::of("email", &output).unwrap()
    }

    #[test]
    fn a_message_is_known_by_its_output() {
        assert_eq!(mail("mailer").line(), "sent to Ada <ada@example.org>: Welcome");
        assert_eq!(mail("outbox").line(), "outbox: to Ada <ada@example.org>: Welcome");
        assert_eq!(Message::of("http", &json!({"status": 200, "headers": {}, "body": {"to": []}})), None);
    }

    #[test]
    fn a_long_table_ends() {
        let look = Look { is_terminal: false, colour: false, width: 60, columns: 60 };
        let rows = |n| table(&vec![mail("mailer"); n], look).lines().count();
        assert_eq!((rows(0), rows(1), rows(SHOWN_MAX), rows(SHOWN_MAX + 1)), (0, 2, SHOWN_MAX + 1, SHOWN_MAX + 2));
        let expected = "Sent 1 message\n  2031-05-01 09:00:00  email  Ada <ada@example.org>  Welcome\n";
        assert_eq!(table(&[mail("mailer")], look), expected);
    }

    #[test]
    fn a_title_says_what_has_left() {
        assert_eq!(title(&[mail("outbox")]), "Put 1 message into the outbox; nothing has left this machine");
        assert_eq!(title(&[mail("outbox"), mail("mailer")]), "Sent 1 message, and put 1 into the outbox");
    }
}
