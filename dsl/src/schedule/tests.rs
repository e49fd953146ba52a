use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use super::{Schedule, ScheduleText};
use crate::time::Time;

fn time(text: &str) -> Time {
    Time(text.parse::<Timestamp>().expect("a timestamp").as_millisecond())
}

/// The next fires after `from`, as local times with their offset.
fn fires(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(cron, zone).expect("a schedule");
    let zone = TimeZone::get(zone).expect("a zone");
    std::iter::successors(schedule.after(time(from)), |time| schedule.after(*time))
        .take(count)
        .map(|time| {
            let zoned = Timestamp::from_millisecond(time.0).expect("in range").to_zoned(zone.clone());
            zoned.strftime("%a %m-%d %H:%M%:z").to_string()
        })
        .collect()
}

#[test]
fn fields_mean_what_crontab_means() {
    // 2026-06-01 is a Monday.
    let from = "2026-06-01T00:00:00Z";
    let table = [
        ("0 9 * * 1-5", "Mon 06-01 09:00, Tue 06-02 09:00, Wed 06-03 09:00"),
        ("0 9 * * 0", "Sun 06-07 09:00, Sun 06-14 09:00, Sun 06-21 09:00"),
        ("0 9 * * 7", "Sun 06-07 09:00, Sun 06-14 09:00, Sun 06-21 09:00"),
        ("0 9 * * fri-MON", "Mon 06-01 09:00, Fri 06-05 09:00, Sat 06-06 09:00"),
        ("0 9 * * 5-7", "Fri 06-05 09:00, Sat 06-06 09:00, Sun 06-07 09:00"),
        ("0 9 * * sunday", "Sun 06-07 09:00, Sun 06-14 09:00, Sun 06-21 09:00"),
        ("0 9 * * 0-7", "Mon 06-01 09:00, Tue 06-02 09:00, Wed 06-03 09:00"),
        ("0 9 * * 7-7", "Sun 06-07 09:00, Sun 06-14 09:00, Sun 06-21 09:00"),
        ("0 9 * * */2", "Tue 06-02 09:00, Thu 06-04 09:00, Sat 06-06 09:00"),
        ("0 9 * * fri-sun/2", "Fri 06-05 09:00, Sun 06-07 09:00, Fri 06-12 09:00"),
        ("0 0 13 * 5", "Fri 06-05 00:00, Fri 06-12 00:00, Sat 06-13 00:00"),
        ("0 0 13 * *", "Sat 06-13 00:00, Mon 07-13 00:00, Thu 08-13 00:00"),
        ("0 0 1 jan,JULY *", "Wed 07-01 00:00, Fri 01-01 00:00, Thu 07-01 00:00"),
        ("0 22-2/2 * * *", "Mon 06-01 02:00, Mon 06-01 22:00, Tue 06-02 00:00"),
        ("5/20 12 * * *", "Mon 06-01 12:05, Mon 06-01 12:25, Mon 06-01 12:45"),
        ("10-50/20 0 * * *", "Mon 06-01 00:10, Mon 06-01 00:30, Mon 06-01 00:50"),
        ("*/60 * * * *", "Mon 06-01 01:00, Mon 06-01 02:00, Mon 06-01 03:00"),
        ("0 0 31 * *", "Fri 07-31 00:00, Mon 08-31 00:00, Sat 10-31 00:00"),
        ("@hourly", "Mon 06-01 01:00, Mon 06-01 02:00, Mon 06-01 03:00"),
        ("@Daily", "Tue 06-02 00:00, Wed 06-03 00:00, Thu 06-04 00:00"),
        ("@weekly", "Sun 06-07 00:00, Sun 06-14 00:00, Sun 06-21 00:00"),
        ("@monthly", "Wed 07-01 00:00, Sat 08-01 00:00, Tue 09-01 00:00"),
        ("@yearly", "Fri 01-01 00:00, Sat 01-01 00:00, Mon 01-01 00:00"),
    ];
    for (cron, expected) in table {
        let found: Vec<_> = fires(cron, "UTC", from, 3).iter().map(|fire| fire.replace("+00:00", "")).collect();
        assert_eq!(found.join(", "), expected, "{cron}");
    }
}

