//! Instants, periods and dates: what they are and how they are written.
//!
//! All three read what they print. Nothing here knows a time zone; calendar arithmetic in a zone belongs to the
//! expression functions.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{self, DateTime};
use serde::{Deserialize, Serialize};

/// An instant, in milliseconds since 1970-01-01T00:00:00Z. Years 1 to 9999.
///
/// Prints as RFC 3339 in UTC, with milliseconds only when there are any. Reads RFC 3339 with any offset; digits
/// below a millisecond are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

/// A length of time in milliseconds; negative when it points back.
///
/// Prints as ISO 8601 without days (`PT36H`). Reads that, ISO 8601 with weeks and days of 24 hours (`P1DT12H`), and
/// the notation of expressions (`1d12h`, `1h30m`, `500ms`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Period(pub i64);

/// A calendar day without a time zone, in days since 1970-01-01. Years 1 to 9999; written `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Date(pub i32);

/// A text that is no instant, period or date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseTimeError(pub(crate) &'static str);

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// The units of the compact notation, longest first; `ms` stands before `m` so that a reader finds it first.
const UNITS: [(&str, i64); 6] = [("w", WEEK), ("d", DAY), ("h", HOUR), ("ms", 1), ("m", MINUTE), ("s", SECOND)];

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl Time {
    /// The first instant of year 1.
    pub const MIN: Time = Time(-62_135_596_800_000);
    /// The last millisecond of year 9999.
    pub const MAX: Time = Time(253_402_300_799_999);

    /// The instant this many milliseconds after the epoch; none outside of the years 1 to 9999.
    pub fn from_millis(millis: i64) -> Option<Time> {
        (Time::MIN.0..=Time::MAX.0).contains(&millis).then_some(Time(millis))
    }

    /// This instant moved by a period; none outside of the years 1 to 9999.
    pub fn checked_add(self, period: Period) -> Option<Time> {
        self.0.checked_add(period.0).and_then(Time::from_millis)
    }

    /// This instant moved back by a period; none outside of the years 1 to 9999.
    pub fn checked_sub(self, period: Period) -> Option<Time> {
        self.0.checked_sub(period.0).and_then(Time::from_millis)
    }

    /// How long after `earlier` this is.
    pub fn since(self, earlier: Time) -> Period {
        Period(self.0.saturating_sub(earlier.0))
    }

    /// The date and time of day in UTC; an instant outside of the years 1 to 9999 gives the nearest one inside.
    pub(crate) fn to_civil(self) -> DateTime {
        let millis = self.0.clamp(Time::MIN.0, Time::MAX.0);
        EPOCH.checked_add(SignedDuration::from_millis(millis)).expect("years 1 to 9999 are civil dates")
    }

    /// The instant at which UTC shows this date and time.
    pub(crate) fn from_civil(datetime: DateTime) -> Option<Time> {
        let millis = i64::try_from(datetime.duration_since(EPOCH).as_millis()).ok()?;
        Time::from_millis(millis)
    }
}

impl Period {
    /// No time at all.
    pub const ZERO: Period = Period(0);

    /// This many seconds; saturates.
    pub const fn seconds(seconds: i64) -> Period {
        Period(seconds.saturating_mul(SECOND))
    }

    /// This many minutes; saturates.
    pub const fn minutes(minutes: i64) -> Period {
        Period(minutes.saturating_mul(MINUTE))
    }

    /// This many hours; saturates.
    pub const fn hours(hours: i64) -> Period {
        Period(hours.saturating_mul(HOUR))
    }

    /// The length as the standard library has it; zero when this points back.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }

    /// The period as an expression writes it: `1d12h`, `500ms`, `0s`, `-1h30m`.
    pub fn compact(self) -> String {
        if self.0 == 0 {
            return "0s".to_owned();
        }
        let mut text = String::from(if self.0 < 0 { "-" } else { "" });
        let mut left = self.0.unsigned_abs();
        for (unit, millis) in [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)] {
            let count = left / millis.unsigned_abs();
            left %= millis.unsigned_abs();
            if count > 0 {
                text.push_str(&format!("{count}{unit}"));
            }
        }
        text
    }
}

impl Date {
    /// The first day of year 1.
    pub const MIN: Date = Date(-719_162);
    /// The last day of year 9999.
    pub const MAX: Date = Date(2_932_896);

