//! Methods of every value, null included.

use super::{Function, Sig};
use crate::expr::call::Call;
use crate::expr::fault::Outcome;
use crate::value::Value;

pub(super) const METHODS: &[Function] = &[
    Function {
        name: "to_string",
        params: &[],
        result: Sig::String,
        doc: "The value as text shows it; null, lists and objects as JSON.",
        run: to_string,
    },
    Function {
        name: "to_json",
        params: &[],
        result: Sig::String,
        doc: "The value as JSON without spaces.",
        run: to_json,
    },
    Function {
        name: "type",
        params: &[],
        result: Sig::String,
        doc: "The name of the value's type: null, bool, int, number, string, timestamp, duration, date, list or object.",
        run: type_name,
    },
];

fn to_string(call: &mut Call<'_, '_>) -> Outcome {
    match call.receiver.to_text() {
        Some(text) => Ok(Value::String(text)),
        None => to_json(call),
    }
}

fn to_json(call: &mut Call<'_, '_>) -> Outcome {
    call.eval.measured(&call.receiver)?;
    let text = call.receiver.to_json().to_string();
    call.eval.make(text.len())?;
    Ok(text.into())
}

fn type_name(call: &mut Call<'_, '_>) -> Outcome {
    Ok(call.receiver.type_name().into())
}
