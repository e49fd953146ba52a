//! What is wrong with a text that the grammar refuses, in words of the language.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::ast::At;
use super::parse::{Rule, Wrong};
use super::print::is_name;
use super::scan::place;

/// What other languages write, and what to write here; the longer come first.
const LOOKALIKES: [(&str, &str); 12] = [
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("===", "write `==`"),
    ("!==", "write `!=`"),
    ("=>", "a function such as `x => …` stands only as an argument, with its parameters as `x` or `(x, i)`"),
    ("=", "to compare write `==`; fields of objects are written `{name = value}`"),
    ("!", "write `not`"),
    ("?", "write `if … then … else …`, or `??` for a value in place of null"),
    (":", "fields of objects are written `{name = value}`, conditions `if … then … else …`"),
    (";", "an expression has no statements"),
    ("&", "write `and`"),
    ("|", "write `or`; functions are called as methods: `value.upper()`"),
];

/// The same for signs whose first half is an operator or bracket, so that the parser stops at the second.
const SECOND_HALVES: [(&str, &str); 5] = [
    ("<>", "write `!=`"),
    ("**", "there is no power operator"),
    ("//", "for whole numbers write `div(a, b)`; comments stand outside of expressions"),
    ("++", "variables change in a `set` step"),
    ("{{", "write the expression without further braces"),
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

    if let Some(after_dot) = member_position(text, start) {
        let end = text[after_dot..]
            .find(|next: char| !next.is_alphanumeric() && next != '_')
            .unwrap_or(text.len() - after_dot);
        let name = &text[after_dot..after_dot + end];
        let wrong = Wrong::new(place(after_dot, after_dot + end), format!("`{name}` is no name to write after a dot"));
        return Some(wrong.help(format!("write `.get(\"{name}\")`")));
    }
    let word = word_around(text, start);
    let word_text = &text[word.start as usize..word.end as usize];
    if word_text.starts_with(|first: char| first.is_ascii_digit()) {
        return Some(number_like(word, word_text));
    }
    if rest.starts_with('.') && rest[1..].starts_with(|next: char| next.is_ascii_digit()) {
        let digits = 1 + token_length(&rest[1..]);
        return Some(
            Wrong::new(token(digits), "a number starts with a digit").help(format!("write `0{}`", &rest[..digits])),
        );
    }
    if rest.starts_with(|first: char| first == '_' || first.is_alphabetic() && !first.is_ascii()) {
        let help = "names have letters from a to z, digits and `_`, and start with a letter";
        return Some(Wrong::new(token(length), format!("`{written}` cannot stand here in a name")).help(help));
    }
    for (symbol, advice) in SECOND_HALVES {
        if rest.starts_with(&symbol[1..]) && text[..start].ends_with(&symbol[..1]) {
            let wrong = Wrong::new(place(start - 1, start + 1), format!("`{symbol}` is not part of expressions"));
            return Some(wrong.help(advice));
        }
    }
    if rest.starts_with('`') {
        return Some(
            Wrong::new(token(1), "a backtick is not part of expressions").help("strings stand in `\"` or `'`"),
        );
    }
    if let Some(wrong) =
        text[..start].trim_end().strip_suffix("NOT").map(|before| place(before.len(), before.len() + 3))
    {
        return Some(Wrong::new(wrong, "`NOT` is no operator").help("write `not`"));
    }
    if rest.starts_with('@') {
        let end = rest.find([' ', ',', ')', ']', '}', '\n']).unwrap_or(rest.len());
        let wrong = Wrong::new(token(end), format!("`{}` is no timestamp", &rest[..end]));
        return Some(wrong.help("write `@2025-10-01T09:00:00Z`, with the time and `Z` or an offset"));
    }
    if !expected.contains(&Rule::comparator)
        && ["==", "!=", "<", ">", "in "].iter().any(|symbol| rest.starts_with(symbol))
        && !["===", "!=="].iter().any(|symbol| rest.starts_with(symbol))
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

/// The word of letters, digits, `_` and dots between digits that `at` lies in; empty if it lies in none.
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
    if !in_word(at) {
        return place(at, at);
    }
    let mut start = at;
    while start > 0 && in_word(start - 1) {
        start -= 1;
    }
    let mut end = at;
    while in_word(end) {
        end += 1;
    }
    place(start, end)
}

/// Where the member name starts that `at` lies in, if no name like this can stand behind a dot.
fn member_position(text: &str, at: usize) -> Option<usize> {
    let inside = |character: char| character.is_alphanumeric() || character == '_';
    let start = text[..at]
        .rfind(|before| !inside(before))
        .map_or(0, |last| last + text[last..].chars().next().map_or(1, char::len_utf8));
    let name = &text[start..text[at..].find(|after| !inside(after)).map_or(text.len(), |length| at + length)];
    let behind_dot = text[..start].trim_end().ends_with('.');
    let number = text[..start].trim_end().trim_end_matches('.').ends_with(|last: char| last.is_ascii_digit());
    (behind_dot && !number && !name.is_empty() && !is_name(name)).then_some(start)
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

/// The rules that begin a value. Which of them the parser names depends on how far it came.
fn is_value(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::expr
            | Rule::argument
            | Rule::conditional
            | Rule::disjunction
            | Rule::conjunction
            | Rule::negation
            | Rule::comparison
            | Rule::coalesce
            | Rule::additive
            | Rule::multiplicative
            | Rule::unary
            | Rule::postfix
            | Rule::primary
            | Rule::literal
    )
}

fn expects_value(expected: &[Rule]) -> bool {
    expected.iter().any(|rule| is_value(*rule))
}

/// What the grammar expects, in words.
fn words(expected: &[Rule]) -> String {
    // Where a value is expected, its first signs are not listed one by one.
    let value = expects_value(expected);
    let mut words: Vec<&str> = if value { vec!["a value"] } else { Vec::new() };
    for rule in expected {
        let word = match rule {
            rule if is_value(*rule) => continue,
            Rule::name => "a name",
            Rule::then_word => "`then`",
            Rule::else_word => "`else`",
            Rule::close_paren => "`)`",
            Rule::close_bracket => "`]`",
            Rule::close_brace => "`}`",
            Rule::equals => "`=`",
            Rule::arrow => "`=>`",
            Rule::EOI => "the end",
            Rule::minus | Rule::not_word | Rule::if_word | Rule::lambda | Rule::root | Rule::call if value => continue,
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