    fn to_civil(self) -> civil::Date {
        Time(i64::from(self.0.clamp(Date::MIN.0, Date::MAX.0)) * DAY).to_civil().date()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.to_civil();
        write!(f, "{:04}-{:02}-{:02}", at.year(), at.month(), at.day())?;
        write!(f, "T{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())?;
        match at.millisecond() {
            0 => f.write_str("Z"),
            millis => write!(f, ".{millis:03}Z"),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("PT0S");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        f.write_str("PT")?;
        let millis = self.0.unsigned_abs();
        let (hours, minutes) = (millis / HOUR.unsigned_abs(), millis / MINUTE.unsigned_abs() % 60);
        let (seconds, millis) = (millis / 1_000 % 60, millis % 1_000);
        if hours > 0 {
            write!(f, "{hours}H")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}M")?;
        }
        match (seconds, millis) {
            (0, 0) => Ok(()),
            (_, 0) => write!(f, "{seconds}S"),
            _ => write!(f, "{seconds}.{}S", format!("{millis:03}").trim_end_matches('0')),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.to_civil();
        write!(f, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
    }
}

impl FromStr for Time {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        read_time(text, &['T', 't'], false)
    }
}

impl Time {
    /// Reads what databases give: like RFC 3339, but a space may stand for the `T`, and without an offset it is UTC.
    pub fn from_database(text: &str) -> Result<Self, ParseTimeError> {
        read_time(text, &['T', 't', ' '], true)
    }
}

impl FromStr for Date {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let mut rest = Rest(text.as_bytes());
        let date = rest.date().filter(|_| rest.0.is_empty());
        let date = date.ok_or(ParseTimeError("expected a date such as `2025-10-01`"))?;
        let time = Time::from_civil(date.to_datetime(civil::Time::midnight()));
        let day = time.and_then(|time| i32::try_from(time.0 / DAY - i64::from(time.0 % DAY < 0)).ok());
        day.map(Date).ok_or(ParseTimeError("the year is outside of 1 to 9999"))
    }
}

impl FromStr for Period {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let millis = match digits.strip_prefix('P') {
            Some(iso) => read_iso_period(iso)?,
            None => read_compact_period(digits)?,
        };
        // The magnitude is unsigned, so that the most negative period reads what it printed.
        let signed = if negative { 0i64.checked_sub_unsigned(millis) } else { i64::try_from(millis).ok() };
        signed.map(Period).ok_or(TOO_LONG)
    }
}

const NOT_A_TIME: ParseTimeError = ParseTimeError("expected a timestamp such as `2025-10-01T09:00:00Z`");
const NO_OFFSET: ParseTimeError = ParseTimeError("the timestamp has no offset: end it with `Z` or `+02:00`");
const NOT_A_PERIOD: ParseTimeError = ParseTimeError("expected a duration such as `1h30m` or `PT1H30M`");
const CALENDAR_PERIOD: ParseTimeError =
    ParseTimeError("years and months have no fixed length: write days, or use `add_months`");
const TOO_LONG: ParseTimeError = ParseTimeError("the duration does not fit 64 bits of milliseconds");

fn read_time(text: &str, separators: &[char], utc_by_default: bool) -> Result<Time, ParseTimeError> {
    let mut rest = Rest(text.as_bytes());
    let date = rest.date().ok_or(NOT_A_TIME)?;
    if !separators.iter().any(|separator| rest.skip(*separator)) {
        return Err(NOT_A_TIME);
    }
    let (hour, minute) = rest.clock().ok_or(NOT_A_TIME)?;
    let seconds = if rest.skip(':') { rest.digits(2).ok_or(NOT_A_TIME)? } else { 0 };
    let millis = if rest.skip('.') { rest.fraction_millis().ok_or(NOT_A_TIME)? } else { 0 };
    // Second 60 is a leap second, which UTC milliseconds count as the first second of the next minute.
    if hour > 23 || minute > 59 || seconds > 60 {
        return Err(NOT_A_TIME);
    }
    let offset = if rest.skip('Z') || rest.skip('z') || (utc_by_default && rest.0.is_empty()) {
        0
    } else {
        let sign = if rest.skip('-') { -1 } else { 1 };
        if sign == 1 && !rest.skip('+') {
            return Err(if rest.0.is_empty() { NO_OFFSET } else { NOT_A_TIME });
        }
        // PostgreSQL writes whole hours as `+02`.
        let (hours, minutes) =
            rest.clock().or_else(|| rest.digits(2).filter(|_| utc_by_default).map(|h| (h, 0))).ok_or(NOT_A_TIME)?;
        if hours > 23 || minutes > 59 {
            return Err(NOT_A_TIME);
        }
        sign * (hours * HOUR + minutes * MINUTE)
    };
    if !rest.0.is_empty() {
        return Err(NOT_A_TIME);
    }
    let midnight = date.to_datetime(civil::Time::midnight()).duration_since(EPOCH).as_secs() * SECOND;
    let millis = midnight + hour * HOUR + minute * MINUTE + seconds * SECOND + millis - offset;
    Time::from_millis(millis).ok_or(ParseTimeError("the year is outside of 1 to 9999"))
}

