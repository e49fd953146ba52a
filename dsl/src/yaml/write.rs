//! Values as YAML, for files that wf writes itself.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

/// Texts that are longer are quoted, and lists that would be stand one item a line.
const LINE_MAX: usize = 100;
/// What readers of YAML take for something else than a text, in lower case.
const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// A value as YAML in blocks, with a line end behind the last line. Keys keep their order; reading it gives the same
/// value, but for a key `<<`, which no file may have. Texts that any reader of YAML might take for something else are quoted.
///
/// ```
/// let value = serde_json::json!({"name": "Ada", "codes": ["no", "2026-01-01"], "at": {"x": 1.5, "y": null}});
/// assert_eq!(
///     wf_dsl::yaml_text(&value),
///     "name: Ada\ncodes: [\"no\", \"2026-01-01\"]\nat:\n  x: 1.5\n  \"y\": null\n",
/// );
/// ```
pub fn yaml_text(value: &Json) -> String {
    let mut text = String::new();
    match value {
        Json::Object(fields) if !fields.is_empty() => map(fields, 0, &mut text),
        Json::Array(items) if !items.is_empty() && !is_flow(items) => list(items, 0, &mut text),
        other => {
            flow(other, &mut text);
            text.push('\n');
        }
    }
    text
}

fn map(fields: &Map<String, Json>, indent: usize, text: &mut String) {
    for (place, (name, value)) in fields.iter().enumerate() {
        if place > 0 {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        scalar(name, text);
        text.push(':');
        match value {
            Json::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent + 2));
                map(inner, indent + 2, text);
            }
            Json::Array(items) if !items.is_empty() && !is_flow(items) => {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent + 2));
                list(items, indent + 2, text);
            }
            other => {
                text.push(' ');
                flow(other, text);
                text.push('\n');
            }
        }
    }
}

fn list(items: &[Json], indent: usize, text: &mut String) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        text.push_str("- ");
        match item {
            Json::Object(inner) if !inner.is_empty() => map(inner, indent + 2, text),
            Json::Array(inner) if !inner.is_empty() && !is_flow(inner) => list(inner, indent + 2, text),
            other => {
                flow(other, text);
                text.push('\n');
            }
        }
    }
}

/// Whether a list stands on one line: short, and of nothing but scalars.
fn is_flow(items: &[Json]) -> bool {
    let mut text = String::new();
    let are_scalars = items.iter().all(|item| !item.is_object() && !item.is_array());
    are_scalars && {
        flow(&Json::Array(items.to_vec()), &mut text);
        text.len() <= LINE_MAX
    }
}

fn flow(value: &Json, text: &mut String) {
    match value {
        Json::String(value) => scalar(value, text),
        Json::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                text.push_str(if place > 0 { ", " } else { "" });
                flow(item, text);
            }
            text.push(']');
        }
        // An empty map, a number, a bool or null.
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

fn scalar(value: &str, text: &mut String) {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_./- ".contains(&byte);
    let is_plain = value.len() <= LINE_MAX
        && value.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && value.bytes().all(is_word)
        && !value.ends_with(' ')
        && !WORDS.contains(&value.to_lowercase().as_str());
    if is_plain {
        return text.push_str(value);
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if is_shown(c) => text.push(c),
            c => {
                let _ = write!(text, "\\U{:08x}", u32::from(c));
            }
        }
    }
    text.push('"');
}

/// Whether a character may stand in a text as itself, and cannot be taken for the end of a line.
fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::diagnostic::Findings;
    use crate::source::FileId;

    fn read(text: &str) -> Json {
        let mut found = Findings::default();
        let node = super::super::part(FileId(0), text, 0, &mut found);
        assert!(!found.has_errors(), "{text}");
        node.unwrap_or_else(|| panic!("{text}")).to_json()
    }

    #[test]
    fn nested_values_are_blocks() {
        let value = json!({
            "cases": [{"name": "one: two", "path": ["a", "b"], "empty": {}, "none": []}, [[1, {"x": 2}]]],
            "0": {"": "", "long": ["x".repeat(LINE_MAX)]},
        });
        let text =
            "cases:\n  - name: \"one: two\"\n    path: [a, b]\n    empty: {}\n    none: []\n  - - - 1\n      - x: 2\n";
        assert!(yaml_text(&value).starts_with(text), "{}", yaml_text(&value));
        assert_eq!(read(&yaml_text(&value)), value);
    }

    fn values() -> impl Strategy<Value = Json> {
        let texts = prop_oneof![
            "[ -~]{0,12}".prop_map(Json::from),
            any::<String>().prop_map(|text| Json::from(text.replace('\0', "0"))),
            prop::sample::select(vec!["no", "~", "null", "1e3", "0x1f", "2026-01-01", "- a", "a: b", "#", "=", "<<"])
                .prop_map(Json::from),
        ];
        let numbers = prop_oneof![any::<i64>().prop_map(Json::from), (-1e9..1e9).prop_map(Json::from)];
        let leaf = prop_oneof![texts, numbers, any::<bool>().prop_map(Json::from), Just(Json::Null)];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::vec(("[a-z~: \"-]{0,4}|no", inner), 0..5)
                    .prop_map(|fields| Json::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(value in values()) {
            let wrapped = json!({"value": value});
            prop_assert_eq!(read(&yaml_text(&wrapped)), wrapped);
        }
    }
}
