//! Methods of strings. Lengths and places count code points.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{Function, Sig, optional, required};
use crate::expr::call::Call;
use crate::expr::eval::{VALUE_CHARS_MAX, brief};
use crate::expr::fault::{Fault, INDEX, LIMIT, OVERFLOW, Outcome, PARSE};
use crate::value::Value;

pub(super) const METHODS: &[Function] = &[
    Function { name: "length", params: &[], result: Sig::Int, doc: "How many code points it has.", run: length },
    Function { name: "lower", params: &[], result: Sig::String, doc: "In lower case.", run: lower },
    Function { name: "upper", params: &[], result: Sig::String, doc: "In upper case.", run: upper },
    Function { name: "trim", params: &[], result: Sig::String, doc: "Without white space at both ends.", run: trim },
    Function {
        name: "contains",
        params: &[required("s", Sig::String)],
        result: Sig::Bool,
        doc: "Whether `s` occurs in it.",
        run: contains,
    },
    Function {
        name: "starts_with",
        params: &[required("s", Sig::String)],
        result: Sig::Bool,
        doc: "Whether it starts with `s`.",
        run: starts_with,
    },
    Function {
        name: "ends_with",
        params: &[required("s", Sig::String)],
        result: Sig::Bool,
        doc: "Whether it ends with `s`.",
        run: ends_with,
    },
    Function {
        name: "replace",
        params: &[required("a", Sig::String), required("b", Sig::String)],
        result: Sig::String,
        doc: "With `b` for every `a`.",
        run: replace,
    },
    Function {
        name: "split",
        params: &[required("sep", Sig::String)],
        result: Sig::List(&Sig::String),
        doc: "The parts between the separators; its code points if the separator is empty.",
        run: split,
    },
    Function {
        name: "slice",
        params: &[required("from", Sig::Int), optional("to", Sig::Int)],
        result: Sig::String,
        doc: "The code points from `from` up to, not including, `to`; what lies outside is left out.",
        run: slice,
    },
    Function {
        name: "truncate",
        params: &[required("n", Sig::Int)],
        result: Sig::String,
        doc: "At most `n` code points, the last one `…` if something was cut.",
        run: truncate,
    },
    Function {
        name: "matches",
        params: &[required("pattern", Sig::Pattern)],
        result: Sig::Bool,
        doc: "Whether the regular expression matches anywhere in it.",
        run: matches,
    },
    Function {
        name: "capture",
        params: &[required("pattern", Sig::Pattern)],
        result: Sig::Nullable(&Sig::String),
        doc: "The first group of the first match, or the match if the pattern has no group, or null.",
        run: capture,
    },
    Function { name: "to_int", params: &[], result: Sig::Int, doc: "The int that it spells.", run: to_int },
    Function { name: "to_number", params: &[], result: Sig::Number, doc: "The number that it spells.", run: to_number },
    Function {
        name: "parse_json",
        params: &[],
        result: Sig::Any,
        doc: "The value of the JSON that it is.",
        run: parse_json,
    },
    Function {
        name: "url_encode",
        params: &[],
        result: Sig::String,
        doc: "With everything but letters, digits and `-._~` percent-encoded.",
        run: url_encode,
    },
    Function { name: "base64", params: &[], result: Sig::String, doc: "Its UTF-8 bytes in Base64.", run: base64 },
    Function {
        name: "sha256",
        params: &[],
        result: Sig::String,
        doc: "The SHA-256 of its UTF-8 bytes in hexadecimal.",
        run: sha256,
    },
    Function {
        name: "hmac_sha256",
        params: &[required("key", Sig::Secret)],
        result: Sig::String,
        doc: "The HMAC-SHA-256 of its UTF-8 bytes in hexadecimal; not secret, even if the key is.",
        run: hmac_sha256,
    },
];

/// The receiver, with the steps for reading it counted.
fn text(call: &mut Call<'_, '_>) -> Result<Arc<str>, Box<Fault>> {
    let text = call.receiver_text()?;
    call.eval.read(text.len())?;
    Ok(text)
}

fn made(call: &mut Call<'_, '_>, text: String) -> Outcome {
    call.eval.make(text.len())?;
    Ok(text.into())
}

