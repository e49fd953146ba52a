//! Methods of durations: their length in a unit, as a number.

use super::{Function, Sig};
use crate::expr::call::Call;
use crate::expr::fault::Outcome;
use crate::value::Value;

pub(super) const METHODS: &[Function] = &[
    Function { name: "seconds", params: &[], result: Sig::Number, doc: "Its length in seconds.", run: seconds },
    Function { name: "minutes", params: &[], result: Sig::Number, doc: "Its length in minutes.", run: minutes },
    Function { name: "hours", params: &[], result: Sig::Number, doc: "Its length in hours.", run: hours },
    Function { name: "days", params: &[], result: Sig::Number, doc: "Its length in days of 24 hours.", run: days },
];

fn seconds(call: &mut Call<'_, '_>) -> Outcome {
    in_units(call, 1_000.0)
}

fn minutes(call: &mut Call<'_, '_>) -> Outcome {
    in_units(call, 60_000.0)
}

fn hours(call: &mut Call<'_, '_>) -> Outcome {
    in_units(call, 3_600_000.0)
}

fn days(call: &mut Call<'_, '_>) -> Outcome {
    in_units(call, 86_400_000.0)
}

fn in_units(call: &Call<'_, '_>, unit_ms: f64) -> Outcome {
    let period = call.receiver.as_period().ok_or_else(|| call.wrong_receiver())?;
    Ok(Value::Number(period.0 as f64 / unit_ms))
}
