//! The five fields of a cron schedule, as sets of numbers.

use std::ops::Range;

/// What is wrong with a schedule, and where.
type Wrong = (String, Range<usize>);

/// The five fields.
pub(super) struct Fields {
    pub(super) minute: Field,
    pub(super) hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

/// The numbers that a field allows.
pub(super) struct Field {
    shape: &'static Shape,
    /// Bit n is set if n is allowed.
    numbers: u64,
    /// It was written with `*`, or allows everything.
    pub(super) any: bool,
}

/// What may stand in a field.
struct Shape {
    name: &'static str,
    first: u32,
    last: u32,
    /// Names of the numbers from `first` on, of which three letters are enough.
    names: &'static [&'static str],
}

const MINUTE: Shape = Shape { name: "minute", first: 0, last: 59, names: &[] };
const HOUR: Shape = Shape { name: "hour", first: 0, last: 23, names: &[] };
const DAY: Shape = Shape { name: "day of month", first: 1, last: 31, names: &[] };
const MONTH: Shape = Shape {
    name: "month",
    first: 1,
    last: 12,
    names: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
};
const WEEKDAY: Shape = Shape {
    name: "day of week",
    first: 0,
    last: 6,
    names: &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"],
};

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Fields, Wrong> {
        let words = words(text);
        if let Some((at, word)) = words.first().filter(|(_, word)| word.starts_with('@')) {
            let spelled_out = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            return match (spelled_out, words.get(1)) {
                (None, _) => Err((format!("unknown schedule `{word}`"), *at..at + word.len())),
                (Some(_), Some((at, more))) => Err((format!("nothing may follow `{word}`"), *at..at + more.len())),
                (Some((_, fields)), None) => Fields::parse(fields),
            };
        }
        match words[..] {
            [minute, hour, day, month, weekday] => Ok(Fields {
                minute: Field::parse(minute, &MINUTE)?,
                hour: Field::parse(hour, &HOUR)?,
                day: Field::parse(day, &DAY)?,
                month: Field::parse(month, &MONTH)?,
                weekday: Field::parse(weekday, &WEEKDAY)?,
            }),
            _ => {
                let count = words.len();
                let message = "a schedule has five fields: minute, hour, day of month, month, day of week";
                Err((format!("{message}; found {count}"), 0..text.len()))
            }
        }
    }

    /// The schedules in the notation of the crate `cron` that together fire when this one does.
    pub(super) fn calendars(&self) -> Vec<String> {
        let calendar = |day: String, weekday: String| {
            format!("0 {} {} {day} {} {weekday} *", self.minute.list(0), self.hour.list(0), self.month.list(0))
        };
        // That crate counts weekdays from 1 for Sunday.
        let (day, weekday) = (self.day.list(0), self.weekday.list(1));
        if self.day.is_restricted() && self.weekday.is_restricted() {
            vec![calendar(day, "*".to_owned()), calendar("*".to_owned(), weekday)]
        } else {
            vec![calendar(day, weekday)]
        }
    }
}

impl Field {
    fn parse((start, text): (usize, &str), shape: &'static Shape) -> Result<Field, Wrong> {
        let mut field = Field { shape, numbers: 0, any: false };
        let mut at = start;
        for item in text.split(',') {
            // Where something is missing, the field is the nearest thing that is there.
            field.add(at, item).map_err(|(message, range)| {
                (message, if range.is_empty() { start..start + text.len() } else { range })
            })?;
            at += item.len() + 1;
        }
        field.any |= !field.is_restricted();
        Ok(field)
    }

    /// Adds one item of the list: `*`, a number, or a range, with or without a step.
    fn add(&mut self, at: usize, item: &str) -> Result<(), Wrong> {
        let shape = self.shape;
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some((at + range.len() + 1, step))),
            None => (item, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => {
                self.any = true;
                (shape.first, shape.last)
            }
            Some((from, to)) => (shape.number(at, from)?, shape.number(at + from.len() + 1, to)?),
            None => {
                let from = shape.number(at, range)?;
                // `5/15` starts at 5 and goes on to the end of the field.
                (from, if step.is_some() { shape.last } else { from })
            }
        };
        let size = shape.last - shape.first + 1;
        let step = match step {
            None => 1,
            Some((at, text)) => match digits(text) {
                Some(step) if (1..=size).contains(&step) => step,
                _ => {
                    let message = format!("a step of the {} is a number from 1 to {size}", shape.name);
                    return Err((message, at..at + text.len()));
                }
            },
        };
        // `0-7` is the whole week and not one day.
        let whole = from < to && shape.in_field(from) == shape.in_field(to);
        let from = shape.in_field(from);
        let length = if whole { size - 1 } else { (shape.in_field(to) + size - from) % size };
        for distance in (0..=length).step_by(step as usize) {
            self.numbers |= 1 << (shape.first + (from - shape.first + distance) % size);
        }
        Ok(())
    }

    fn is_restricted(&self) -> bool {
        (self.shape.first..=self.shape.last).any(|number| !self.has(number))
    }

    fn has(&self, number: u32) -> bool {
        self.numbers & (1 << number) != 0
    }

    /// The numbers as a list, each raised by `base`.
    fn list(&self, base: u32) -> String {
        if !self.is_restricted() {
            return "*".to_owned();
        }
        let numbers = (self.shape.first..=self.shape.last).filter(|number| self.has(*number));
        numbers.map(|number| (number + base).to_string()).collect::<Vec<_>>().join(",")
    }
}

impl Shape {
    /// The number that stands at `at`. Sunday may be 7.
    fn number(&self, at: usize, text: &str) -> Result<u32, Wrong> {
        let wrong = |message: String| Err((message, at..at + text.len()));
        let name = text.to_ascii_lowercase();
        let named = (self.first..).zip(self.names).find(|(_, full)| **full == name || full[..3] == name);
        if let Some((number, _)) = named {
            return Ok(number);
        }
        let last = if self.names.len() == 7 { 7 } else { self.last };
        if text.is_empty() {
            return wrong(format!("a number is missing in the {}", self.name));
        }
        match digits(text) {
            Some(number) if (self.first..=last).contains(&number) => Ok(number),
            _ => wrong(format!("`{text}` is no {}, which goes from {} to {last}", self.name, self.first)),
        }
    }

    /// The number as it counts in the field: Sunday is 0.
    fn in_field(&self, number: u32) -> u32 {
        if number > self.last { self.first } else { number }
    }
}

/// The number that is written in plain digits.
fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The words of a text, each with the byte it starts at.
fn words(text: &str) -> Vec<(usize, &str)> {
    text.split_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word)).collect()
}
