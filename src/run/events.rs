//! The events that a run is given: a file, or stdin.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value as Json};
use wf_dsl::{Time, did_you_mean};
use wf_engine::Event;

use crate::exit::{Exit, Failure};

/// Most events of one file.
pub(super) const EVENTS_MAX: usize = 5_000;
/// Most bytes of one file.
pub(super) const FILE_BYTES_MAX: usize = 4 << 20;
const KEYS: [&str; 4] = ["name", "data", "id", "ts"];

/// Reads one event or a list of them; `-` is stdin.
pub(super) fn read(path: &Path) -> Result<Vec<Event>, Failure> {
    let shown = if path == Path::new("-") { "stdin".to_owned() } else { format!("`{}`", path.display()) };
    let bytes = bytes(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Usage };
        Failure::new(exit, format!("the event file {shown} cannot be read: {error}"))
    })?;
    parse(&bytes).map_err(|why| Failure::usage(format!("{shown}: {why}")).help(HELP))
}

const HELP: &str = r#"an event is `{"name": "…", "data": {…}}`, with `id` and `ts` if it has them"#;

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<Event>, String> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    let json = serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let events = match json {
        Json::Array(events) if events.is_empty() => return Err("the list has no event".to_owned()),
        Json::Array(events) if events.len() > EVENTS_MAX => {
            return Err(format!("it has more than {EVENTS_MAX} events"));
        }
        Json::Array(events) => events,
        one => return Ok(vec![event(one)?]),
    };
    let numbered = events.into_iter().zip(1..);
    numbered.map(|(json, number)| event(json).map_err(|why| format!("event {number}: {why}"))).collect()
}

fn event(json: Json) -> Result<Event, String> {
    let Json::Object(mut object) = json else { return Err("this is not an object".to_owned()) };
    if let Some(unknown) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let help = did_you_mean(unknown, KEYS).map(|help| format!("; {help}")).unwrap_or_default();
        return Err(format!("`{unknown}` is no key of an event{help}"));
    }
    let Some(Json::String(name)) = object.remove("name").filter(|name| *name != "") else {
        return Err("`name` is missing, or no text".to_owned());
    };
    let data = object.remove("data").unwrap_or_else(|| Json::Object(Map::new()));
    let id = match object.remove("id") {
        None | Some(Json::Null) => None,
        Some(Json::String(id)) if !id.is_empty() => Some(id),
        Some(_) => return Err("`id` is not a text".to_owned()),
    };
    let ts = match object.remove("ts") {
        None | Some(Json::Null) => None,
        Some(ts) => Some(time(&ts)?),
    };
    Ok(Event { name, data, id, ts })
}

/// A timestamp, or milliseconds since 1970.
fn time(json: &Json) -> Result<Time, String> {
    match json {
        Json::String(text) => text.parse().map_err(|error| format!("`ts`: {error}")),
        Json::Number(number) => {
            let time = number.as_i64().and_then(Time::from_millis);
            time.ok_or_else(|| "`ts` is no number of milliseconds since 1970".to_owned())
        }
        _ => Err("`ts` is neither a timestamp nor a number of milliseconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_event_or_a_list() {
        let one = Event { name: "a".into(), data: json!({}), id: None, ts: None };
        assert_eq!(parse(br#"{"name": "a"}"#).unwrap(), std::slice::from_ref(&one));
        let other = Event { name: "b".into(), data: json!(1), id: Some("i".into()), ts: Some(Time(1_000)) };
        let list = br#"[{"name": "a"}, {"name": "b", "data": 1, "id": "i", "ts": "1970-01-01T00:00:01Z"}]"#;
        assert_eq!(parse(list).unwrap(), [one, other.clone()]);
        assert_eq!(parse(br#"{"name": "b", "data": 1, "id": "i", "ts": 1000}"#).unwrap(), [other]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("", "it is not JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "the list has no event"),
            ("[1]", "event 1: this is not an object"),
            (r#"{"data": {}}"#, "`name` is missing, or no text"),
            (r#"{"name": "a", "date": {}}"#, "`date` is no key of an event; did you mean `data`?"),
            (r#"[{"name": "a"}, {"name": "a", "id": 1}]"#, "event 2: `id` is not a text"),
            (r#"{"name": "a", "ts": true}"#, "`ts` is neither a timestamp nor a number of milliseconds"),
            (r#"{"name": "a", "ts": 1e99}"#, "`ts` is no number of milliseconds since 1970"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn limits_of_a_file() {
        let list = |n: usize| format!("[{}]", vec![r#"{"name":"a"}"#; n].join(","));
        assert_eq!(parse(list(EVENTS_MAX).as_bytes()).unwrap().len(), EVENTS_MAX);
        assert!(parse(list(EVENTS_MAX + 1).as_bytes()).is_err());
        let padded = |bytes: usize| format!("{}{}", " ".repeat(bytes - 12), r#"{"name":"a"}"#);
        assert!(parse(padded(FILE_BYTES_MAX).as_bytes()).is_ok());
        assert!(parse(padded(FILE_BYTES_MAX + 1).as_bytes()).is_err());
    }
}
