//! The nearest of the names that would have been right.

/// The candidate that `written` was most probably meant to be; none if nothing is near.
///
/// Near is at most one mistake for names of up to four characters, two up to eight, otherwise three; swapping two
/// neighbours is one mistake. Upper and lower case count as the same at first, and the first of equally near
/// candidates wins. A candidate equal to `written` is never suggested.
///
/// ```
/// use wf_dsl::suggest;
/// assert_eq!(suggest("htpp", ["http", "email"]), Some("http"));
/// assert_eq!(suggest("ContactID", ["contactId"]), Some("contactId"));
/// assert_eq!(suggest("queue", ["http", "email"]), None);
/// ```
pub fn suggest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let written_lower = written.to_lowercase();
    let length = written_lower.chars().count();
    let mistakes_max = match length {
        0..=1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut nearest = None;
    for candidate in candidates {
        // A far shorter or longer name cannot be near; telling that first keeps long lists cheap.
        if candidate == written || candidate.len().abs_diff(written.len()) > 4 * mistakes_max {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&written_lower, &candidate.to_lowercase());
        let near = distance <= mistakes_max && distance < length;
        if near && nearest.is_none_or(|(_, best)| distance < best) {
            nearest = Some((candidate, distance));
        }
    }
    nearest.map(|(candidate, _)| candidate)
}

/// The help that goes with a [`suggest`]ion: "did you mean `http`?"
pub fn did_you_mean<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    suggest(written, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// How many names a help lists.
const NAMES_LISTED_MAX: usize = 8;

/// Names for a help: "`a`, `b`", and `…` for those that are too many.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter().map(|name| format!("`{name}`"));
    let mut listed: Vec<String> = names.by_ref().take(NAMES_LISTED_MAX).collect();
    listed.extend(names.next().map(|_| "…".to_owned()));
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let names = ["http", "email", "db.query", "db.exec", "send_event", "for_each"];
        for (written, meant) in [
            ("htpp", Some("http")),
            ("HTTP", Some("http")),
            ("emial", Some("email")),
            ("db.qeury", Some("db.query")),
            ("sendevent", Some("send_event")),
            ("foreach", Some("for_each")),
            ("http", None),
            ("x", None),
            ("", None),
            ("telephone", None),
        ] {
            assert_eq!(suggest(written, names), meant, "{written}");
        }
    }

    #[test]
    fn the_limit_grows_with_the_name() {
        assert_eq!(suggest("ab", ["ac"]), Some("ac"));
        assert_eq!(suggest("ab", ["cd"]), None);
        assert_eq!(suggest("abcde", ["abxye"]), Some("abxye"));
        assert_eq!(suggest("abcde", ["axxxe"]), None);
        assert_eq!(suggest("abcdefghi", ["abcxxxghi"]), Some("abcxxxghi"));
        assert_eq!(suggest("abcdefghi", ["abxxxxghi"]), None);
    }

    #[test]
    fn help_is_a_question() {
        assert_eq!(did_you_mean("htpp", ["http"]).as_deref(), Some("did you mean `http`?"));
        assert_eq!(did_you_mean("htpp", ["email"]), None);
    }
}