fn read_compact_period(text: &str) -> Result<u64, ParseTimeError> {
    let mut rest = text;
    let mut total = 0u64;
    if rest.is_empty() {
        return Err(NOT_A_PERIOD);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(NOT_A_PERIOD);
        }
        let (count, unit_first) = rest.split_at(digits);
        let (after, millis) = UNITS
            .iter()
            .find_map(|(unit, millis)| Some((unit_first.strip_prefix(unit)?, *millis)))
            .ok_or(NOT_A_PERIOD)?;
        let count: u64 = count.parse().map_err(|_| TOO_LONG)?;
        total = count.checked_mul(millis.unsigned_abs()).and_then(|part| total.checked_add(part)).ok_or(TOO_LONG)?;
        rest = after;
    }
    Ok(total)
}

/// Reads what follows the `P`. Parts stand in the order weeks, days, `T`, hours, minutes, seconds, each at most once.
fn read_iso_period(text: &str) -> Result<u64, ParseTimeError> {
    let (days, clock) = match text.split_once('T') {
        Some((_, "")) => return Err(NOT_A_PERIOD),
        Some((days, clock)) => (days, clock),
        None => (text, ""),
    };
    if days.is_empty() && clock.is_empty() {
        return Err(NOT_A_PERIOD);
    }
    let mut total = 0u64;
    for (part, units) in [(days, &[('W', WEEK), ('D', DAY)][..]), (clock, &[('H', HOUR), ('M', MINUTE), ('S', SECOND)])]
    {
        let mut rest = Rest(part.as_bytes());
        let mut units = units.iter();
        while !rest.0.is_empty() {
            let (count, millis) = rest.decimal()?;
            let letter = rest.0.split_first().map(|(letter, after)| (char::from(*letter), after));
            let (letter, after) = letter.ok_or(NOT_A_PERIOD)?;
            rest = Rest(after);
            let Some((_, unit)) = units.find(|(unit, _)| *unit == letter) else {
                let calendar = matches!(letter, 'Y' | 'M') && std::ptr::eq(part, days);
                return Err(if calendar { CALENDAR_PERIOD } else { NOT_A_PERIOD });
            };
            let unit = unit.unsigned_abs();
            // Only the last part may have a fraction; it counts in thousandths of its unit.
            if millis.is_some() && !rest.0.is_empty() {
                return Err(NOT_A_PERIOD);
            }
            let fraction = millis.unwrap_or(0) * unit / 1_000;
            let part = count.checked_mul(unit).and_then(|part| part.checked_add(fraction)).ok_or(TOO_LONG)?;
            total = total.checked_add(part).ok_or(TOO_LONG)?;
        }
    }
    Ok(total)
}

