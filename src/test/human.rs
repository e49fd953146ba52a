//! Results for people.

use wf_engine::testing::{CaseReport, Unmet};

use super::Results;
use crate::terminal::{Look, harmless, wrapped};

/// More lines than these of what happened are only counted.
const STORY_MAX: usize = 40;
/// Between what was expected and what happened.
const GAP: usize = 3;

pub(super) fn text(results: &Results, coverage: bool, look: Look) -> String {
    let mut text = String::new();
    let mut file = None;
    for case in &results.cases {
        if file != Some(&case.file) {
            text.push_str(&format!("{}\n", look.bold(&harmless(&case.file))));
            file = Some(&case.file);
        }
        let name = harmless(&case.case);
        match case.passed() {
            true => text.push_str(&format!("  {}    {name}\n", look.green("ok"))),
            false => {
                text.push_str(&format!("  {}  {name}\n", look.red("FAIL")));
                text.push_str(&harmless(&failed(case, look)));
            }
        }
    }
    if coverage {
        text.push_str(&coverage_of(results));
    }
    text
}

fn failed(case: &CaseReport, look: Look) -> String {
    let mut text: String = case.unmet.iter().map(|unmet| shown(unmet, look)).collect();
    if !case.story.is_empty() {
        text.push_str("        what happened\n");
        case.story.iter().take(STORY_MAX).for_each(|line| text.push_str(&format!("          {line}\n")));
        let more = case.story.len().saturating_sub(STORY_MAX);
        if more > 0 {
            text.push_str(&format!("          and {more} more\n"));
        }
    }
    text
}

/// What was expected, and beside it what happened; one below the other where that is too wide.
fn shown(unmet: &Unmet, look: Look) -> String {
    let (expected, happened) = (&unmet.expected, &unmet.happened);
    if expected.is_empty() && happened.is_empty() {
        return format!("        {}", wrapped(&unmet.what, 8, look.width.saturating_sub(8)));
    }
    let mut text = format!("        {}\n", unmet.what);
    let widest = |lines: &[String]| lines.iter().map(|line| console::measure_text_width(line)).max().unwrap_or(0);
    let left = widest(expected).max("expected".len()) + GAP;
    let nothing = ["nothing".to_owned()];
    let happened = if happened.is_empty() { &nothing[..] } else { happened };
    if 10 + left + widest(happened).max("happened".len()) <= look.width {
        text.push_str(&format!("          {:left$}happened\n", "expected"));
        for row in 0..expected.len().max(happened.len()) {
            let [one, other] = [expected, happened].map(|lines| lines.get(row).map_or("", String::as_str));
            let space = " ".repeat(left - console::measure_text_width(one));
            text.push_str(format!("          {one}{space}{other}").trim_end());
            text.push('\n');
        }
        return text;
    }
    for (title, lines) in [("expected", &expected[..]), ("happened", happened)] {
        text.push_str(&format!("          {title}\n"));
        lines.iter().for_each(|line| text.push_str(&format!("            {line}\n")));
    }
    text
}

fn coverage_of(results: &Results) -> String {
    let share = (results.taken * 100).checked_div(results.total).unwrap_or(100);
    let mut text =
        format!("\ncoverage: {} of {} steps, cases and handlers ({share} %)\n", results.taken, results.total);
    for missed in &results.missed {
        text.push_str(&harmless(&format!("  {}:{}  {}\n", missed.file, missed.line, missed.what)));
    }
    text
}
