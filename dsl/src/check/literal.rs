//! `wf::literal`: a duration, timestamp, schedule or zone that cannot be read.

use super::{Context, ty};
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::Trigger;
use crate::schedule::{Schedule, ScheduleText};
use crate::source::{Span, Spanned};
use crate::time::{Date, Period, Time};
use crate::types::Type;
use crate::value::Value;

/// Whether a literal can stand where a type is wanted. Texts stand for timestamps, dates and durations.
pub(super) fn fits(value: &Value, wanted: &Type) -> bool {
    match (value, wanted) {
        (Value::String(text), Type::Time) => text.parse::<Time>().is_ok(),
        (Value::String(text), Type::Date) => text.parse::<Date>().is_ok(),
        (Value::String(text), Type::Period) => text.parse::<Period>().is_ok(),
        (_, Type::Nullable(inner)) => value.is_null() || fits(value, inner),
        _ => ty::misfit(&ty::of_value(value), wanted).is_none(),
    }
}

/// A text that is no timestamp, date or duration.
pub(super) fn wrong(span: Span, wanted: &Type, text: &str) -> Diagnostic {
    let (what, help) = match wanted {
        Type::Time => ("timestamp", "write it as `2026-10-01T09:00:00Z`, or an expression as `${ … }`"),
        Type::Date => ("date", "write it as `2026-10-01`, or an expression as `${ … }`"),
        _ => ("duration", "write it as `90s`, `1h30m` or `7d`, or an expression as `${ … }`"),
    };
    Diagnostic::error(Code::LITERAL, span, format!("`{text}` is no {what}")).help(help)
}

/// The schedules of the triggers.
pub(super) fn triggers(cx: &Context<'_>, found: &mut Findings) {
    for trigger in &cx.workflow.triggers {
        let Trigger::Cron { cron, timezone, .. } = trigger else { continue };
        let Err(error) = Schedule::parse(&cron.value, &timezone.value) else { continue };
        let wrong = match error.text {
            ScheduleText::Cron => cron,
            // The zone of the project is checked where it stands.
            ScheduleText::Timezone if timezone.span == cx.project.settings.timezone.span => continue,
            ScheduleText::Timezone => timezone,
        };
        let diagnostic = Diagnostic::error(Code::LITERAL, part(cx, wrong, error.range), error.message);
        found.push(match error.text {
            ScheduleText::Cron => {
                diagnostic.help("five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday)")
            }
            ScheduleText::Timezone => diagnostic.help("write an IANA name, such as `Europe/Berlin`"),
        });
    }
}

/// The part of a text in its file, if the text stands there as itself.
fn part(cx: &Context<'_>, text: &Spanned<String>, range: std::ops::Range<usize>) -> Span {
    let span = text.span;
    let written = cx.project.sources.get(span.file).and_then(|source| source.text.get(span.start..span.end));
    let quotes = match written {
        Some(written) if written == text.value => 0,
        Some(written) if written.len() == text.value.len() + 2 && written[1..].starts_with(&text.value) => 1,
        _ => return span,
    };
    if range.is_empty() { span } else { span.part(quotes + range.start, range.len()) }
}
