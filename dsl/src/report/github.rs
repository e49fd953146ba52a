//! `wf validate --format github`: annotations on the lines of a pull request.

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Sources;

/// All findings as workflow commands of GitHub Actions, one a line.
pub fn github_annotations(findings: &[Diagnostic], sources: &Sources) -> String {
    findings.iter().map(|finding| annotation(finding, sources) + "\n").collect()
}

fn annotation(finding: &Diagnostic, sources: &Sources) -> String {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut properties = Vec::new();
    if let Some((path, place)) = sources.place(finding.primary.span) {
        properties.push(format!("file={}", property(path)));
        properties.push(format!("line={}", place.line));
        properties.push(format!("col={}", place.column));
        properties.push(format!("endLine={}", place.end_line));
        properties.push(format!("endColumn={}", place.end_column));
    }
    properties.push(format!("title={}", property(finding.code.as_str())));
    let mut message = finding.message.clone();
    if let Some(help) = &finding.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    format!("::{command} {}::{}", properties.join(","), escape(&message))
}

/// What GitHub would take for the end of a command.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}
