//! `+ - * / %` and the minus sign.

use super::ast::Operator;
use super::eval::Eval;
use super::fault::{DIVISION, Fault, OVERFLOW, Outcome, TYPE};
use crate::time::Period;
use crate::value::Value;

/// What an operator makes of two values.
pub(super) fn apply(eval: &mut Eval<'_>, operator: Operator, left: Value, right: Value) -> Outcome {
    match (&left, &right) {
        (Value::Int(left), Value::Int(right)) => ints(operator, *left, *right),
        (Value::Int(_) | Value::Number(_), Value::Int(_) | Value::Number(_)) => {
            // Both are numbers, so both are there as doubles.
            let (left, right) = (left.as_number().unwrap_or_default(), right.as_number().unwrap_or_default());
            numbers(operator, left, right)
        }
        (Value::String(left), Value::String(right)) if operator == Operator::Add => {
            eval.make(left.len() + right.len())?;
            Ok([&**left, &**right].concat().into())
        }
        (Value::List(left), Value::List(right)) if operator == Operator::Add => {
            eval.spend(left.len() + right.len())?;
            Ok([&left[..], &right[..]].concat().into())
        }
        (Value::Time(time), Value::Period(period)) if operator == Operator::Add => {
            time.checked_add(*period).map(Value::Time).ok_or_else(out_of_years)
        }
        (Value::Time(time), Value::Period(period)) if operator == Operator::Subtract => {
            time.checked_sub(*period).map(Value::Time).ok_or_else(out_of_years)
        }
        (Value::Time(left), Value::Time(right)) if operator == Operator::Subtract => Ok(left.since(*right).into()),
        (Value::Period(left), Value::Period(right)) if operator == Operator::Add => period(left.0.checked_add(right.0)),
        (Value::Period(left), Value::Period(right)) if operator == Operator::Subtract => {
            period(left.0.checked_sub(right.0))
        }
        (Value::Period(left), Value::Int(right)) if operator == Operator::Multiply => {
            period(left.0.checked_mul(*right))
        }
        _ => Err(mismatch(operator, &left, &right)),
    }
}

/// The value with the other sign.
pub(super) fn negate(value: Value) -> Outcome {
    match value {
        Value::Int(value) => int(value.checked_neg()),
        Value::Number(value) => Ok(Value::Number(-value)),
        Value::Period(value) => period(value.0.checked_neg()),
        other => Err(Fault::new(TYPE, format!("`-` needs a number or a duration, found {}", other.a_type()))),
    }
}

/// A finite double as a value; anything else overflowed.
pub(super) fn number(value: f64) -> Outcome {
    if value.is_finite() { Ok(Value::Number(value)) } else { Err(Fault::new(OVERFLOW, "the number is too large")) }
}

/// A 64-bit result as a value; none overflowed.
pub(super) fn int(value: Option<i64>) -> Outcome {
    value.map(Value::Int).ok_or_else(|| Fault::new(OVERFLOW, "the int does not fit 64 bits"))
}

pub(super) fn division_by_zero() -> Box<Fault> {
    Fault::new(DIVISION, "division by zero")
}

pub(super) fn out_of_years() -> Box<Fault> {
    Fault::new(OVERFLOW, "the timestamp is outside of the years 1 to 9999")
}

fn period(millis: Option<i64>) -> Outcome {
    let period = millis.map(|millis| Value::Period(Period(millis)));
    period.ok_or_else(|| Fault::new(OVERFLOW, "the duration is too long"))
}

fn ints(operator: Operator, left: i64, right: i64) -> Outcome {
    match operator {
        Operator::Add => int(left.checked_add(right)),
        Operator::Subtract => int(left.checked_sub(right)),
        Operator::Multiply => int(left.checked_mul(right)),
        Operator::Divide => numbers(operator, left as f64, right as f64),
        Operator::Remainder if right == 0 => Err(division_by_zero()),
        // The one remainder that overflows on the way, i64::MIN % -1, is 0.
        Operator::Remainder => Ok(Value::Int(left.wrapping_rem(right))),
    }
}

fn numbers(operator: Operator, left: f64, right: f64) -> Outcome {
    match operator {
        Operator::Add => number(left + right),
        Operator::Subtract => number(left - right),
        Operator::Multiply => number(left * right),
        Operator::Divide | Operator::Remainder if right == 0.0 => Err(division_by_zero()),
        Operator::Divide => number(left / right),
        Operator::Remainder => number(left % right),
    }
}

fn mismatch(operator: Operator, left: &Value, right: &Value) -> Box<Fault> {
    let needs = match operator {
        Operator::Add => "two numbers, two strings, two lists, two durations, or a timestamp and a duration",
        Operator::Subtract => "two numbers, two durations, two timestamps, or a timestamp and a duration",
        Operator::Multiply => "two numbers, or a duration and an int",
        Operator::Divide | Operator::Remainder => "two numbers",
    };
    let (symbol, left, right) = (operator.symbol(), left.a_type(), right.a_type());
    Fault::new(TYPE, format!("`{symbol}` needs {needs}, found {left} and {right}"))
}
