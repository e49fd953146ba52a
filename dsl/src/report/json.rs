//! `wf validate --format json`.

use serde_json::{Map, Value as Json, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Sources, Span};

/// The version of the object's layout.
const VERSION: u64 = 1;

/// All findings as one JSON object, in the order given; `files` is how many files were read.
///
/// `{"version", "files", "errors", "warnings", "diagnostics": [{"code", "severity", "file", "line", "column", "end_line",
/// "end_column", "message", "help", "related"}]}`. Lines and columns count from 1, columns in characters, ends are
/// exclusive. `help` is null where there is none.
pub fn json_report(findings: &[Diagnostic], sources: &Sources, files: usize) -> Json {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    json!({
        "version": VERSION,
        "files": files,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "diagnostics": findings.iter().map(|finding| diagnostic(finding, sources)).collect::<Vec<_>>(),
    })
}

fn diagnostic(finding: &Diagnostic, sources: &Sources) -> Json {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut object = Map::new();
    object.insert("code".to_owned(), json!(finding.code.as_str()));
    object.insert("severity".to_owned(), json!(severity));
    put_place(&mut object, finding.primary.span, sources);
    // A label often says what the message leaves open, and programs show one line.
    let message = match finding.primary.text.as_str() {
        "" => finding.message.clone(),
        label => format!("{} ({label})", finding.message),
    };
    object.insert("message".to_owned(), json!(message));
    object.insert("help".to_owned(), json!(finding.help));
    let related = finding.related.iter().map(|label| {
        let mut object = Map::new();
        put_place(&mut object, label.span, sources);
        object.insert("message".to_owned(), json!(label.text));
        Json::Object(object)
    });
    object.insert("related".to_owned(), related.collect());
    Json::Object(object)
}

fn put_place(object: &mut Map<String, Json>, span: Span, sources: &Sources) {
    let place = sources.place(span);
    object.insert("file".to_owned(), json!(place.map(|(path, _)| path)));
    let place = place.map(|(_, place)| place);
    object.insert("line".to_owned(), json!(place.map(|place| place.line)));
    object.insert("column".to_owned(), json!(place.map(|place| place.column)));
    object.insert("end_line".to_owned(), json!(place.map(|place| place.end_line)));
    object.insert("end_column".to_owned(), json!(place.map(|place| place.end_column)));
}
