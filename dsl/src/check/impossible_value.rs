//! `wf::impossible_value`: a comparison with a value that cannot occur.

use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::suggest::did_you_mean;
use crate::value::Value;

/// A literal that is none of the members of the enumeration on the other side.
pub(super) fn compared(span: Span, value: &Value, members: &[Value], declared: Option<Span>) -> Diagnostic {
    let texts: Vec<String> = members.iter().map(shown).collect();
    let value = shown(value);
    let diagnostic = Diagnostic::error(Code::IMPOSSIBLE_VALUE, span, format!("this can never be `{value}`"));
    let diagnostic = match declared {
        Some(declared) if declared != Span::NOWHERE => diagnostic.related(declared, "its values are declared here"),
        _ => diagnostic,
    };
    let listed = || texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ");
    let help = did_you_mean(&value, texts.iter().map(String::as_str));
    diagnostic.help(help.unwrap_or_else(|| format!("it is one of {}", listed())))
}

fn shown(value: &Value) -> String {
    value.to_text().map_or_else(|| value.to_json().to_string(), |text| text.to_string())
}
