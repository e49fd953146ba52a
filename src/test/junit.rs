//! Results for CI servers, as JUnit writes them.

use std::fmt::Write;

use wf_engine::testing::CaseReport;

use super::{Results, json};

pub(super) fn text(results: &Results) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = |cases: &[CaseReport]| {
        let failed = cases.iter().filter(|case| !case.passed()).count();
        format!("tests=\"{}\" failures=\"{failed}\"", cases.len())
    };
    // A string takes every text.
    let _ = writeln!(text, "<testsuites {}>", counts(&results.cases));
    for cases in results.cases.chunk_by(|one, other| one.file == other.file) {
        let file = cases.first().map_or("", |case| &case.file);
        let _ = writeln!(text, "  <testsuite name=\"{}\" {}>", escaped(file), counts(cases));
        for case in cases {
            let (class, name) = (escaped(&case.test), escaped(&case.case));
            let _ = write!(text, "    <testcase classname=\"{class}\" name=\"{name}\"");
            if case.passed() {
                text.push_str("/>\n");
                continue;
            }
            let message = json::message(case);
            let first = escaped(message.lines().next().unwrap_or_default());
            let more = escaped(&[&[message.as_str(), "what happened:"], &lines(case)[..]].concat().join("\n"));
            let _ = writeln!(text, ">\n      <failure message=\"{first}\">{more}</failure>\n    </testcase>");
        }
        text.push_str("  </testsuite>\n");
    }
    text + "</testsuites>\n"
}

fn lines(case: &CaseReport) -> Vec<&str> {
    case.story.iter().map(String::as_str).collect()
}

/// A text as XML has it, without the characters that it has no way to write.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_say_is_replaced() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{1b}\u{ffff}é"), "a&lt;b&gt; &amp; &quot;c&quot;\n\u{fffd}\u{fffd}é");
    }
}
