//! Methods of lists.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::string::{bounds, place};
use super::{Function, Sig, optional, required};
use crate::expr::arithmetic;
use crate::expr::ast::Operator;
use crate::expr::call::Call;
use crate::expr::fault::{Fault, INDEX, Outcome, TYPE};
use crate::value::{Object, Value};

const ITEMS: Sig = Sig::List(&Sig::Item);

pub(super) const METHODS: &[Function] = &[
    Function { name: "length", params: &[], result: Sig::Int, doc: "How many items it has.", run: length },
    Function { name: "is_empty", params: &[], result: Sig::Bool, doc: "Whether it has no items.", run: is_empty },
    Function {
        name: "get",
        params: &[required("i", Sig::Int)],
        result: Sig::Nullable(&Sig::Item),
        doc: "The item at place `i`, counted from 0, or null if there is none.",
        run: get,
    },
    Function {
        name: "first",
        params: &[],
        result: Sig::Nullable(&Sig::Item),
        doc: "The first item, or null.",
        run: first,
    },
    Function {
        name: "last",
        params: &[],
        result: Sig::Nullable(&Sig::Item),
        doc: "The last item, or null.",
        run: last,
    },
    Function {
        name: "map",
        params: &[required("f", Sig::Lambda(&Sig::Any))],
        result: Sig::List(&Sig::Mapped),
        doc: "What `f` gives for each item.",
        run: map,
    },
    Function {
        name: "filter",
        params: &[required("f", Sig::Lambda(&Sig::Bool))],
        result: ITEMS,
        doc: "The items for which `f` is true.",
        run: filter,
    },
    Function {
        name: "any",
        params: &[required("f", Sig::Lambda(&Sig::Bool))],
        result: Sig::Bool,
        doc: "Whether `f` is true for some item.",
        run: any,
    },
    Function {
        name: "all",
        params: &[required("f", Sig::Lambda(&Sig::Bool))],
        result: Sig::Bool,
        doc: "Whether `f` is true for every item.",
        run: all,
    },
    Function {
        name: "count",
        params: &[required("f", Sig::Lambda(&Sig::Bool))],
        result: Sig::Int,
        doc: "For how many items `f` is true.",
        run: count,
    },
    Function {
        name: "find",
        params: &[required("f", Sig::Lambda(&Sig::Bool))],
        result: Sig::Nullable(&Sig::Item),
        doc: "The first item for which `f` is true, or null.",
        run: find,
    },
    Function {
        name: "sort_by",
        params: &[required("f", Sig::Lambda(&Sig::Ordered))],
        result: ITEMS,
        doc: "The items in the order of what `f` gives for them; equal ones keep their order.",
        run: sort_by,
    },
    Function { name: "reverse", params: &[], result: ITEMS, doc: "The items from last to first.", run: reverse },
    Function { name: "unique", params: &[], result: ITEMS, doc: "The items without repetitions.", run: unique },
    Function {
        name: "unique_by",
        params: &[required("f", Sig::Lambda(&Sig::Any))],
        result: ITEMS,
        doc: "The first item for each result of `f`.",
        run: unique_by,
    },
    Function {
        name: "group_by",
        params: &[required("f", Sig::Lambda(&Sig::Any))],
        result: Sig::List(&Sig::Fields(&[("key", Sig::Mapped), ("items", ITEMS)])),
        doc: "The items by what `f` gives for them, as a list of `{key, items}` in the order of the first items.",
        run: group_by,
    },
    Function {
        name: "index_by",
        params: &[required("f", Sig::Lambda(&Sig::String))],
        result: Sig::Object,
        doc: "An object with each item under the name that `f` gives for it; of several, the last.",
        run: index_by,
    },
    Function {
        name: "flatten",
        params: &[],
        result: Sig::List(&Sig::Any),
        doc: "The items of its items, which are lists.",
        run: flatten,
    },
    Function {
        name: "chunk",
        params: &[required("n", Sig::Int)],
        result: Sig::List(&ITEMS),
        doc: "Lists of `n` items each; the last may be shorter.",
        run: chunk,
    },
    Function {
        name: "slice",
        params: &[required("from", Sig::Int), optional("to", Sig::Int)],
        result: ITEMS,
        doc: "The items from `from` up to, not including, `to`; what lies outside is left out.",
        run: slice,
    },
    Function {
        name: "without",
        params: &[required("x", Sig::Any)],
        result: ITEMS,
        doc: "The items that do not equal `x`.",
        run: without,
    },
    Function {
        name: "join",
        params: &[required("sep", Sig::String)],
        result: Sig::String,
        doc: "The items as text with `sep` between them; null, lists and objects are errors.",
        run: join,
    },
    Function { name: "sum", params: &[], result: Sig::Number, doc: "The sum of its numbers; 0 if empty.", run: sum },
    Function {
        name: "min",
        params: &[],
        result: Sig::Nullable(&Sig::Item),
        doc: "The smallest item, or null.",
        run: min,
    },
    Function {
        name: "max",
        params: &[],
        result: Sig::Nullable(&Sig::Item),
        doc: "The largest item, or null.",
        run: max,
    },
];

