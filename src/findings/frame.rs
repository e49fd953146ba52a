//! Lines of a file in a report that are wider than the terminal: cut, so that what points at them stays below them.

use console::{AnsiCodeIterator, measure_text_width, strip_ansi_codes};

const CUT: &str = "…";
/// How many columns stay visible before a place that is far to the right.
const BEFORE: usize = 20;

/// Cuts the rows of a report that show a file to `width` columns. Those that point at a line move with it.
pub(super) fn cut(report: &str, width: usize) -> String {
    let mut shown = String::new();
    let rows: Vec<&str> = report.split_inclusive('\n').collect();
    let mut next = 0;
    while next < rows.len() {
        let pointers = rows[next + 1..].iter().take_while(|row| gutter(row, '·').is_some()).count();
        let (line, pointers) = (rows[next], &rows[next + 1..next + 1 + pointers]);
        next += 1 + pointers.len();
        match gutter(line, '│').filter(|_| measure_text_width(line.trim_end()) > width) {
            Some(gutter) => cut_line(line, pointers, gutter, width, &mut shown),
            None => {
                shown.push_str(line);
                shown.extend(pointers.iter().copied());
            }
        }
    }
    shown
}

/// The columns before the text of a row whose gutter ends in this sign.
fn gutter(row: &str, sign: char) -> Option<usize> {
    let plain = strip_ansi_codes(row);
    let before = &plain[..plain.find(sign)?];
    before.chars().all(|c| c == ' ' || c.is_ascii_digit()).then_some(before.len() + 2)
}

fn cut_line(line: &str, pointers: &[&str], gutter: usize, width: usize, shown: &mut String) {
    let room = width.saturating_sub(gutter).max(BEFORE);
    let texts = || pointers.iter().map(|row| strip_ansi_codes(row.trim_end()).chars().skip(gutter).collect::<String>());
    let start = texts().map(|text| text.len() - text.trim_start().len()).min().unwrap_or_default();
    let end = texts().map(|text| measure_text_width(&text)).max().unwrap_or_default();
    // The start of the line stays if all that is pointed at can be seen with it.
    let from = if end < room { 0 } else { start.saturating_sub(BEFORE) };
    shown.push_str(&part(line.trim_end(), gutter, from, room, CUT));
    shown.push('\n');
    for row in pointers {
        // A phrase at the end of a row is never cut.
        shown.push_str(&part(row.trim_end(), gutter, from, usize::MAX, " "));
        shown.push('\n');
    }
}

/// A row without the first `from` columns behind its gutter, and with `room` columns at most. `sign` stands where
/// something is missing.
fn part(row: &str, gutter: usize, from: usize, room: usize, sign: &str) -> String {
    let mut shown = String::new();
    let fits = measure_text_width(row).saturating_sub(gutter + from) <= room;
    let last = if fits { room } else { room - 1 }.saturating_add(gutter + from);
    let mut at = 0;
    for (piece, is_code) in AnsiCodeIterator::new(row) {
        if is_code {
            shown.push_str(piece);
            continue;
        }
        for c in piece.chars() {
            let text = c.encode_utf8(&mut [0; 4]).to_owned();
            let (start, end) = (at, at + measure_text_width(&text));
            at = end;
            match () {
                () if end <= gutter || from == 0 && end <= last => shown.push_str(&text),
                // The first column that is left has the sign, and what it cuts in two becomes blank.
                () if start <= gutter + from && end > gutter + from => {
                    shown.push_str(sign);
                    shown.push_str(&" ".repeat(end - gutter - from - 1));
                }
                () if start > gutter + from && end <= last => shown.push_str(&text),
                () => {}
            }
        }
    }
    if !fits {
        shown.push_str(sign);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_fits_stays() {
        let report = "   ╭─[a.yaml:1:1]\n 1 │ short\n   · ──┬──\n   ·   ╰── a phrase\n   ╰────\n";
        assert_eq!(cut(report, 40), report);
        assert_eq!(cut(" 1 │ 12345\n", 10), " 1 │ 12345\n");
        assert_eq!(cut(&format!(" 1 │ {}\n", "x".repeat(26)), 30), format!(" 1 │ {}…\n", "x".repeat(24)));
    }

    #[test]
    fn a_place_far_to_the_right_is_shown() {
        let line = format!("{}bad{}", "x".repeat(60), "y".repeat(60));
        let report = format!(" 7 │ {line}\n   · {}───\n", " ".repeat(60));
        let shown = cut(&report, 40);
        assert_eq!(shown, format!(" 7 │ …{}bad{}…\n   ·  {}───\n", "x".repeat(19), "y".repeat(11), " ".repeat(19)));
    }

    #[test]
    fn wide_signs_and_colours_count_as_what_they_take() {
        let line = "日本".repeat(20);
        let shown = cut(&format!("\u{1b}[2m 7\u{1b}[0m │ {line}\n"), 41);
        assert_eq!(shown, format!("\u{1b}[2m 7\u{1b}[0m │ {}日…\n", "日本".repeat(8)));
    }
}
