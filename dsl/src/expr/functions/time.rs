//! Methods of timestamps: calendar arithmetic in a time zone, UTC unless one is named.
//!
//! A local time that a change of the clock skips is the end of the gap; one that comes twice is the first of the two.

use jiff::Span;
use jiff::civil;

use super::zone::{self, Unit};
use super::{Function, Param, Sig, optional, required};
use crate::expr::arithmetic::out_of_years;
use crate::expr::call::Call;
use crate::expr::fault::{Fault, Outcome, PARSE};
use crate::value::Value;

const ZONE: Param = optional("tz", Sig::Zone);

pub(super) const METHODS: &[Function] = &[
    Function {
        name: "add_days",
        params: &[required("n", Sig::Int), ZONE],
        result: Sig::Time,
        doc: "The same time of day `n` days later.",
        run: add_days,
    },
    Function {
        name: "add_months",
        params: &[required("n", Sig::Int), ZONE],
        result: Sig::Time,
        doc: "The same time of the same day `n` months later, or of that month's last day.",
        run: add_months,
    },
    Function {
        name: "start_of",
        params: &[required("unit", Sig::Unit), ZONE],
        result: Sig::Time,
        doc: "When the day, the week (on Monday) or the month began.",
        run: start_of,
    },
    Function {
        name: "at_time",
        params: &[required("clock", Sig::Clock), ZONE],
        result: Sig::Time,
        doc: "The same day at another time of day.",
        run: at_time,
    },
    Function { name: "weekday", params: &[ZONE], result: Sig::Int, doc: "1 (Monday) to 7 (Sunday).", run: weekday },
    Function { name: "hour", params: &[ZONE], result: Sig::Int, doc: "The hour, 0 to 23.", run: hour },
    Function { name: "day", params: &[ZONE], result: Sig::Int, doc: "The day of the month, from 1.", run: day },
    Function { name: "month", params: &[ZONE], result: Sig::Int, doc: "The month, 1 to 12.", run: month },
    Function { name: "year", params: &[ZONE], result: Sig::Int, doc: "The year.", run: year },
    Function {
        name: "format",
        params: &[required("pattern", Sig::TimeFormat), ZONE],
        result: Sig::String,
        doc: "As text after a strftime pattern such as `%d.%m.%Y %H:%M`.",
        run: format,
    },
    Function {
        name: "unix",
        params: &[],
        result: Sig::Int,
        doc: "Whole seconds since 1970-01-01T00:00:00Z.",
        run: unix,
    },
];

/// The time zone that an argument names, or UTC.
fn zone(call: &mut Call<'_, '_>, place: usize) -> Result<jiff::tz::TimeZone, Box<Fault>> {
    if !call.has(place) {
        return Ok(jiff::tz::TimeZone::UTC);
    }
    let name = call.text(place)?;
    zone::find(&name).map_err(|message| call.bad(PARSE, place, message))
}

/// What the clocks of the zone show at the receiver.
fn local(call: &mut Call<'_, '_>, zone: &jiff::tz::TimeZone) -> Result<civil::DateTime, Box<Fault>> {
    zone::local(call.receiver_time()?, zone).ok_or_else(out_of_years)
}

/// The instant at which the clocks of the zone show this.
fn instant(datetime: Result<civil::DateTime, jiff::Error>, zone: &jiff::tz::TimeZone) -> Outcome {
    let time = datetime.ok().and_then(|datetime| zone::instant(datetime, zone));
    time.map(Value::Time).ok_or_else(out_of_years)
}

fn add_days(call: &mut Call<'_, '_>) -> Outcome {
    let (count, zone) = (call.int(0)?, zone(call, 1)?);
    let span = Span::new().try_days(count);
    let from = local(call, &zone)?;
    instant(span.and_then(|span| from.checked_add(span)), &zone)
}

fn add_months(call: &mut Call<'_, '_>) -> Outcome {
    let (count, zone) = (call.int(0)?, zone(call, 1)?);
    let span = Span::new().try_months(count);
    let from = local(call, &zone)?;
    instant(span.and_then(|span| from.checked_add(span)), &zone)
}

fn start_of(call: &mut Call<'_, '_>) -> Outcome {
    let unit = call.text(0)?;
    let unit = Unit::read(&unit).map_err(|message| call.bad(PARSE, 0, message))?;
    let zone = zone(call, 1)?;
    let date = local(call, &zone)?.date();
    let first = match unit {
        Unit::Day => Ok(date),
        Unit::Week => date.checked_sub(Span::new().days(i64::from(date.weekday().to_monday_zero_offset()))),
        Unit::Month => Ok(date.first_of_month()),
    };
    instant(first.map(|first| first.to_datetime(civil::Time::midnight())), &zone)
}

fn at_time(call: &mut Call<'_, '_>) -> Outcome {
    let clock = call.text(0)?;
    let clock = zone::read_clock(&clock).map_err(|message| call.bad(PARSE, 0, message))?;
    let zone = zone(call, 1)?;
    let date = local(call, &zone)?.date();
    instant(Ok(date.to_datetime(clock)), &zone)
}

fn part(call: &mut Call<'_, '_>, part: fn(civil::DateTime) -> i64) -> Outcome {
    let zone = zone(call, 0)?;
    Ok(Value::Int(part(local(call, &zone)?)))
}

fn weekday(call: &mut Call<'_, '_>) -> Outcome {
    part(call, |local| i64::from(local.weekday().to_monday_one_offset()))
}

fn hour(call: &mut Call<'_, '_>) -> Outcome {
    part(call, |local| i64::from(local.hour()))
}

fn day(call: &mut Call<'_, '_>) -> Outcome {
    part(call, |local| i64::from(local.day()))
}

fn month(call: &mut Call<'_, '_>) -> Outcome {
    part(call, |local| i64::from(local.month()))
}

fn year(call: &mut Call<'_, '_>) -> Outcome {
    part(call, |local| i64::from(local.year()))
}

fn format(call: &mut Call<'_, '_>) -> Outcome {
    let pattern = call.text(0)?;
    let zone = zone(call, 1)?;
    call.eval.read(pattern.len())?;
    let time = call.receiver_time()?;
    let text = zone::format(time, &zone, &pattern).ok_or_else(out_of_years)?;
    let text = text.map_err(|message| call.bad(PARSE, 0, message))?;
    call.eval.make(text.len())?;
    Ok(text.into())
}

fn unix(call: &mut Call<'_, '_>) -> Outcome {
    Ok(Value::Int(call.receiver_time()?.0.div_euclid(1_000)))
}