/// What of a text has not been read yet.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    fn skip(&mut self, expected: char) -> bool {
        match self.0.split_first() {
            Some((first, after)) if char::from(*first) == expected => {
                self.0 = after;
                true
            }
            _ => false,
        }
    }

    /// Exactly this many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, after) = self.0.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = after;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// `YYYY-MM-DD`, a day that exists in the years 1 to 9999.
    fn date(&mut self) -> Option<civil::Date> {
        let year = self.digits(4)?;
        let month = self.skip('-').then(|| self.digits(2))??;
        let day = self.skip('-').then(|| self.digits(2))??;
        if year == 0 {
            return None;
        }
        civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    }

    /// `hh:mm`; leaves everything as it was if that is not there.
    fn clock(&mut self) -> Option<(i64, i64)> {
        let before = self.0;
        let read = self.digits(2).zip(self.skip(':').then(|| self.digits(2)).flatten());
        if read.is_none() {
            self.0 = before;
        }
        read
    }

    /// Digits after a decimal point, as thousandths; more than three are dropped.
    fn fraction_millis(&mut self) -> Option<i64> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, after) = self.0.split_at(count);
        self.0 = after;
        let mut millis = 0;
        for place in 0..3 {
            millis = millis * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        }
        (count > 0).then_some(millis)
    }

    /// A number with an optional fraction in thousandths.
    fn decimal(&mut self) -> Result<(u64, Option<u64>), ParseTimeError> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, after) = self.0.split_at(count);
        if count == 0 {
            return Err(NOT_A_PERIOD);
        }
        let whole = std::str::from_utf8(digits).map_err(|_| NOT_A_PERIOD)?.parse().map_err(|_| TOO_LONG)?;
        self.0 = after;
        if !self.skip('.') {
            return Ok((whole, None));
        }
        let millis = self.fraction_millis().ok_or(NOT_A_PERIOD)?;
        Ok((whole, Some(millis.unsigned_abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_and_print() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2025-10-01T09:00:00Z", 1_759_309_200_000, "2025-10-01T09:00:00Z"),
            ("2025-10-01T11:00:00+02:00", 1_759_309_200_000, "2025-10-01T09:00:00Z"),
            ("2025-10-01t08:30:00.25-00:30", 1_759_309_200_250, "2025-10-01T09:00:00.250Z"),
            ("2025-10-01T09:00Z", 1_759_309_200_000, "2025-10-01T09:00:00Z"),
            ("1969-12-31T23:59:59.999999Z", -1, "1969-12-31T23:59:59.999Z"),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000, "2017-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", Time::MIN.0, "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", Time::MAX.0, "9999-12-31T23:59:59.999Z"),
        ];
        for (text, millis, printed) in cases {
            let time: Time = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(time, Time(millis), "{text}");
            assert_eq!(time.to_string(), printed);
            assert_eq!(printed.parse(), Ok(time));
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        let cases = [
            "",
            "2025-10-01",
            "2025-10-01T09:00:00",
            "2025-10-01 09:00:00Z",
            "2025-13-01T09:00:00Z",
            "2025-02-29T09:00:00Z",
            "2025-10-01T24:00:00Z",
            "2025-10-01T09:60:00Z",
            "2025-10-01T09:00:00.Z",
            "2025-10-01T09:00:00+2:00",
            "2025-10-01T09:00:00Zx",
            "0000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2025-10-01T09:00:00+02",
            "²025-10-01T09:00:00Z",
        ];
        for text in cases {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        assert_eq!("2025-10-01T09:00:00".parse::<Time>(), Err(NO_OFFSET));
    }

    #[test]
    fn databases_may_leave_the_offset_out() {
        for text in ["2025-10-01 09:00:00", "2025-10-01T09:00:00.000", "2025-10-01 11:00:00+02", "2025-10-01 09:00:00Z"]
        {
            assert_eq!(Time::from_database(text), Ok(Time(1_759_309_200_000)), "{text}");
        }
    }

    #[test]
    fn an_instant_out_of_range_prints_the_nearest() {
        assert_eq!(Time(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Time(i64::MIN).to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Time::MAX.checked_add(Period(1)), None);
        assert_eq!(Time::MIN.checked_sub(Period(1)), None);
    }

    #[test]
    fn periods_read_and_print() {
        let cases = [
            ("0s", 0, "PT0S", "0s"),
            ("500ms", 500, "PT0.5S", "500ms"),
            ("1h30m", 5_400_000, "PT1H30M", "1h30m"),
            ("3d", 3 * DAY, "PT72H", "3d"),
            ("2w", 14 * DAY, "PT336H", "14d"),
            ("PT24H", DAY, "PT24H", "1d"),
            ("P1DT12H", 36 * HOUR, "PT36H", "1d12h"),
            ("P2W", 14 * DAY, "PT336H", "14d"),
            ("PT1.5H", 90 * MINUTE, "PT1H30M", "1h30m"),
            ("PT0.001S", 1, "PT0.001S", "1ms"),
            ("-1h", -HOUR, "-PT1H", "-1h"),
            ("-PT1M", -MINUTE, "-PT1M", "-1m"),
            ("9223372036854775807ms", i64::MAX, "PT2562047788015H12M55.807S", "106751991167d7h12m55s807ms"),
            ("-9223372036854775808ms", i64::MIN, "-PT2562047788015H12M55.808S", "-106751991167d7h12m55s808ms"),
        ];
        for (text, millis, iso, compact) in cases {
            let period: Period = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(period, Period(millis), "{text}");
            assert_eq!((period.to_string().as_str(), period.compact().as_str()), (iso, compact));
            assert_eq!((iso.parse(), compact.parse()), (Ok(period), Ok(period)));
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        let cases = [
            "",
            "-",
            "P",
            "PT",
            "P1DT",
            "1",
            "h",
            "1.5h",
            "1 h",
            "1x",
            "PT1H1H",
            "PT1M1H",
            "PT1.5H1M",
            "P1H",
            "PT1D",
            "+1h",
            "9223372036854775808ms",
            "99999999999999999999h",
            "PT99999999999999999999H",
            "PT1.H",
        ];
        for text in cases {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        assert_eq!("P1M".parse::<Period>(), Err(CALENDAR_PERIOD));
        assert_eq!("P1Y".parse::<Period>(), Err(CALENDAR_PERIOD));
    }

    #[test]
    fn dates_read_and_print() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2024-02-29", 19_782),
            ("0001-01-01", Date::MIN.0),
            ("9999-12-31", Date::MAX.0),
        ] {
            assert_eq!(text.parse(), Ok(Date(day)), "{text}");
            assert_eq!(Date(day).to_string(), text);
        }
        for text in ["", "2025-02-29", "2025-1-1", "2025-01-01T00:00:00Z", "0000-01-01", "20250101"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }
}
