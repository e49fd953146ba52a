//! Methods of ints and numbers.

use super::{Function, Sig, optional, required};
use crate::expr::arithmetic::{int, number};
use crate::expr::call::Call;
use crate::expr::fault::{Fault, INDEX, OVERFLOW, Outcome};
use crate::value::{Value, whole};

/// The most decimal places that `round` takes: a double has no more to show.
const PLACES_MAX: i64 = 15;

pub(super) const METHODS: &[Function] = &[
    Function { name: "abs", params: &[], result: Sig::Receiver, doc: "Its size without the sign.", run: abs },
    Function {
        name: "round",
        params: &[optional("n", Sig::Int)],
        result: Sig::Number,
        doc: "The nearest number with `n` decimal places, half away from zero; without `n` the nearest int.",
        run: round,
    },
    Function { name: "floor", params: &[], result: Sig::Int, doc: "The next int that is not above it.", run: floor },
    Function { name: "ceil", params: &[], result: Sig::Int, doc: "The next int that is not below it.", run: ceil },
    Function {
        name: "clamp",
        params: &[required("lo", Sig::Number), required("hi", Sig::Number)],
        result: Sig::Receiver,
        doc: "The nearest number that is not below `lo` and not above `hi`.",
        run: clamp,
    },
];

fn abs(call: &mut Call<'_, '_>) -> Outcome {
    match call.receiver {
        Value::Int(value) => int(value.checked_abs()),
        Value::Number(value) => Ok(Value::Number(value.abs())),
        _ => Err(call.wrong_receiver()),
    }
}

fn round(call: &mut Call<'_, '_>) -> Outcome {
    let places = if call.has(0) { Some(call.int(0)?) } else { None };
    match (&call.receiver, places) {
        (Value::Number(value), None) => to_int(value.round()),
        (Value::Int(value), None) => Ok(Value::Int(*value)),
        (_, Some(places)) if !(0..=PLACES_MAX).contains(&places) => {
            Err(call.bad(INDEX, 0, format!("`round` takes 0 to {PLACES_MAX} decimal places, found {places}")))
        }
        (Value::Int(value), Some(_)) => number(*value as f64),
        (Value::Number(value), Some(places)) => number(round_decimal(*value, usize::try_from(places).unwrap_or(0))),
        _ => Err(call.wrong_receiver()),
    }
}

/// Rounds what people see: the shortest decimal that stands for the double. So 1.005 becomes 1.01 at two places,
/// although the double is a little less than its decimal.
fn round_decimal(value: f64, places: usize) -> f64 {
    let shown = format!("{}", value.abs());
    let Some((_, fraction)) = shown.split_once('.') else { return value };
    if fraction.len() <= places {
        return value;
    }
    let cut = shown.len() - (fraction.len() - places);
    let up = shown.as_bytes()[cut] >= b'5';
    let mut digits: Vec<u8> = shown.as_bytes()[..cut].to_vec();
    if up {
        let mut carry = true;
        for digit in digits.iter_mut().rev().filter(|digit| **digit != b'.') {
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
            if !carry {
                break;
            }
        }
        if carry {
            digits.insert(0, b'1');
        }
    }
    let rounded = String::from_utf8(digits).ok().and_then(|digits| digits.trim_end_matches('.').parse::<f64>().ok());
    rounded.map_or(value, |rounded| rounded.copysign(value))
}

fn floor(call: &mut Call<'_, '_>) -> Outcome {
    match call.receiver {
        Value::Number(value) => to_int(value.floor()),
        _ => Ok(call.receiver.clone()),
    }
}

fn ceil(call: &mut Call<'_, '_>) -> Outcome {
    match call.receiver {
        Value::Number(value) => to_int(value.ceil()),
        _ => Ok(call.receiver.clone()),
    }
}

fn to_int(value: f64) -> Outcome {
    whole(value).map(Value::Int).ok_or_else(|| Fault::new(OVERFLOW, "the number does not fit an int"))
}

fn clamp(call: &mut Call<'_, '_>) -> Outcome {
    let (low, high) = (call.number(0)?, call.number(1)?);
    if low.order(&high).is_some_and(|order| order.is_gt()) {
        return Err(call.bad(INDEX, 0, "the lower bound is above the upper one"));
    }
    let value = call.receiver.clone();
    let outside = |bound: &Value, side| value.order(bound) == Some(side);
    Ok(if outside(&low, std::cmp::Ordering::Less) {
        low
    } else if outside(&high, std::cmp::Ordering::Greater) {
        high
    } else {
        value
    })
}
