//! Named parameters in SQL text: where `:name` stands, and how a driver wants it written; and what statements it holds.
//!
//! The scanner knows no dialect. It knows what may hide a colon: strings (`'it''s'`, PostgreSQL's `E'it\'s'`),
//! quoted names (`"…"`, `` `…` ``), comments (`--` to the end of the line, `/* … */`), dollar quotes
//! (`$tag$ … $tag$`) and casts (`::`). What is not closed reaches to the end.

use std::ops::Range;

/// One `:name` in an SQL text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder<'sql> {
    /// The name, without the colon.
    pub name: &'sql str,
    /// The bytes of the text where it stands, colon included.
    pub range: Range<usize>,
}

/// How a database driver wants parameters written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `?` for each use; a name used twice is bound twice.
    Question,
    /// `?1`; one number per name.
    NumberedQuestion,
    /// `$1`; one number per name.
    NumberedDollar,
}

/// The named parameters of an SQL text, in order, repetitions included.
///
/// ```
/// use wf_dsl::sql::placeholders;
/// let found = placeholders("select ':no', a::text from t where b = :yes");
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].name, "yes");
/// ```
pub fn placeholders(sql: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < sql.len() {
        let rest = &sql[at..];
        at += match hidden(sql, at) {
            Some(length) => length,
            None if rest.starts_with("::") => 2,
            None if rest.starts_with(':') => {
                let name = leading_name(&rest[1..]);
                if !name.is_empty() {
                    found.push(Placeholder { name, range: at..at + 1 + name.len() });
                }
                1 + name.len()
            }
            None => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    found
}

/// The first word of each statement of an SQL text, in upper case. Statements are divided by semicolons; what holds no
/// word is none.
///
/// The body of a trigger is taken for statements of its own.
///
/// ```
/// use wf_dsl::sql::first_words;
/// assert_eq!(first_words("insert into t values (';'); -- done\n commit;"), ["INSERT", "COMMIT"]);
/// ```
pub fn first_words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut at, mut begins) = (0, true);
    while at < sql.len() {
        let rest = &sql[at..];
        if let Some(length) = hidden(sql, at) {
            at += length;
            continue;
        }
        let word = leading_name(rest);
        if begins && !word.is_empty() {
            words.push(word.to_ascii_uppercase());
            begins = false;
        }
        begins |= rest.starts_with(';');
        at += rest.chars().next().map_or(1, char::len_utf8).max(word.len());
    }
    words
}

/// The text as a driver wants it, and the names to bind, in order.
///
/// ```
/// use wf_dsl::sql::{Style, rewrite};
/// let (sql, names) = rewrite("set a = :a, b = :b, c = :a", Style::NumberedDollar);
/// assert_eq!(sql, "set a = $1, b = $2, c = $1");
/// assert_eq!(names, ["a", "b"]);
/// ```
pub fn rewrite(sql: &str, style: Style) -> (String, Vec<String>) {
    let mut text = String::with_capacity(sql.len());
    let mut names: Vec<String> = Vec::new();
    let mut written = 0;
    for Placeholder { name, range } in placeholders(sql) {
        text.push_str(&sql[written..range.start]);
        written = range.end;
        let known = names.iter().position(|other| other == name).filter(|_| style != Style::Question);
        let index = known.unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        match style {
            Style::Question => text.push('?'),
            Style::NumberedQuestion => text.push_str(&format!("?{}", index + 1)),
            Style::NumberedDollar => text.push_str(&format!("${}", index + 1)),
        }
    }
    text.push_str(&sql[written..]);
    (text, names)
}

/// The length of what begins at `at` if it can hide a colon or a semicolon: a string, a quoted name, a comment, a
/// dollar quote.
fn hidden(sql: &str, at: usize) -> Option<usize> {
    let (before, rest) = (&sql.as_bytes()[..at], &sql[at..]);
    match rest.as_bytes()[0] {
        b'\'' => Some(quoted(rest, b'\'', is_escape_string(before))),
        quote @ (b'"' | b'`') => Some(quoted(rest, quote, false)),
        b'-' if rest.starts_with("--") => Some(rest.find('\n').unwrap_or(rest.len())),
        b'/' if rest.starts_with("/*") => Some(closed_by(rest, 2, "*/")),
        b'$' if !ends_in_name(before) => Some(dollar_quoted(rest)),
        _ => None,
    }
}

