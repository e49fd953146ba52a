//! Instants and lengths, as people read them. All in UTC.

use wf_dsl::{Period, Time};

/// An instant and how far it is; the date only if it is another one.
pub(crate) fn due(now: Time, due: Time) -> String {
    let ((today, _), (date, time)) = (date_and_time(now), date_and_time(due));
    let left = span(due.since(now));
    if today == date { format!("{time} (in {left})") } else { format!("{date} {time} (in {left})") }
}

/// A length in its two largest units, such as `3d4h`.
pub(crate) fn span(period: Period) -> String {
    let units = [86_400_000, 3_600_000, 60_000, 1_000];
    let millis = period.0.max(0);
    let largest = units.iter().position(|unit| millis >= *unit);
    let least = largest.map_or(1, |largest| units.get(largest + 1).copied().unwrap_or(1_000));
    Period(millis - millis % least).compact()
}

/// Date and time of day, to the second.
pub(crate) fn date_and_time(at: Time) -> (String, String) {
    let text = Time(at.0 - at.0.rem_euclid(1_000)).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    (date.to_owned(), time.trim_end_matches('Z').to_owned())
}

/// Date and time of day in one, to the second.
pub(crate) fn second(at: Time) -> String {
    let (date, time) = date_and_time(at);
    format!("{date} {time}")
}

/// Date and time of day in one, to the minute.
pub(crate) fn minute(at: Time) -> String {
    let text = second(at);
    text.rsplit_once(':').map_or(text.clone(), |(minute, _)| minute.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units() {
        for (millis, text) in [
            (-5, "0s"),
            (0, "0s"),
            (250, "250ms"),
            (61_250, "1m1s"),
            (3_600_000, "1h"),
            (90_061_000, "1d1h"),
            (259_199_999, "2d23h"),
        ] {
            assert_eq!(span(Period(millis)), text);
        }
    }

    #[test]
    fn a_due_time_names_its_date_if_that_is_another_one() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        let now = at("2031-05-01T09:00:00.250Z");
        assert_eq!(due(now, at("2031-05-01T09:30:00.250Z")), "09:30:00 (in 30m)");
        assert_eq!(due(now, at("2031-05-02T10:00:00Z")), "2031-05-02 10:00:00 (in 1d59m59s)".replace("1d59m59s", "1d"));
        assert_eq!((second(now).as_str(), minute(now).as_str()), ("2031-05-01 09:00:00", "2031-05-01 09:00"));
    }
}