fn length(call: &mut Call<'_, '_>) -> Outcome {
    let count = text(call)?.chars().count();
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

fn lower(call: &mut Call<'_, '_>) -> Outcome {
    let lower = text(call)?.to_lowercase();
    made(call, lower)
}

fn upper(call: &mut Call<'_, '_>) -> Outcome {
    let upper = text(call)?.to_uppercase();
    made(call, upper)
}

fn trim(call: &mut Call<'_, '_>) -> Outcome {
    Ok(text(call)?.trim().into())
}

fn contains(call: &mut Call<'_, '_>) -> Outcome {
    Ok(text(call)?.contains(&*call.text(0)?).into())
}

fn starts_with(call: &mut Call<'_, '_>) -> Outcome {
    Ok(text(call)?.starts_with(&*call.text(0)?).into())
}

fn ends_with(call: &mut Call<'_, '_>) -> Outcome {
    Ok(text(call)?.ends_with(&*call.text(0)?).into())
}

fn replace(call: &mut Call<'_, '_>) -> Outcome {
    let (text, old, new) = (text(call)?, call.text(0)?, call.text(1)?);
    // A short text for many places makes a long one, so its size is known before it is made.
    let count = text.matches(&*old).count();
    let grown = (text.len() - count * old.len()).saturating_add(count.saturating_mul(new.len()));
    call.eval.make(grown)?;
    Ok(text.replace(&*old, &new).into())
}

fn split(call: &mut Call<'_, '_>) -> Outcome {
    let (text, separator) = (text(call)?, call.text(0)?);
    let mut parts = Vec::new();
    if separator.is_empty() {
        call.eval.spend(text.chars().count())?;
        parts.extend(text.chars().map(|character| Value::from(&*character.encode_utf8(&mut [0; 4]))));
    } else {
        for part in text.split(&*separator) {
            call.eval.spend(1)?;
            parts.push(Value::from(part));
        }
    }
    Ok(parts.into())
}

fn slice(call: &mut Call<'_, '_>) -> Outcome {
    let text = text(call)?;
    let (from, to) = bounds(call)?;
    let skip = |count: usize| text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
    let (start, end) = (skip(from), skip(to.max(from)));
    Ok(text[start..end].into())
}

/// The places of a `slice`; a negative one is an error, since nothing says from which end it counts.
pub(super) fn bounds(call: &mut Call<'_, '_>) -> Result<(usize, usize), Box<Fault>> {
    let from = place(call, 0)?;
    let to = if call.has(1) { place(call, 1)? } else { usize::MAX };
    Ok((from, to))
}

/// An argument that counts something.
pub(super) fn place(call: &mut Call<'_, '_>, argument: usize) -> Result<usize, Box<Fault>> {
    let value = call.int(argument)?;
    usize::try_from(value)
        .map_err(|_| call.bad(INDEX, argument, format!("{value} counts nothing: it must not be negative")))
}

fn truncate(call: &mut Call<'_, '_>) -> Outcome {
    let (text, most) = (text(call)?, place(call, 0)?);
    if text.char_indices().nth(most).is_none() {
        return Ok(Value::String(text));
    }
    let Some(kept) = most.checked_sub(1) else { return Ok("".into()) };
    let end = text.char_indices().nth(kept).map_or(text.len(), |(at, _)| at);
    Ok(format!("{}…", &text[..end]).into())
}

/// How much slower a regular expression reads than a plain search, at worst.
const PATTERN_COST: usize = 16;

fn matches(call: &mut Call<'_, '_>) -> Outcome {
    let (text, pattern) = (text(call)?, call.regex()?);
    call.eval.read(text.len() * PATTERN_COST)?;
    Ok(pattern.is_match(&text).into())
}

fn capture(call: &mut Call<'_, '_>) -> Outcome {
    let (text, pattern) = (text(call)?, call.regex()?);
    call.eval.read(text.len() * PATTERN_COST)?;
    let Some(groups) = pattern.captures(&text) else { return Ok(Value::Null) };
    let group = if pattern.captures_len() > 1 { groups.get(1) } else { groups.get(0) };
    Ok(group.map(|group| group.as_str()).into())
}

fn to_int(call: &mut Call<'_, '_>) -> Outcome {
    let text = text(call)?;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(PARSE, format!("`{}` is no int", brief(&text, VALUE_CHARS_MAX))));
    }
    let too_large = || Fault::new(OVERFLOW, format!("`{}` does not fit 64 bits", brief(&text, VALUE_CHARS_MAX)));
    text.parse().map(Value::Int).map_err(|_| too_large())
}

fn to_number(call: &mut Call<'_, '_>) -> Outcome {
    let text = text(call)?;
    let no_number = || Fault::new(PARSE, format!("`{}` is no number", brief(&text, VALUE_CHARS_MAX)));
    // Rust also reads `inf`, `nan`, `.5` and `5.`.
    let digit_at_both_ends = |text: &str| {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        digit(text.bytes().next()) && digit(text.bytes().last()) && !text.contains(".e") && !text.contains(".E")
    };
    if !digit_at_both_ends(text.strip_prefix(['-', '+']).unwrap_or(&text)) {
        return Err(no_number());
    }
    let number: f64 = text.parse().map_err(|_| no_number())?;
    crate::expr::arithmetic::number(number)
}

fn parse_json(call: &mut Call<'_, '_>) -> Outcome {
    let text = text(call)?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| Fault::new(PARSE, format!("the text is no JSON: {error}")))?;
    let value = Value::from_json(&json);
    let deep = || Fault::new(LIMIT, "the JSON is larger than 1 MiB or nests deeper than 64 levels");
    value.size_within(crate::expr::RESULT_BYTES_MAX).ok_or_else(deep)?;
    call.eval.measured(&value)?;
    Ok(value)
}

fn url_encode(call: &mut Call<'_, '_>) -> Outcome {
    let text = text(call)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let kept = text.bytes().filter(plain).count();
    call.eval.make(text.len() * 3 - kept * 2)?;
    let mut encoded = String::with_capacity(text.len() * 3 - kept * 2);
    for byte in text.bytes() {
        match plain(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(encoded.into())
}

fn base64(call: &mut Call<'_, '_>) -> Outcome {
    let text = text(call)?;
    call.eval.make(text.len().div_ceil(3) * 4)?;
    Ok(BASE64.encode(text.as_bytes()).into())
}

fn sha256(call: &mut Call<'_, '_>) -> Outcome {
    let text = text(call)?;
    Ok(hex(&Sha256::digest(text.as_bytes())).into())
}

fn hmac_sha256(call: &mut Call<'_, '_>) -> Outcome {
    let (text, key) = (text(call)?, call.text(0)?);
    call.eval.read(key.len())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    Ok(hex(&mac.finalize().into_bytes()).into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