#[test]
fn a_skipped_time_fires_at_the_end_of_the_gap_and_a_repeated_one_once() {
    let table = [
        // Berlin: 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00.
        ("0 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "Sun 03-29 03:00+02:00, Mon 03-30 02:00+02:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "Sun 03-29 03:00+02:00, Mon 03-30 02:30+02:00"),
        ("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "Sun 03-29 03:00+02:00, Sun 03-29 03:30+02:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "Sun 10-25 02:30+02:00, Mon 10-26 02:30+01:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", "Mon 10-26 02:30+01:00, Tue 10-27 02:30+01:00"),
        // Wildcards follow real time.
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "Sun 03-29 01:30+01:00, Sun 03-29 03:00+02:00"),
        ("15 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "Sun 03-29 01:15+01:00, Sun 03-29 03:15+02:00"),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "Sun 03-29 03:00+02:00, Mon 03-30 02:00+02:00"),
        ("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "Sun 10-25 02:30+02:00, Sun 10-25 02:30+01:00"),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:15:00Z", "Sun 10-25 02:30+02:00, Sun 10-25 02:00+01:00"),
        // New York: 2026-03-08 02:00 → 03:00, 2026-11-01 02:00 → 01:00.
        ("30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", "Sun 03-08 03:00-04:00, Mon 03-09 02:30-04:00"),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "Sun 11-01 01:30-04:00, Mon 11-02 01:30-05:00"),
        ("0 9 * * mon", "America/New_York", "2026-10-31T12:00:00Z", "Mon 11-02 09:00-05:00, Mon 11-09 09:00-05:00"),
        // Lord Howe moves by half an hour: 2026-04-05 02:00 → 01:30, 2026-10-04 02:00 → 02:30.
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", "Sun 04-05 01:45+11:00, Mon 04-06 01:45+10:30"),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "Sun 10-04 02:30+11:00, Mon 10-05 02:15+11:00"),
        ("0 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "Sun 10-04 02:30+11:00, Mon 10-05 02:00+11:00"),
        ("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:40:00Z", "Sun 04-05 01:45+11:00, Sun 04-05 01:30+10:30"),
        // Kathmandu stands a quarter off and never moves.
        ("0 0 * * *", "Asia/Kathmandu", "2026-05-01T12:00:00Z", "Sat 05-02 00:00+05:45, Sun 05-03 00:00+05:45"),
    ];
    for (cron, zone, from, expected) in table {
        assert_eq!(fires(cron, zone, from, 2).join(", "), expected, "{cron} in {zone}");
    }
}

#[test]
fn impossible_dates_never_fire() {
    for cron in ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6,9,11 *", "* * 31 2 *"] {
        let schedule = Schedule::parse(cron, "Europe/Berlin").expect("a schedule");
        assert!(!schedule.fires(), "{cron}");
        assert_eq!(schedule.after(time("2026-01-01T00:00:00Z")), None, "{cron}");
    }
    let leap = Schedule::parse("0 0 29 2 *", "UTC").expect("a schedule");
    assert_eq!(leap.after(time("2096-03-01T00:00:00Z")), None, "2100 is no leap year");
    assert_eq!(leap.after(time("2026-01-01T00:00:00Z")), Some(time("2028-02-29T00:00:00Z")));
    assert!(Schedule::parse("0 0 31 2 mon", "UTC").expect("a schedule").fires(), "any Monday will do");
}

#[test]
fn the_edges_of_time_are_not_crossed() {
    let schedule = Schedule::parse("* * * * *", "UTC").expect("a schedule");
    for time in [Time(i64::MAX), Time(i64::MIN)] {
        assert_eq!(schedule.after(time), None);
    }
    assert_eq!(schedule.after(Time(-1)), Some(Time(0)));
    assert_eq!(schedule.after(Time(0)), Some(Time(60_000)));
    assert_eq!(schedule.after(Time(59_999)), Some(Time(60_000)));
}

#[test]
fn what_cannot_be_read_is_shown() {
    let table = [
        ("0 9 * *", "0 9 * *"),
        ("0 0 9 * * *", "0 0 9 * * *"),
        ("", ""),
        ("60 * * * *", "60"),
        ("* 24 * * *", "24"),
        ("* * 0 * *", "0"),
        ("* * 32 * *", "32"),
        ("* * * 13 *", "13"),
        ("* * * * 8", "8"),
        ("* * * * 1-8", "8"),
        ("* * * febuary *", "febuary"),
        ("* * L * *", "L"),
        ("* * * * 5#2", "5#2"),
        ("? * * * *", "?"),
        ("*/0 * * * *", "0"),
        ("*/61 * * * *", "61"),
        ("*/x * * * *", "x"),
        ("*/ 1 * * *", "*/"),
        ("+5 * * * *", "+5"),
        ("1,,2 * * * *", "1,,2"),
        ("1- * * * *", "1-"),
        ("* * * * 1,", "1,"),
        ("@reboot", "@reboot"),
        ("@daily 5", "5"),
        ("ä * * * *", "ä"),
    ];
    for (cron, token) in table {
        let error = Schedule::parse(cron, "UTC").expect_err(cron);
        assert_eq!((error.text, &cron[error.range.clone()]), (ScheduleText::Cron, token), "{cron}: {error}");
    }
    for zone in ["Europe/Berlim", "", "Etc/Unknown", "+02:00"] {
        let error = Schedule::parse("* * * * *", zone).expect_err(zone);
        assert_eq!((error.text, error.range), (ScheduleText::Timezone, 0..zone.len()), "{zone}");
    }
}