/// The receiver, with a step for each item counted.
fn items(call: &mut Call<'_, '_>) -> Result<Arc<Vec<Value>>, Box<Fault>> {
    let items = call.receiver_list()?;
    call.eval.spend(items.len())?;
    Ok(items)
}

fn count_of(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn length(call: &mut Call<'_, '_>) -> Outcome {
    Ok(count_of(call.receiver_list()?.len()))
}

fn is_empty(call: &mut Call<'_, '_>) -> Outcome {
    Ok(call.receiver_list()?.is_empty().into())
}

fn get(call: &mut Call<'_, '_>) -> Outcome {
    let (items, place) = (call.receiver_list()?, call.int(0)?);
    let item = usize::try_from(place).ok().and_then(|place| items.get(place));
    Ok(item.cloned().unwrap_or_default())
}

fn first(call: &mut Call<'_, '_>) -> Outcome {
    Ok(call.receiver_list()?.first().cloned().unwrap_or_default())
}

fn last(call: &mut Call<'_, '_>) -> Outcome {
    Ok(call.receiver_list()?.last().cloned().unwrap_or_default())
}

fn map(call: &mut Call<'_, '_>) -> Outcome {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    let mut mapped = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        mapped.push(call.eval.apply(lambda, item.clone(), index)?);
    }
    Ok(mapped.into())
}

fn filter(call: &mut Call<'_, '_>) -> Outcome {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    let mut kept = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if call.test(lambda, item, index)? {
            kept.push(item.clone());
        }
    }
    Ok(kept.into())
}

