//! Methods of objects.

use std::sync::Arc;

use super::{Function, Sig, many, required};
use crate::expr::call::Call;
use crate::expr::fault::{Fault, Outcome};
use crate::value::{Object, Value};

pub(super) const METHODS: &[Function] = &[
    Function {
        name: "keys",
        params: &[],
        result: Sig::List(&Sig::String),
        doc: "The names of its fields in their order.",
        run: keys,
    },
    Function {
        name: "values",
        params: &[],
        result: Sig::List(&Sig::Any),
        doc: "The values of its fields in their order.",
        run: values,
    },
    Function {
        name: "entries",
        params: &[],
        result: Sig::List(&Sig::Fields(&[("key", Sig::String), ("value", Sig::Any)])),
        doc: "Its fields as a list of `{key, value}`.",
        run: entries,
    },
    Function {
        name: "get",
        params: &[required("k", Sig::String)],
        result: Sig::Nullable(&Sig::Any),
        doc: "The field `k`, or null if there is none.",
        run: get,
    },
    Function {
        name: "has",
        params: &[required("k", Sig::String)],
        result: Sig::Bool,
        doc: "Whether it has a field `k`, even if that is null.",
        run: has,
    },
    Function {
        name: "merge",
        params: &[required("o", Sig::Object)],
        result: Sig::Object,
        doc: "Its fields and those of `o`; of two with one name, the one of `o`.",
        run: merge,
    },
    Function {
        name: "pick",
        params: &[many("k", Sig::String)],
        result: Sig::Object,
        doc: "These fields only, as far as they are there.",
        run: pick,
    },
    Function {
        name: "omit",
        params: &[many("k", Sig::String)],
        result: Sig::Object,
        doc: "All fields but these.",
        run: omit,
    },
];

fn fields(call: &mut Call<'_, '_>) -> Result<Arc<Object>, Box<Fault>> {
    let fields = call.receiver_object()?;
    call.eval.spend(fields.len())?;
    Ok(fields)
}

fn keys(call: &mut Call<'_, '_>) -> Outcome {
    Ok(fields(call)?.keys().map(|name| Value::from(name.as_str())).collect::<Vec<_>>().into())
}

fn values(call: &mut Call<'_, '_>) -> Outcome {
    Ok(fields(call)?.values().cloned().collect::<Vec<_>>().into())
}

fn entries(call: &mut Call<'_, '_>) -> Outcome {
    let entry = |(name, value): (&String, &Value)| -> Value {
        Object::from_iter([("key".to_owned(), name.as_str().into()), ("value".to_owned(), value.clone())]).into()
    };
    Ok(fields(call)?.iter().map(entry).collect::<Vec<_>>().into())
}

fn get(call: &mut Call<'_, '_>) -> Outcome {
    let (fields, name) = (call.receiver_object()?, call.text(0)?);
    Ok(fields.get(&*name).cloned().unwrap_or_default())
}

fn has(call: &mut Call<'_, '_>) -> Outcome {
    let (fields, name) = (call.receiver_object()?, call.text(0)?);
    Ok(fields.contains_key(&*name).into())
}

fn merge(call: &mut Call<'_, '_>) -> Outcome {
    let (fields, over) = (fields(call)?, call.object(0)?);
    call.eval.spend(over.len())?;
    let mut merged = Object::clone(&fields);
    merged.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(merged.into())
}

fn pick(call: &mut Call<'_, '_>) -> Outcome {
    let (fields, names) = (fields(call)?, names(call)?);
    let kept = fields.iter().filter(|(name, _)| names.iter().any(|picked| **picked == **name));
    Ok(kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Object>().into())
}

fn omit(call: &mut Call<'_, '_>) -> Outcome {
    let (fields, names) = (fields(call)?, names(call)?);
    let kept = fields.iter().filter(|(name, _)| !names.iter().any(|omitted| **omitted == **name));
    Ok(kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Object>().into())
}

/// All arguments as names, with the steps for comparing each field with each of them.
fn names(call: &mut Call<'_, '_>) -> Result<Vec<Arc<str>>, Box<Fault>> {
    let fields = call.receiver_object()?.len();
    call.eval.spend(fields.saturating_mul(call.count()))?;
    (0..call.count()).map(|place| call.text(place)).collect()
}
