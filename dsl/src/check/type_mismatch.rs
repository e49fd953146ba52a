//! `wf::type_mismatch`: an expression has the wrong type.

use super::ty;
use crate::codes::Code;
use crate::diagnostic::Diagnostic;
use crate::expr::Function;
use crate::source::Span;
use crate::types::Type;

/// A value of another type than its place wants.
pub(super) fn wanted(span: Span, place: &str, wanted: &Type, found: &Type, declared: Option<Span>) -> Diagnostic {
    let (wanted_words, found_words) = (ty::words(wanted), ty::words(found));
    let message = format!("{place} needs {wanted_words}, found {found_words}");
    let diagnostic = Diagnostic::error(Code::TYPE_MISMATCH, span, message).label(found_words);
    let diagnostic = with_declaration(diagnostic, declared);
    match (wanted, ty::widened(found)) {
        (Type::Bool, Type::Int | Type::Number) => diagnostic.help("compare it with something, such as `… > 0`"),
        (Type::Bool, Type::String) => diagnostic.help("compare it with something, such as `… != \"\"`"),
        (Type::Bool, Type::List(_)) => diagnostic.help("write `not ….is_empty()`"),
        (Type::String, Type::Object(_) | Type::List(_)) => diagnostic.help("write `….to_json()`"),
        (Type::String, Type::Any) => diagnostic,
        (Type::String, _) => diagnostic.help("write `….to_string()`"),
        (Type::Int, Type::Number) => diagnostic.help("write `….round()`, `….floor()` or `….ceil()`"),
        (Type::Int, Type::String) => diagnostic.help("write `….to_int()`"),
        (Type::Number, Type::String) => diagnostic.help("write `….to_number()`"),
        (Type::Time, Type::String) => diagnostic.help("declare it as `timestamp`, or write `timestamp(…)`"),
        (Type::Period, Type::String) => diagnostic.help("declare it as `duration`, or write `duration(…)`"),
        (Type::Period, Type::Int | Type::Number) => diagnostic.help("multiply it with a duration, such as `1s * …`"),
        (Type::Enum(_), Type::String) => diagnostic.help("declare it as a list of these values"),
        _ => diagnostic,
    }
}

/// A text in a field that needs an expression.
pub(super) fn bare_text(span: Span, place: &str, wanted: &Type, text: &str) -> Diagnostic {
    let message = format!("{place} needs {}, found a text", ty::words(wanted));
    let diagnostic = Diagnostic::error(Code::TYPE_MISMATCH, span, message).label("a text");
    diagnostic.help(format!("write `${{ {} }}`", text.trim()))
}

/// Text around an expression where a value of another type is needed.
pub(super) fn text_around(span: Span, place: &str, wanted: &Type) -> Diagnostic {
    let message = format!("{place} needs {}, and text around an expression makes a string", ty::words(wanted));
    Diagnostic::error(Code::TYPE_MISMATCH, span, message).help("write one expression: `${ … }` and nothing beside it")
}

/// A list or an object in text.
pub(super) fn in_text(span: Span, found: &Type) -> Diagnostic {
    let words = ty::words(found);
    let diagnostic = Diagnostic::error(Code::TYPE_MISMATCH, span, format!("{words} cannot stand in text")).label(words);
    match found {
        Type::List(_) => diagnostic.help("write `….join(\", \")` or `….to_json()`"),
        _ => diagnostic.help("write one of its fields, or `….to_json()`"),
    }
}

/// An operator with operands that it does not take.
pub(super) fn operands(
    span: Span,
    place: &str,
    needs: &str,
    left: &Type,
    right: &Type,
    declared: Option<Span>,
) -> Diagnostic {
    let (left_words, right_words) = (ty::words(left), ty::words(right));
    let message = format!("{place} needs {needs}, found {left_words} and {right_words}");
    let diagnostic = Diagnostic::error(Code::TYPE_MISMATCH, span, message);
    let diagnostic = with_declaration(diagnostic, declared);
    match (ty::widened(left), ty::widened(right)) {
        (Type::String, Type::Period | Type::Time) | (Type::Time, Type::String) => {
            diagnostic.help("declare the string as `timestamp`")
        }
        (Type::String, Type::Int | Type::Number | Type::Bool) if place == "`+`" => {
            diagnostic.help("put the values into text: `${ … } ${ … }`, or write `….to_string()`")
        }
        (Type::Int | Type::Number | Type::Bool, Type::String) if place == "`+`" => {
            diagnostic.help("put the values into text: `${ … } ${ … }`, or write `….to_string()`")
        }
        (Type::Time, Type::Int | Type::Number) => diagnostic.help("write a duration, such as `24h`"),
        (Type::Int | Type::Number, Type::Period) if place == "`*`" => diagnostic.help("write the duration first"),
        _ => diagnostic,
    }
}

/// One operand that an operator does not take.
pub(super) fn operand(span: Span, place: &str, needs: &str, found: &Type) -> Diagnostic {
    Diagnostic::error(Code::TYPE_MISMATCH, span, format!("{place} needs {needs}, found {}", ty::words(found)))
}

/// An index into something without items.
pub(super) fn index(span: Span, found: &Type) -> Diagnostic {
    let message = format!("only lists and objects have an index, found {}", ty::words(found));
    Diagnostic::error(Code::TYPE_MISMATCH, span, message).label(ty::words(found))
}

/// A method that another type has.
pub(super) fn receiver(
    span: Span,
    method: &str,
    receiver: &str,
    owners: &[&str],
    found: &Type,
    declared: Option<Span>,
) -> Diagnostic {
    let message =
        format!("`{method}` is a method of {}, and `{receiver}` is {}", owners.join(" and "), ty::words(found));
    let diagnostic = Diagnostic::error(Code::TYPE_MISMATCH, span, message);
    let diagnostic = with_declaration(diagnostic, declared);
    match ty::widened(found) {
        Type::String if owners.contains(&"a timestamp") => diagnostic.help("declare it as `timestamp`"),
        Type::String if owners.contains(&"a duration") => diagnostic.help("declare it as `duration`"),
        _ => diagnostic,
    }
}

/// A wrong number of arguments.
pub(super) fn arguments(span: Span, function: &Function, found: usize) -> Diagnostic {
    let count = match function.arity() {
        (least, most) if least == most => format!("{least}"),
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    };
    let plural = if count == "1" { "" } else { "s" };
    let message = format!("`{}` takes {count} argument{plural}, found {found}", function.name);
    Diagnostic::error(Code::TYPE_MISMATCH, span, message).help(format!("its signature is `{function}`"))
}

/// A function as an argument where none is taken, or the reverse.
pub(super) fn lambda(span: Span, function: &str, wanted: bool) -> Diagnostic {
    if wanted {
        Diagnostic::error(Code::TYPE_MISMATCH, span, format!("`{function}` takes a function of an item"))
            .help("write `x => …`")
    } else {
        Diagnostic::error(Code::TYPE_MISMATCH, span, format!("`{function}` takes a value, not a function"))
    }
}

fn with_declaration(diagnostic: Diagnostic, declared: Option<Span>) -> Diagnostic {
    match declared {
        Some(span) if span != Span::NOWHERE => diagnostic.related(span, "declared here"),
        _ => diagnostic,
    }
}