/// The place of the first item for which the lambda gives `wanted`.
fn position(call: &mut Call<'_, '_>, wanted: bool) -> Result<Option<usize>, Box<Fault>> {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    for (index, item) in items.iter().enumerate() {
        if call.test(lambda, item, index)? == wanted {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn any(call: &mut Call<'_, '_>) -> Outcome {
    Ok(position(call, true)?.is_some().into())
}

fn all(call: &mut Call<'_, '_>) -> Outcome {
    Ok(position(call, false)?.is_none().into())
}

fn count(call: &mut Call<'_, '_>) -> Outcome {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    let mut count = 0;
    for (index, item) in items.iter().enumerate() {
        count += usize::from(call.test(lambda, item, index)?);
    }
    Ok(count_of(count))
}

fn find(call: &mut Call<'_, '_>) -> Outcome {
    let place = position(call, true)?;
    let items = call.receiver_list()?;
    Ok(place.and_then(|place| items.get(place)).cloned().unwrap_or_default())
}

fn sort_by(call: &mut Call<'_, '_>) -> Outcome {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    let mut keyed = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let key = call.eval.apply(lambda, item.clone(), index)?;
        // Keys are ordered with the first one: order among values of one type is total.
        let first = keyed.first().map_or(&key, |(first, _)| first);
        if let Value::String(text) = &key {
            call.eval.read(text.len())?;
        }
        if first.order(&key).is_none() {
            let message = unordered("sort_by", first, &key);
            return Err(Fault::new(TYPE, message).at(lambda.body.at));
        }
        keyed.push((key, item));
    }
    // A sort looks at each key about as often as the number of items has binary digits.
    call.eval.spend(items.len() * usize::try_from(items.len().max(1).ilog2()).unwrap_or(0) / 8)?;
    keyed.sort_by(|(left, _), (right, _)| left.order(right).unwrap_or(Ordering::Equal));
    Ok(keyed.into_iter().map(|(_, item)| item.clone()).collect::<Vec<_>>().into())
}

fn unordered(name: &str, first: &Value, other: &Value) -> String {
    match first.order(first) {
        None => format!("`{name}` cannot order {}", first.a_type()),
        Some(_) => format!("`{name}` cannot order {} and {}", first.a_type(), other.a_type()),
    }
}

fn reverse(call: &mut Call<'_, '_>) -> Outcome {
    Ok(items(call)?.iter().rev().cloned().collect::<Vec<_>>().into())
}

fn unique(call: &mut Call<'_, '_>) -> Outcome {
    let items = items(call)?;
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for item in items.iter() {
        if seen.insert(call.eval.identity(item)?) {
            kept.push(item.clone());
        }
    }
    Ok(kept.into())
}

fn unique_by(call: &mut Call<'_, '_>) -> Outcome {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let key = call.eval.apply(lambda, item.clone(), index)?;
        if seen.insert(call.eval.identity(&key)?) {
            kept.push(item.clone());
        }
    }
    Ok(kept.into())
}

fn group_by(call: &mut Call<'_, '_>) -> Outcome {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    let mut groups: IndexMap<String, (Value, Vec<Value>)> = IndexMap::new();
    for (index, item) in items.iter().enumerate() {
        let key = call.eval.apply(lambda, item.clone(), index)?;
        let group = groups.entry(call.eval.identity(&key)?).or_insert_with(|| (key, Vec::new()));
        group.1.push(item.clone());
    }
    let group = |(key, items): (Value, Vec<Value>)| -> Value {
        Object::from_iter([("key".to_owned(), key), ("items".to_owned(), items.into())]).into()
    };
    Ok(groups.into_values().map(group).collect::<Vec<_>>().into())
}

fn index_by(call: &mut Call<'_, '_>) -> Outcome {
    let (items, lambda) = (items(call)?, call.lambda(0)?);
    let mut fields = Object::new();
    for (index, item) in items.iter().enumerate() {
        match call.eval.apply(lambda, item.clone(), index)? {
            Value::String(name) => {
                call.eval.make(name.len())?;
                fields.insert(name.to_string(), item.clone());
            }
            other => {
                let message = format!("`index_by` needs a string for each item, found {}", other.a_type());
                return Err(Fault::new(TYPE, message).at(lambda.body.at));
            }
        }
    }
    Ok(fields.into())
}

fn flatten(call: &mut Call<'_, '_>) -> Outcome {
    let items = items(call)?;
    let mut flat = Vec::new();
    for item in items.iter() {
        match item {
            Value::List(inner) => {
                call.eval.spend(inner.len())?;
                flat.extend(inner.iter().cloned());
            }
            other => {
                return Err(Fault::new(
                    TYPE,
                    format!("`flatten` needs a list of lists, found {} in it", other.a_type()),
                ));
            }
        }
    }
    Ok(flat.into())
}

fn chunk(call: &mut Call<'_, '_>) -> Outcome {
    let (items, size) = (items(call)?, place(call, 0)?);
    if size == 0 {
        return Err(call.bad(INDEX, 0, "a chunk has at least one item"));
    }
    Ok(items.chunks(size).map(|chunk| Value::from(chunk.to_vec())).collect::<Vec<_>>().into())
}

fn slice(call: &mut Call<'_, '_>) -> Outcome {
    let items = items(call)?;
    let (from, to) = bounds(call)?;
    let to = to.min(items.len());
    Ok(items.get(from..to).unwrap_or_default().to_vec().into())
}

fn without(call: &mut Call<'_, '_>) -> Outcome {
    let (items, unwanted) = (items(call)?, call.value(0)?);
    let mut kept = Vec::new();
    for item in items.iter() {
        if !call.eval.same(item, &unwanted)? {
            kept.push(item.clone());
        }
    }
    Ok(kept.into())
}

fn join(call: &mut Call<'_, '_>) -> Outcome {
    let (items, separator) = (items(call)?, call.text(0)?);
    let mut texts = Vec::with_capacity(items.len());
    let mut size = 0;
    for (index, item) in items.iter().enumerate() {
        let text = item.to_text().ok_or_else(|| {
            Fault::new(TYPE, format!("`join` cannot write {} as text, found at place {index}", item.a_type()))
        })?;
        size += text.len() + separator.len();
        texts.push(text);
    }
    call.eval.make(size)?;
    Ok(texts.join(&*separator).into())
}

fn sum(call: &mut Call<'_, '_>) -> Outcome {
    let items = items(call)?;
    let mut sum = Value::Int(0);
    for item in items.iter() {
        if item.as_number().is_none() {
            return Err(Fault::new(TYPE, format!("`sum` needs numbers, found {}", item.a_type())));
        }
        sum = arithmetic::apply(call.eval, Operator::Add, sum, item.clone())?;
    }
    Ok(sum)
}

fn min(call: &mut Call<'_, '_>) -> Outcome {
    extreme(call, "min", Ordering::Less)
}

fn max(call: &mut Call<'_, '_>) -> Outcome {
    extreme(call, "max", Ordering::Greater)
}

/// The first item that none of the others lies on this side of.
fn extreme(call: &mut Call<'_, '_>, name: &str, side: Ordering) -> Outcome {
    let items = items(call)?;
    let Some(mut best) = items.first() else { return Ok(Value::Null) };
    for item in items.iter() {
        if let Value::String(text) = item {
            call.eval.read(text.len())?;
        }
        match item.order(best) {
            Some(order) if order == side => best = item,
            Some(_) => {}
            None => return Err(Fault::new(TYPE, unordered(name, best, item))),
        }
    }
    Ok(best.clone())
}
