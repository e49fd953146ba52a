//! Every code that a diagnostic can have, with the page that explains it.

use crate::diagnostic::Severity;

/// A diagnostic's code, such as `wf::next`. Once released, a code keeps its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

/// What there is to know about a [`Code`].
#[derive(Clone, Copy, Debug)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// How bad it usually is.
    pub severity: Severity,
    /// The rule in one line.
    pub summary: &'static str,
    /// `spec/errors/<name>.md`: what it means, a file that shows it, the same file put right.
    pub page: &'static str,
}

impl Code {
    /// The whole code, such as `wf::next`.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The code without `wf::`, which is also the name of its page.
    pub fn name(self) -> &'static str {
        self.0.strip_prefix("wf::").unwrap_or(self.0)
    }

    /// All codes, errors first, in the order of the specification.
    pub fn all() -> &'static [CodeInfo] {
        ALL
    }

    /// Finds a code by its name, with or without `wf::`.
    pub fn find(name: &str) -> Option<&'static CodeInfo> {
        let name = name.strip_prefix("wf::").unwrap_or(name);
        ALL.iter().find(|info| info.code.name() == name)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

macro_rules! codes {
    ($($severity:ident $constant:ident $name:literal: $summary:literal,)*) => {
        impl Code {
            $(#[doc = $summary] pub const $constant: Code = Code(concat!("wf::", $name));)*
        }

        const ALL: &[CodeInfo] = &[$(CodeInfo {
            code: Code::$constant,
            severity: Severity::$severity,
            summary: $summary,
            page: include_str!(concat!("../../spec/errors/", $name, ".md")),
        },)*];
    };
}

codes! {
    Error YAML "yaml": "the file is not YAML as wf reads it, or is over a limit",
    Error UNKNOWN_KEY "unknown_key": "this key has no meaning here",
    Error STEP_KIND "step_kind": "a step has no kind, two kinds, or a kind that is refused at its place",
    Error STEP_ID "step_id": "a step's id is missing, taken, reserved or not snake_case",
    Error FIELD "field": "a field is missing or has the wrong shape",
    Error NEXT "next": "`next` names a step that cannot be reached from here",
    Error UNREACHABLE "unreachable": "no run can ever reach this step or case",
    Error NO_EXIT "no_exit": "no end of the workflow can be reached from here",
    Error BUSY_CYCLE "busy_cycle": "a loop that never sleeps or waits",
    Error UNCOVERED_SWITCH "uncovered_switch": "the cases of a `switch` may all be false",
    Error ENDLESS_INVOKE "endless_invoke": "workflows that invoke each other without a pause",
    Error UNKNOWN_NAME "unknown_name": "a name that is not declared anywhere",
    Error NEVER_RAN "never_ran": "a reference to a step that has never run here",
    Error MAY_NOT_HAVE_RUN "may_not_have_run": "a reference to a step that may not have run here",
    Error OUT_OF_SCOPE "out_of_scope": "a reference into or between loops or branches",
    Error TYPE_MISMATCH "type_mismatch": "an expression has the wrong type",
    Error MAYBE_NULL "maybe_null": "a value that may be null where null is not allowed",
    Error EXPRESSION "expression": "an expression that cannot be read, or stands where none is allowed",
    Error SET "set": "`set` of a variable that is not declared, or across a concurrent scope",
    Error SECRET_LEAK "secret_leak": "a secret flows into a field that is shown or stored",
    Error IMPOSSIBLE_VALUE "impossible_value": "a comparison with a value that cannot occur",
    Error EVENT "event": "an event type that is unknown, badly declared, or does not fit",
    Error INVOKE "invoke": "an invoked workflow that is unknown or does not fit",
    Error TEMPLATE "template": "a template that is missing, or whose parameters do not fit",
    Error SQL_PARAMS "sql_params": "the parameters in `sql` and `params` differ",
    Error LITERAL "literal": "a duration, timestamp, schedule, zone or pattern that cannot be read",
    Error DEADLINE "deadline": "a constant deadline or timeout that cannot work",
    Error CRON_NEVER_FIRES "cron_never_fires": "a schedule that never comes",
    Warning DUPLICATE_EFFECT "duplicate_effect": "a retry may visibly repeat this effect",
    Warning PAST_DEADLINE "past_deadline": "a `sleep_until` that may be past already",
    Warning UNBOUNDED_WAIT "unbounded_wait": "a `wait` that may never end",
    Warning WAIT_ORDER "wait_order": "the second of two waits may miss its event",
    Warning UNCORRELATED_WAIT "uncorrelated_wait": "a `wait` that takes anybody's event",
    Warning UNKEYED_LOOP "unkeyed_loop": "a loop with effects and without `key` or bound",
    Warning RACING_EFFECT "racing_effect": "an effect in a branch that may lose",
    Warning UNUSED "unused": "something is declared and never used",
    Warning DEAD_HANDLER "dead_handler": "a handler that can never match",
    Warning YAML_TRAP "yaml_trap": "a value that other YAML readers take for something else",
    Warning CONSTANT_CONDITION "constant_condition": "a condition that is always the same",
    Warning NO_MUTEX "no_mutex": "a `concurrency` of one in a workflow that parks",
    Warning DANGLING_EVENT "dangling_event": "an event that nobody sends or nobody consumes",
    Warning IMPOSSIBLE_COMPARISON "impossible_comparison": "a comparison that is always false by type",
}
