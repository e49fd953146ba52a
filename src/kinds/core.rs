//! The kinds that are parts of the language.

use crate::terminal::Look;

/// A kind that every engine executes by itself.
pub(super) struct Core {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// Steps that show it.
    example: &'static str,
}

impl Core {
    pub(super) fn page(&self, look: Look) -> String {
        let example: String = self.example.lines().map(|line| format!("  {line}\n")).collect();
        format!("{}: {}\n\n{}\n{example}", look.bold(self.name), self.description, look.bold("Example"))
    }
}

pub(super) fn find(name: &str) -> Option<&'static Core> {
    ALL.iter().find(|core| core.name == name)
}

pub(super) const ALL: &[Core] = &[
    Core {
        name: "set",
        description: "Gives variables new values.",
        example: "- id: count
  set:
    tries: ${ vars.tries + 1 }",
    },
    Core {
        name: "switch",
        description: "Goes on with the first case whose condition is true.",
        example: "- id: route
  switch:
    - when: ${ vars.tries > 3 }
      steps:
        - id: complain
          log:
            message: this takes long
    - when: true",
    },
    Core {
        name: "do",
        description: "Groups steps, for a shared `if`, `timeout`, `catch` or `retry`.",
        example: "- id: both
  do:
    - id: first
      log:
        message: one
    - id: second
      log:
        message: two
  timeout: 1h",
    },
    Core {
        name: "parallel",
        description: "Runs branches side by side, and joins them.",
        example: "- id: side_by_side
  parallel:
    join: settled
    branches:
      left:
        - id: go_left
          log:
            message: left
      right:
        - id: go_right
          log:
            message: right",
    },
    Core {
        name: "for_each",
        description: "Runs steps for each item of a list.",
        example: "- id: each
  for_each:
    in: ${ [\"a\", \"b\"] }
    as: letter
    key: ${ letter }
    concurrency: 2
    steps:
      - id: say
        log:
          message: ${ letter }",
    },
    Core {
        name: "sleep",
        description: "Sleeps for a while; the run survives in the store.",
        example: "- id: pause
  sleep: 3d",
    },
    Core {
        name: "sleep_until",
        description: "Sleeps until an instant.",
        example: "- id: new_year
  sleep_until: ${ timestamp(\"2031-01-01T00:00:00Z\") }",
    },
    Core {
        name: "wait",
        description: "Waits for the first of several events, or a deadline.",
        example: "- id: paid_or_late
  wait:
    - event: invoice.paid
      match:
        id: ${ event.data.id }
    - after: 14d",
    },
    Core {
        name: "send_event",
        description: "Sends an event, which may start other workflows.",
        example: "- id: tell
  send_event:
    name: invoice.paid
    data:
      id: abc",
    },
    Core {
        name: "invoke",
        description: "Runs another workflow and waits for its output.",
        example: "- id: call
  invoke:
    workflow: other
    with:
      id: abc",
    },
    Core {
        name: "fail",
        description: "Fails the run, the branch or the iteration.",
        example: "- id: give_up
  fail:
    code: order.unknown
    message: there is no such order",
    },
    Core {
        name: "finish",
        description: "Ends the run with an output.",
        example: "- id: done
  finish:
    tries: ${ vars.tries }",
    },
];

#[cfg(test)]
mod tests {
    use wf_dsl::{InputFile, Project, ProjectInput};

    use super::*;

    const OTHER: &str = "
workflow: other
input:
  id: string
steps:
  - id: done
    finish: ${ event.data.id }
";

    #[test]
    fn every_example_is_valid() {
        for core in ALL {
            let indented: String = core.example.lines().map(|line| format!("  {line}\n")).collect();
            let text = format!(
                "workflow: example\nevents:\n  invoice.paid:\n    data:\n      id: string\n\
                 triggers:\n  - event: invoice.paid\nvars:\n  tries: 0\nsteps:\n{indented}"
            );
            let file = |path: &str, text: &str| InputFile { path: path.into(), bytes: text.into(), named: true };
            let files = vec![file("example.yaml", &text), file("other.yaml", OTHER)];
            let project = Project::read(ProjectInput { files, ..ProjectInput::default() }, &wf_stdlib::catalog());
            let errors: Vec<_> = project.findings.iter().collect();
            assert!(!project.findings.has_errors(), "{}: {errors:#?}", core.name);
        }
    }

    #[test]
    fn every_kind_of_the_language_is_here() {
        let (_, text) = wf_dsl::FILE_SCHEMAS.iter().find(|(name, _)| *name == "workflow").unwrap();
        let schema: serde_json::Value = serde_json::from_str(text).unwrap();
        let keys = schema["$defs"]["step"]["properties"].as_object().unwrap();
        let modifiers =
            ["id", "description", "if", "retry", "timeout", "idempotency_key", "undo", "catch", "finally", "next"];
        let mut kinds: Vec<_> = keys.keys().filter(|key| !modifiers.contains(&key.as_str())).collect();
        let mut here: Vec<_> = ALL.iter().map(|core| core.name).collect();
        kinds.sort();
        here.sort();
        assert_eq!(kinds, here);
    }
}
