//! What is wrong with a text that the grammar refuses, in words of the language.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::ast::At;
use super::parse::{Rule, Wrong};
use super::print::KEYWORDS;
use super::scan::place;

/// What other languages write, and what to write here; the longer come first.
const LOOKALIKES: [(&str, &str); 16] = [
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("===", "write `==`"),
    ("!==", "write `!=`"),
    ("<>", "write `!=`"),
    ("**", "there is no power operator"),
    ("{{", "write the expression without further braces"),
    ("=>", "a function such as `x => …` stands only as an argument, with its parameters as `x` or `(x, i)`"),
    ("=", "to compare write `==`; fields of objects are written `{name = value}`"),
    ("!", "write `not`"),
    ("?", "write `if … then … else …`, or `??` for a value in place of null"),
    (":", "fields of objects are written `{name = value}`, conditions `if … then … else …`"),
    (";", "an expression has no statements"),
    ("&", "write `and`"),
    ("|", "write `or`; functions are called as methods: `value.upper()`"),
    ("`", "strings stand in `\"` or `'`"),
];

/// Turns what the parser reports into what the author can do.
pub(super) fn explain(text: &str, error: &Error<Rule>) -> Wrong {
    let start = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let (expected, out_of_bounds) = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => (positives.as_slice(), false),
        ErrorVariant::CustomError { .. } => (&[][..], true),
    };
    if out_of_bounds {
        // The stack is almost used up by the caller, since our own nesting is bounded.
        return Wrong::new(place(0, text.len()), "the expression nests too deep to be read here");
    }
    let start = floor(text, start);
    let rest = &text[start..];
    if text.trim().is_empty() {
        return Wrong::new(place(0, text.len()), "the expression is empty").help("write a value between `${` and `}`");
    }
    if rest.trim().is_empty() {
        let end = text.trim_end().len();
        let last = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
        return Wrong::new(place(last, end), format!("the expression ends where {} is expected", words(expected)));
    }
    let skipped = rest.len() - rest.trim_start().len();
    let (start, rest) = (start + skipped, rest.trim_start());
    special(text, start, rest, expected).unwrap_or_else(|| {
        let end = start + token_length(rest);
        let found = &text[start..end];
        Wrong::new(place(start, end), format!("expected {}, found `{found}`", words(expected)))
    })
}

/// Mistakes that deserve advice of their own.
fn special(text: &str, start: usize, rest: &str, expected: &[Rule]) -> Option<Wrong> {
    let token = |length: usize| place(start, start + length);
    let length = token_length(rest);
    let written = &rest[..length];

    let word = word_around(text, start);
    let word_text = &text[word.start as usize..word.end as usize];
    if word_text.starts_with(|first: char| first.is_ascii_digit()) {
        return Some(number_like(word, word_text));
    }
    if let Some(after_dot) = member_position(text, start) {
        let name = &text[after_dot..after_dot + token_length(&text[after_dot..])];
        let wrong =
            Wrong::new(place(after_dot, after_dot + name.len()), format!("`{name}` is no name to write after a dot"));
        return Some(wrong.help(format!("write `.get(\"{name}\")`")));
    }
    if rest.starts_with('@') {
        let end = rest.find([' ', ',', ')', ']', '}', '\n']).unwrap_or(rest.len());
        let wrong = Wrong::new(token(end), format!("`{}` is no timestamp", &rest[..end]));
        return Some(wrong.help("write `@2025-10-01T09:00:00Z`, with the time and `Z` or an offset"));
    }
    if !expected.contains(&Rule::comparator)
        && ["==", "!=", "<", ">", "in "].iter().any(|symbol| rest.starts_with(symbol))
        && !["===", "!==", "<>"].iter().any(|symbol| rest.starts_with(symbol))
        && !expects_value(expected)
    {
        let symbol = if rest.starts_with("in ") { 2 } else { length };
        return Some(Wrong::new(token(symbol), "comparisons do not chain").help("write `a < b and b < c`"));
    }
    if ["not", "if"].contains(&written) && expects_value(expected) {
        return Some(
            Wrong::new(token(length), format!("`{written}` needs parentheses here"))
                .help(format!("write `({written} …)`")),
        );
    }
    if rest.starts_with('-') && expects_value(expected) {
        return Some(Wrong::new(token(1), "a second sign needs parentheses").help("write `(-x)`"));
    }
    for (symbol, advice) in LOOKALIKES {
        if rest.starts_with(symbol) {
            return Some(
                Wrong::new(token(symbol.len()), format!("`{symbol}` is not part of expressions")).help(advice),
            );
        }
    }
    if rest.starts_with(['“', '”', '„', '‘', '’', '«', '»']) {
        return Some(
            Wrong::new(token(length), format!("`{written}` is no quote of expressions"))
                .help("strings stand in `\"` or `'`"),
        );
    }
    if let Some(spelled) =
        [("AND", "and"), ("OR", "or"), ("NOT", "not"), ("IN", "in"), ("is", "=="), ("null", "== null")]
            .iter()
            .find_map(|(other, ours)| (*other == written).then_some(ours))
    {
        return Some(
            Wrong::new(token(length), format!("`{written}` is no operator")).help(format!("write `{spelled}`")),
        );
    }
    None
}

