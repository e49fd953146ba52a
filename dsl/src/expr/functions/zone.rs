//! Time zones: from an instant to what local clocks show, and back.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::{self, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::time::Time;

/// The zones that the binary carries, so that an expression gives the same on every machine.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The unit of `start_of`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Day,
    Week,
    Month,
}

impl Unit {
    pub(super) fn read(text: &str) -> Result<Unit, String> {
        match text {
            "day" => Ok(Unit::Day),
            "week" => Ok(Unit::Week),
            "month" => Ok(Unit::Month),
            _ => Err(format!("`{text}` is no unit: write \"day\", \"week\" or \"month\"")),
        }
    }
}

/// The zone of an IANA name such as `Europe/Berlin`.
pub(super) fn find(name: &str) -> Result<TimeZone, String> {
    ZONES.get(name).map_err(|_| format!("there is no time zone `{name}`: names are such as `Europe/Berlin` or `UTC`"))
}

/// A time of day: `hh:mm` or `hh:mm:ss`.
pub(super) fn read_clock(text: &str) -> Result<civil::Time, String> {
    let wrong = || format!("`{text}` is no time of day such as `09:00`");
    let mut parts = text.split(':').map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<i8>().ok() } else { None }
    });
    let mut next = || parts.next().map(|part| part.ok_or_else(wrong)).transpose();
    let (hour, minute, second) = (next()?.ok_or_else(wrong)?, next()?.ok_or_else(wrong)?, next()?.unwrap_or(0));
    if next()?.is_some() {
        return Err(wrong());
    }
    civil::Time::new(hour, minute, second, 0).map_err(|_| wrong())
}

/// What the clocks of the zone show at an instant; none in the last hours of the year 9999.
pub(super) fn local(time: Time, zone: &TimeZone) -> Option<DateTime> {
    if *zone == TimeZone::UTC {
        return Some(time.to_civil());
    }
    Some(zone.to_datetime(Timestamp::from_millisecond(time.0).ok()?))
}

/// The instant at which the clocks of the zone show this: in a gap its end, in a fold the first of the two. None outside
/// of the years 1 to 9999.
pub(super) fn instant(datetime: DateTime, zone: &TimeZone) -> Option<Time> {
    if *zone == TimeZone::UTC {
        return Time::from_civil(datetime);
    }
    let ambiguous = zone.to_ambiguous_timestamp(datetime);
    let timestamp = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(datetime),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(datetime),
        AmbiguousOffset::Gap { before, .. } => {
            // With the offset from before the gap this is at or after the change; the last change up to it is the end.
            let inside = before.to_timestamp(datetime).ok()?;
            let after = inside.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
            Ok(zone.preceding(after).next()?.timestamp())
        }
    };
    Time::from_millis(timestamp.ok()?.as_millisecond())
}

/// An instant as text after a strftime pattern; none where [`local`] has none.
pub(super) fn format(time: Time, zone: &TimeZone, pattern: &str) -> Option<Result<String, String>> {
    let timestamp = Timestamp::from_millisecond(time.0).ok()?;
    let broken_down = BrokenDownTime::from(&timestamp.to_zoned(zone.clone()));
    Some(write_format(&broken_down, pattern))
}

/// Whether a strftime pattern can be written.
pub(super) fn check_format(pattern: &str) -> Result<(), String> {
    write_format(&BrokenDownTime::from(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)), pattern).map(drop)
}

/// How long a strftime pattern may be, in bytes; bounds what its padding can make.
const PATTERN_BYTES_MAX: usize = 4096;

fn write_format(broken_down: &BrokenDownTime, pattern: &str) -> Result<String, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    // A width such as `%9999d` could ask for any amount of padding.
    let wide = pattern.split('%').skip(1).any(|directive| {
        let width = directive.trim_start_matches(['-', '_', '^', '#']);
        width.bytes().take_while(u8::is_ascii_digit).count() > 2
    });
    if wide {
        return Err("a width in the pattern has at most two digits".to_owned());
    }
    broken_down.to_string(pattern).map_err(|error| format!("the pattern cannot be written: {error}"))
}
