//! `wf::sql_params`: the parameters in `sql` and `params` differ.

use std::collections::BTreeSet;

use super::infer::Infer;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::form::Form;
use crate::plan::Step;
use crate::source::{Sources, Span};
use crate::sql::{Placeholder, placeholders};
use crate::suggest::suggest;
use crate::value::Value;

/// Checks a body that has `sql`, and each of its `statements`.
pub(super) fn check(infer: &mut Infer<'_>, step: &Step, body: &Form) {
    let known = infer.cx.project.catalog.get(&step.kind.value);
    let has_sql = known.is_some_and(|kind| kind.literal_fields.iter().any(|field| field == "sql"));
    if !has_sql {
        return;
    }
    statement(infer, body);
    if let Some(Form::List(statements, _)) = body.get("statements") {
        statements.iter().for_each(|inner| statement(infer, inner));
    }
}

fn statement(infer: &mut Infer<'_>, body: &Form) {
    let Some(Form::Literal(Value::String(sql), span)) = body.get("sql") else { return };
    let given = match body.get("params") {
        Some(Form::Object(fields, _)) => &fields[..],
        None | Some(Form::Literal(Value::Null, _)) => &[],
        Some(_) => return,
    };
    let named = placeholders(sql);
    let mut unused: Vec<_> = given.iter().filter(|(key, _)| !named.iter().any(|name| name.name == key.value)).collect();
    let mut seen = BTreeSet::new();
    for placeholder in &named {
        let name = placeholder.name;
        if !seen.insert(name) || given.iter().any(|(key, _)| key.value == name) {
            continue;
        }
        let span = place(&infer.cx.project.sources, *span, sql, placeholder);
        let diagnostic = Diagnostic::error(Code::SQL_PARAMS, span, format!("`params` has no `{name}`"));
        // One misspelt name is one mistake: its other half is not said again.
        let meant = suggest(name, unused.iter().map(|(key, _)| key.value.as_str())).map(str::to_owned);
        let meant = meant.or_else(|| match (&unused[..], named.len()) {
            ([(only, _)], 1) => Some(only.value.clone()),
            _ => None,
        });
        infer.say(match meant {
            Some(meant) => {
                let other = unused.iter().find(|(key, _)| key.value == meant).map(|(key, _)| key.span);
                unused.retain(|(key, _)| key.value != meant);
                let diagnostic = diagnostic.help(format!("give both the same name: `:{meant}` or `{name}:`"));
                match other {
                    Some(span) => diagnostic.related(span, "this parameter is not used"),
                    None => diagnostic,
                }
            }
            None => diagnostic.help(format!("add `{name}: ${{ … }}` to `params`")),
        });
    }
    for (key, _) in unused {
        let message = format!("`sql` has no `:{}`", key.value);
        let help = format!("write `:{}` in the statement, or remove the parameter", key.value);
        infer.say(Diagnostic::error(Code::SQL_PARAMS, key.span, message).help(help));
    }
}

/// Where a placeholder stands in the file: the layout of a block of text differs from the text.
fn place(sources: &Sources, span: Span, sql: &str, placeholder: &Placeholder<'_>) -> Span {
    let Some(text) = sources.get(span.file).and_then(|source| source.text.get(span.start..span.end)) else {
        return span;
    };
    let written = format!(":{}", placeholder.name);
    // The text in the file has the same occurrences in the same order, whatever its layout.
    let before = sql[..placeholder.range.start].matches(&written).count();
    match text.match_indices(&written).nth(before) {
        Some((at, _)) => span.part(at, written.len()),
        None => span,
    }
}
