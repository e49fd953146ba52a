//! The keys of a step beside its kind.

/// A modifier and the kinds that it may stand beside.
struct Modifier {
    key: &'static str,
    /// The kinds of the core; those of a catalog are `effects`.
    core: &'static [&'static str],
    effects: bool,
    /// Where it belongs, for the help.
    only_on: &'static str,
}

/// The kinds that the language itself has, in the order of the specification.
pub(crate) const CORE_KINDS: [&str; 12] = [
    "send_event",
    "invoke",
    "set",
    "sleep",
    "sleep_until",
    "wait",
    "switch",
    "parallel",
    "for_each",
    "do",
    "fail",
    "finish",
];

const ENDS: &str = "steps that go on, not on `fail` and `finish`";
const BLOCKS: &str = "effects, `invoke`, `do`, `parallel` and `for_each`";
const GOES_ON: &[&str] =
    &["send_event", "invoke", "set", "sleep", "sleep_until", "wait", "switch", "parallel", "for_each", "do"];

const MODIFIERS: [Modifier; 12] = [
    Modifier { key: "id", core: &CORE_KINDS, effects: true, only_on: "" },
    Modifier { key: "description", core: &CORE_KINDS, effects: true, only_on: "" },
    Modifier { key: "if", core: &CORE_KINDS, effects: true, only_on: "" },
    Modifier { key: "returns", core: &["invoke"], effects: true, only_on: "effects and `invoke`" },
    Modifier { key: "returns[]", core: &["invoke"], effects: true, only_on: "effects and `invoke`" },
    Modifier { key: "retry", core: &["invoke", "do", "parallel", "for_each"], effects: true, only_on: BLOCKS },
    Modifier { key: "timeout", core: &["invoke", "do", "parallel", "for_each"], effects: true, only_on: BLOCKS },
    Modifier { key: "idempotency_key", core: &[], effects: true, only_on: "effects" },
    Modifier { key: "undo", core: GOES_ON, effects: true, only_on: ENDS },
    Modifier { key: "catch", core: &CORE_KINDS, effects: true, only_on: "" },
    Modifier { key: "finally", core: &["do"], effects: false, only_on: "`do` and the workflow" },
    Modifier { key: "next", core: GOES_ON, effects: true, only_on: ENDS },
];

/// Whether a key of a step is a modifier.
pub(crate) fn is_modifier(key: &str) -> bool {
    MODIFIERS.iter().any(|modifier| modifier.key == key)
}

/// All modifiers.
pub(super) fn modifiers() -> impl Iterator<Item = &'static str> {
    MODIFIERS.iter().map(|modifier| modifier.key)
}

/// Where a modifier belongs, if it has no meaning beside this kind.
pub(super) fn misplaced(modifier: &str, kind: &str) -> Option<&'static str> {
    let modifier = MODIFIERS.iter().find(|known| known.key == modifier)?;
    let allowed = if CORE_KINDS.contains(&kind) { modifier.core.contains(&kind) } else { modifier.effects };
    if allowed { None } else { Some(modifier.only_on) }
}