/// One field: the text and the numbers it means, both drawn from the same choice.
fn field(first: i8, last: i8) -> impl Strategy<Value = (String, Vec<i8>, bool)> {
    let numbers = proptest::collection::btree_set(first..=last, 1..4).prop_map(|numbers| {
        let text: Vec<_> = numbers.iter().map(i8::to_string).collect();
        (text.join(","), numbers.into_iter().collect(), false)
    });
    let every = (1..=last.min(20)).prop_map(move |step| {
        let numbers = (first..=last).step_by(usize::from(step.unsigned_abs())).collect();
        (format!("*/{step}"), numbers, true)
    });
    prop_oneof![Just(("*".to_owned(), (first..=last).collect(), true)), every, numbers]
}

/// The same rules, minute by minute: slow, and without any arithmetic on schedules.
struct Naive {
    minute: (String, Vec<i8>, bool),
    hour: (String, Vec<i8>, bool),
    day: (String, Vec<i8>, bool),
    weekday: (String, Vec<i8>, bool),
}

impl Naive {
    fn text(&self) -> String {
        format!("{} {} {} * {}", self.minute.0, self.hour.0, self.day.0, self.weekday.0)
    }

    fn matches(&self, local: DateTime) -> bool {
        let day = self.day.1.contains(&local.day());
        let weekday = self.weekday.1.contains(&local.weekday().to_sunday_zero_offset());
        let day_matches = match (self.day.1.len() < 31, self.weekday.1.len() < 7) {
            (true, true) => day || weekday,
            _ => day && weekday,
        };
        day_matches && self.minute.1.contains(&local.minute()) && self.hour.1.contains(&local.hour())
    }

    fn after(&self, zone: &TimeZone, from: Timestamp, minutes: i64) -> Option<Timestamp> {
        let wild = self.minute.2 || self.hour.2 || self.minute.1.len() == 60 || self.hour.1.len() == 24;
        let any_hour = self.hour.2 || self.hour.1.len() == 24;
        let start = Timestamp::from_second(from.as_second().div_euclid(60) * 60).expect("in range");
        (1..=minutes).map(|minute| start + minute.minutes()).find(|instant| {
            let (before, now) = (zone.to_datetime(*instant - 1.minutes()), zone.to_datetime(*instant));
            let first_pass = zone.to_ambiguous_timestamp(now).earlier().expect("in range") == *instant;
            let mut skipped = Vec::new();
            let mut local = before + 1.minutes();
            while local < now {
                skipped.push(local);
                local += 1.minutes();
            }
            let gap = skipped.iter().any(|local| self.matches(*local)) && (!wild || !any_hour);
            gap || (self.matches(now) && (wild || first_pass))
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_counting_minutes(
        minute in field(0, 59),
        hour in field(0, 23),
        day in field(1, 31),
        weekday in field(0, 6),
        zone in prop_oneof!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"],
        change in 0_usize..2,
        offset in -2_000_i64..2_000,
    ) {
        // Near the two changes of the year, where all the difficulty is.
        let zone_name = zone;
        let zone = TimeZone::get(&zone_name).expect("a zone");
        let new_year: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a timestamp");
        let change = zone.following(new_year).nth(change).map_or(new_year, |change| change.timestamp());
        let from = change + offset.minutes();
        let naive = Naive { minute, hour, day, weekday };
        let minutes = 4 * 24 * 60;
        let expected = naive.after(&zone, from, minutes);
        let schedule = Schedule::parse(&naive.text(), &zone_name).expect("a schedule");
        let found = schedule
            .after(Time(from.as_millisecond()))
            .map(|time| Timestamp::from_millisecond(time.0).expect("in range"))
            .filter(|found| *found <= from + minutes.minutes());
        prop_assert_eq!(found, expected, "{} in {} after {}", naive.text(), zone_name, from);
    }
}
