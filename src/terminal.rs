//! The two streams: stdout for data, stderr for talk, each with its own look.

use std::io::{self, IsTerminal, Write};

use console::{Style, Term};

use crate::exit::{Exit, Failure};

/// The width of lines where no terminal says otherwise.
const WIDTH: usize = 80;
/// Longer lines are hard to read, however wide the terminal is.
const WIDTH_MAX: usize = 120;
const WIDTH_MIN: usize = 40;

/// What one of the streams can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Somebody looks at it, now.
    pub(crate) is_terminal: bool,
    /// Colours may be used; nothing depends on them.
    pub(crate) colour: bool,
    /// Columns for text that is wrapped.
    pub(crate) width: usize,
    /// Columns that there are.
    pub(crate) columns: usize,
}

impl Look {
    pub(crate) fn stdout() -> Look {
        Look::of(io::stdout().is_terminal(), &Term::stdout())
    }

    pub(crate) fn stderr() -> Look {
        Look::of(io::stderr().is_terminal(), &Term::stderr())
    }

    fn of(is_terminal: bool, term: &Term) -> Look {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = term.size_checked().map_or(WIDTH, |(_, columns)| usize::from(columns));
        Look {
            is_terminal,
            colour: is_terminal && !dumb && !is_set("NO_COLOR"),
            width: width.clamp(WIDTH_MIN, WIDTH_MAX),
            columns: width.max(WIDTH_MIN),
        }
    }

    fn paint(self, text: &str, style: Style) -> String {
        style.force_styling(self.colour).apply_to(text).to_string()
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(text, Style::new().dim())
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint(text, Style::new().red())
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint(text, Style::new().green())
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint(text, Style::new().yellow())
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint(text, Style::new().cyan())
    }
}

/// Writes data to stdout. A reader that has seen enough (`wf kinds | head`) is no failure.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr. Where nobody can hear it, nobody is told.
pub(crate) fn talk(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A text in lines of at most `width` columns where its words allow it, each with a line break. All but the first begin
/// at column `indent`.
pub(crate) fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split_inclusive(' ') {
        let columns = console::measure_text_width(word.trim_end_matches(' '));
        if used > indent && used + columns > width {
            lines.push_str(line.trim_end());
            lines.push('\n');
            (line, used) = (" ".repeat(indent), indent);
        }
        line.push_str(word);
        used += console::measure_text_width(word);
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}

/// A text from a file or an event, without what would steer the terminal. Its bytes are as many as before.
pub(crate) fn harmless(text: &str) -> String {
    let stand_in = |c: char| match c {
        '\n' | '\t' => c,
        '\r' => ' ',
        c if c.is_ascii_control() => '?',
        '\u{80}'..='\u{9f}' => '¿',
        '\u{61c}' => '¿',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(stand_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_replaced_byte_for_byte() {
        let text = "a\u{1b}[31m\u{9b}b\u{202e}c\u{61c}\r\n\té\u{7f}";
        let shown = harmless(text);
        assert_eq!(shown.len(), text.len());
        assert_eq!(shown, "a?[31m¿b\u{fffd}c¿ \n\té?");
    }

    #[test]
    fn texts_are_wrapped_at_words() {
        assert_eq!(wrapped("", 2, 10), "\n");
        assert_eq!(wrapped("aa bb cc dd", 2, 8), "aa bb cc\n  dd\n");
        assert_eq!(wrapped("  a   a long text", 6, 12), "  a   a long\n      text\n");
        assert_eq!(wrapped("unbreakable", 2, 4), "unbreakable\n");
    }

    #[test]
    fn without_colour_a_text_is_itself() {
        let plain = Look { is_terminal: false, colour: false, width: 80, columns: 80 };
        assert_eq!(plain.red("x"), "x");
        assert_eq!(Look { colour: true, ..plain }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
