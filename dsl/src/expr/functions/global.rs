//! Functions without a receiver.

use super::{Function, Sig, required};
use crate::expr::arithmetic::{division_by_zero, int, out_of_years};
use crate::expr::call::Call;
use crate::expr::eval::{VALUE_CHARS_MAX, brief};
use crate::expr::fault::{Outcome, PARSE, TYPE};
use crate::time::{Date, ParseTimeError, Period, Time};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "now",
        params: &[],
        result: Sig::Time,
        doc: "When the step was first entered; the same in all its attempts.",
        run: now,
    },
    Function {
        name: "timestamp",
        params: &[required("from", Sig::StringOrInt)],
        result: Sig::Time,
        doc: "The timestamp that an RFC 3339 text or a number of seconds since 1970 stands for.",
        run: timestamp,
    },
    Function {
        name: "duration",
        params: &[required("from", Sig::String)],
        result: Sig::Period,
        doc: "The duration that a text such as `1h30m` or `PT24H` stands for.",
        run: duration,
    },
    Function {
        name: "date",
        params: &[required("from", Sig::String)],
        result: Sig::Date,
        doc: "The date that a text such as `2025-10-01` stands for.",
        run: date,
    },
    Function {
        name: "div",
        params: &[required("a", Sig::Int), required("b", Sig::Int)],
        result: Sig::Int,
        doc: "The whole part of `a / b`.",
        run: div,
    },
    Function {
        name: "uuid",
        params: &[],
        result: Sig::String,
        doc: "A random UUID; the same again when the step is repeated.",
        run: uuid,
    },
    Function {
        name: "random",
        params: &[],
        result: Sig::Number,
        doc: "A random number from 0 up to, not including, 1; the same again when the step is repeated.",
        run: random,
    },
];

fn now(call: &mut Call<'_, '_>) -> Outcome {
    Ok(call.eval.scope.now().into())
}

fn timestamp(call: &mut Call<'_, '_>) -> Outcome {
    match call.value(0)? {
        Value::String(text) => parsed(call, &text, text.parse::<Time>()),
        Value::Int(seconds) => {
            let time = seconds.checked_mul(1_000).and_then(Time::from_millis);
            time.map(Value::Time).ok_or_else(out_of_years)
        }
        other => {
            let message = format!("`timestamp` takes a string or an int, found {}", other.a_type());
            Err(call.bad(TYPE, 0, message))
        }
    }
}

fn duration(call: &mut Call<'_, '_>) -> Outcome {
    let text = call.text(0)?;
    parsed(call, &text, text.parse::<Period>())
}

fn date(call: &mut Call<'_, '_>) -> Outcome {
    let text = call.text(0)?;
    parsed(call, &text, text.parse::<Date>())
}

fn parsed<T: Into<Value>>(call: &Call<'_, '_>, text: &str, read: Result<T, ParseTimeError>) -> Outcome {
    read.map(Into::into)
        .map_err(|error| call.bad(PARSE, 0, format!("{error}, found `{}`", brief(text, VALUE_CHARS_MAX))))
}

fn div(call: &mut Call<'_, '_>) -> Outcome {
    let (a, b) = (call.int(0)?, call.int(1)?);
    if b == 0 { Err(division_by_zero()) } else { int(a.checked_div(b)) }
}

fn uuid(call: &mut Call<'_, '_>) -> Outcome {
    let chance = call.eval.scope.chance();
    let mut bits = chance.iter().take(16).fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    // Version 4 (random), variant 1, as RFC 9562 lays them out.
    bits = bits & !(0xf << 76) | 0x4 << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Ok(groups.join("-").into())
}

fn random(call: &mut Call<'_, '_>) -> Outcome {
    const MANTISSA_BITS: u32 = 53;
    let chance = call.eval.scope.chance();
    let bits = chance.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) >> (64 - MANTISSA_BITS);
    Ok(Value::Number(bits as f64 / (1u64 << MANTISSA_BITS) as f64))
}
