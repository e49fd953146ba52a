//! Words of others within our own messages.

/// How much of them a message repeats.
const WORDS_CHARS_MAX: usize = 300;

/// What a peer or a step says, fit for a message: one line, not too long, and nothing if it holds a secret.
pub(crate) fn quotable(words: &str, secrets: &[String]) -> String {
    if holds_any(words, secrets) {
        return String::new();
    }
    let is_between = |c: char| c.is_whitespace() || c.is_control();
    let line: Vec<_> = words.split(is_between).filter(|word| !word.is_empty()).collect();
    line.join(" ").chars().take(WORDS_CHARS_MAX).collect()
}

/// Whether a text holds one of the secrets.
pub(crate) fn holds_any(text: &str, secrets: &[String]) -> bool {
    secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_line_without_secrets() {
        let secrets = ["s3cret".to_owned(), String::new()];
        assert_eq!(quotable("no\r\n  such\x1b[1m user\0", &secrets), "no such [1m user");
        assert_eq!(quotable("password s3cret is wrong", &secrets), "");
        assert_eq!(quotable(&"é".repeat(WORDS_CHARS_MAX + 1), &secrets).chars().count(), WORDS_CHARS_MAX);
    }
}