/// The length of a quoted piece at the start of `text`; a doubled quote stands for itself.
fn quoted(text: &str, quote: u8, backslash_escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == b'\\' && backslash_escapes {
            at += 2;
        } else if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    text.len()
}

/// Whether the quote that follows opens PostgreSQL's `E'…'`.
fn is_escape_string(before: &[u8]) -> bool {
    matches!(before, [start @ .., b'e' | b'E'] if !ends_in_name(start))
}

/// The length of a dollar-quoted piece at the start of `text`; 1 if the dollar opens none.
fn dollar_quoted(text: &str) -> usize {
    let tag = leading_name(&text[1..]);
    let opening = 1 + tag.len();
    if !text[opening..].starts_with('$') {
        return opening;
    }
    closed_by(text, opening + 1, &text[..=opening])
}

/// The length up to and with `end`, searched from `from` on.
fn closed_by(text: &str, from: usize, end: &str) -> usize {
    text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
}

fn leading_name(text: &str) -> &str {
    let end = text.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(text.len());
    if text.starts_with(|first: char| first.is_ascii_digit()) { "" } else { &text[..end] }
}

fn ends_in_name(text: &[u8]) -> bool {
    text.last().is_some_and(|byte| is_name_byte(*byte))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Style, first_words, placeholders, rewrite};

    #[test]
    fn parameters_are_found_outside_of_what_hides_them() {
        let table = [
            ("select 1", ""),
            ("where id = :id and x=:x_1", "id x_1"),
            ("(:a,:b)", "a b"),
            ("where a = :a or b = :a", "a a"),
            ("':no' 'it''s :no' :yes", "yes"),
            (r"'\' , :yes", "yes"),
            (r"E'it\'s :no', :yes", "yes"),
            (r"name'\' :yes", "yes"),
            (r#"":no" ":n""o" `:no` :yes"#, "yes"),
            ("-- :no\n:yes -- :no", "yes"),
            ("/* :no */ :yes /* :no", "yes"),
            ("a::text, :yes::int", "yes"),
            ("$$ :no $$ :yes", "yes"),
            ("$fn$ :no $$ :no $fn$ :yes", "yes"),
            ("$1 :yes $2", "yes"),
            ("a$b :yes c$d", "yes"),
            ("':no", ""),
            ("$x$ :no", ""),
            ("a := 1, b[1:2] : :yes", "yes"),
            ("'ä' || :yes || 'ß:no'", "yes"),
            (":", ""),
        ];
        for (sql, expected) in table {
            let found = placeholders(sql);
            let names: Vec<_> = found.iter().map(|found| found.name).collect();
            assert_eq!(names.join(" "), expected, "{sql}");
            for found in found {
                assert_eq!(&sql[found.range], format!(":{}", found.name), "{sql}");
            }
        }
    }

    #[test]
    fn statements_are_known_by_their_first_words() {
        let table = [
            ("", ""),
            (" ; ;", ""),
            ("select 1", "SELECT"),
            ("-- commit;\n/* end; */ select ';', \";\", $$ ; $$;", "SELECT"),
            ("(select 1)", "SELECT"),
            ("begin; update t set a = 1; commit", "BEGIN UPDATE COMMIT"),
            ("insert into t values ('ä'); rollback to x;", "INSERT ROLLBACK"),
        ];
        for (sql, words) in table {
            assert_eq!(first_words(sql).join(" "), words, "{sql}");
        }
    }

    #[test]
    fn each_style_is_written_as_its_driver_wants_it() {
        let sql = "update t set a = :a, b = ':a' where c = :c and a <> :a";
        let table = [
            (Style::Question, "update t set a = ?, b = ':a' where c = ? and a <> ?", "a c a"),
            (Style::NumberedQuestion, "update t set a = ?1, b = ':a' where c = ?2 and a <> ?1", "a c"),
            (Style::NumberedDollar, "update t set a = $1, b = ':a' where c = $2 and a <> $1", "a c"),
        ];
        for (style, text, names) in table {
            let found = rewrite(sql, style);
            assert_eq!((found.0.as_str(), found.1.join(" ").as_str()), (text, names), "{style:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_scanned(sql in r#"[a:$'"`/*\-\\\n1é ]{0,40}"#) {
            let (text, names) = rewrite(&sql, Style::Question);
            prop_assert_eq!(names.len(), placeholders(&sql).len());
            prop_assert!(text.len() <= sql.len());
            prop_assert!(first_words(&sql).len() <= sql.len());
        }
    }
}
