//! Cron schedules, exact across changes of the local time.
//!
//! The crate `cron` finds the next matching minute of a calendar without a time zone. Around it stand our own
//! reading of the five fields (its weekdays count from 1 for Sunday, and it joins the two day fields with *and*)
//! and the way from a local time to an instant:
//!
//! - A schedule whose hour and minute are both fixed fires once a day at most for each of its times. A time that
//!   the clock skips fires at the end of the gap; a time that comes twice fires the first time.
//! - A schedule with a wildcard in hour or minute follows real time, so it runs through both passes of a repeated
//!   hour. If its hour is fixed and falls into a gap, it fires once at the end of the gap.

mod fields;
#[cfg(test)]
mod tests;

use std::ops::Range;

use chrono::DateTime;
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::time::Time;
use fields::Fields;

/// A cron schedule in a time zone. Knows the years 1970 to 2100.
#[derive(Clone, Debug)]
pub struct Schedule {
    zone: TimeZone,
    /// One, or two that are alternatives: day of month and day of week, when both are restricted.
    calendars: Vec<cron::Schedule>,
    any_hour: bool,
    any_minute: bool,
}

/// Which of the two texts a [`ScheduleError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleText {
    /// The five fields.
    Cron,
    /// The name of the time zone.
    Timezone,
}

/// A schedule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScheduleError {
    /// The text that is wrong.
    pub text: ScheduleText,
    /// One lower-case phrase.
    pub message: String,
    /// The bytes of that text that are wrong.
    pub range: Range<usize>,
}

impl Schedule {
    /// Reads five fields (minute, hour, day of month, month, day of week), or `@hourly`, `@daily`, `@midnight`,
    /// `@weekly`, `@monthly`, `@yearly` or `@annually`, to be followed in an IANA time zone.
    ///
    /// A field is `*` or a list of numbers, names (`mon`, `january`) and ranges, each with an optional step
    /// (`*/15`, `9-17/2`). A range may run over the end (`fri-mon`, `22-2`). Sunday is 0 and 7. When day of month
    /// and day of week are both restricted, either is enough.
    ///
    /// # Errors
    /// The first part that cannot be read, with its place.
    ///
    /// ```
    /// use wf_dsl::{Schedule, Time};
    /// let schedule = Schedule::parse("0 2 * * *", "Europe/Berlin").unwrap();
    /// // On 2026-03-29 the clocks go from 02:00 to 03:00, which is 01:00 UTC.
    /// assert_eq!(schedule.after(Time(1_774_738_800_000)), Some(Time(1_774_746_000_000)));
    /// assert!(Schedule::parse("61 * * * *", "UTC").is_err());
    /// ```
    pub fn parse(cron: &str, timezone: &str) -> Result<Schedule, ScheduleError> {
        let fields = Fields::parse(cron).map_err(|(message, range)| ScheduleError {
            text: ScheduleText::Cron,
            message,
            range,
        })?;
        let zone = zone(timezone).ok_or_else(|| ScheduleError {
            text: ScheduleText::Timezone,
            message: format!("unknown time zone `{timezone}`"),
            range: 0..timezone.len(),
        })?;
        let calendars =
            fields.calendars().iter().map(|text| text.parse().expect("lists of numbers within their bounds")).collect();
        Ok(Schedule { zone, calendars, any_hour: fields.hour.any, any_minute: fields.minute.any })
    }

    /// The first instant strictly after `time` at which the schedule fires; none if it never does, as on
    /// 31 February, or not before the year 2101.
    pub fn after(&self, time: Time) -> Option<Time> {
        let seconds = time.0.div_euclid(1000);
        let next = if self.any_hour || self.any_minute { self.follow(seconds) } else { self.pick(seconds) };
        next.map(|seconds| Time(seconds * 1000))
    }

    /// Whether the schedule fires at all.
    pub fn fires(&self) -> bool {
        self.next_local(i64::MIN).is_some()
    }

    /// The next instant for fixed times: each local time has exactly one instant, and their order is the same.
    fn pick(&self, after: i64) -> Option<i64> {
        let mut local = after + self.offset_at(after)?;
        loop {
            local = self.next_local(local)?;
            // In the second pass of a repeated hour, the local times ahead have had their turn in the first.
            let instant = self.first_instant(local)?;
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// The next instant for wildcards: from one change of the offset to the next, local time runs like real time.
    fn follow(&self, after: i64) -> Option<i64> {
        let start = Timestamp::from_second(after).ok()?;
        let mut changes = self.zone.following(start);
        let mut offset = self.offset_at(after)?;
        let mut after = after;
        loop {
            let candidate = self.next_local(after + offset)? - offset;
            let Some(change) = changes.next() else { return Some(candidate) };
            let at = change.timestamp().as_second();
            if candidate < at {
                return Some(candidate);
            }
            let offset_before = offset;
            offset = i64::from(change.offset().seconds());
            let in_gap = |local: i64| local < at + offset;
            if !self.any_hour && self.next_local(at + offset_before - 1).is_some_and(in_gap) {
                return Some(at);
            }
            after = at - 1;
        }
    }

    /// The next local time, in seconds of a clock that has no zone, strictly after `local`.
    fn next_local(&self, local: i64) -> Option<i64> {
        // The calendars begin in 1970; one second before is where a search for the very first time starts.
        let from = DateTime::from_timestamp(local.max(-1), 0)?;
        self.calendars.iter().filter_map(|calendar| calendar.after(&from).next()).map(|time| time.timestamp()).min()
    }

    /// The instant of a local time: the first one if it comes twice, the end of the gap if it is skipped.
    fn first_instant(&self, local: i64) -> Option<i64> {
        let civil = Offset::UTC.to_datetime(Timestamp::from_second(local).ok()?);
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => Some(local - i64::from(offset.seconds())),
            AmbiguousOffset::Fold { before, .. } => Some(local - i64::from(before.seconds())),
            AmbiguousOffset::Gap { after, .. } => {
                let before_gap = Timestamp::from_second(local - i64::from(after.seconds())).ok()?;
                self.zone.following(before_gap).next().map(|change| change.timestamp().as_second())
            }
        }
    }

    fn offset_at(&self, seconds: i64) -> Option<i64> {
        Some(i64::from(self.zone.to_offset(Timestamp::from_second(seconds).ok()?).seconds()))
    }
}

/// The IANA time zone with this name; none if there is none.
fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
}