fn number_like(at: At, word: &str) -> Wrong {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    if word.starts_with('0') && digits > 1 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        let plain = word.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        return Wrong::new(at, format!("`{word}` has a leading zero"))
            .help(format!("write `{plain}`, or `\"{word}\"` for a text"));
    }
    Wrong::new(at, format!("`{word}` is neither a number nor a duration"))
        .help("durations are written `1h30m`, with the units ms, s, m, h, d and w and without fractions")
}

/// The word of letters, digits, `_` and dots between digits that `at` lies in.
fn word_around(text: &str, at: usize) -> At {
    let bytes = text.as_bytes();
    let in_word = |at: usize| {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        match bytes.get(at) {
            Some(b'.') => at > 0 && digit(bytes.get(at - 1)) && digit(bytes.get(at + 1)),
            Some(byte) => word(byte),
            None => false,
        }
    };
    let mut start = at;
    while start > 0 && in_word(start - 1) {
        start -= 1;
    }
    let mut end = at;
    while in_word(end) {
        end += 1;
    }
    place(start, end.max(start))
}

/// Where the member name starts if `at` is right behind a dot, or in the name behind it.
fn member_position(text: &str, at: usize) -> Option<usize> {
    let name_at = word_around(text, at).start as usize;
    let before = text[..name_at].trim_end();
    let rest = &text[name_at..];
    let word = rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let refused =
        KEYWORDS.contains(&&rest[..token_length(rest)]) || !rest.starts_with(|first: char| first.is_ascii_alphabetic());
    (word && refused && before.ends_with('.')).then_some(name_at)
}

/// The length of the word or sign that a text starts with.
fn token_length(rest: &str) -> usize {
    let word = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if word > 0 {
        return word;
    }
    if ["==", "!=", "<=", ">=", "??", "?."].iter().any(|symbol| rest.starts_with(symbol)) {
        return 2;
    }
    rest.chars().next().map_or(0, char::len_utf8)
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn expects_value(expected: &[Rule]) -> bool {
    let values = [Rule::expr, Rule::primary, Rule::postfix, Rule::literal, Rule::conditional, Rule::unary];
    expected.iter().any(|rule| values.contains(rule) || *rule == Rule::null)
}

/// What the grammar expects, in words.
fn words(expected: &[Rule]) -> String {
    if expects_value(expected) {
        return "a value".to_owned();
    }
    let mut words: Vec<&str> = Vec::new();
    for rule in expected {
        let word = match rule {
            Rule::name => "a name",
            Rule::then_word => "`then`",
            Rule::else_word => "`else`",
            Rule::close_paren => "`)`",
            Rule::close_bracket => "`]`",
            Rule::close_brace => "`}`",
            Rule::equals => "`=`",
            Rule::arrow => "`=>`",
            Rule::EOI => "the end",
            _ => "an operator",
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    match words.as_slice() {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
