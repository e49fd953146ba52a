//! `wf::cron_never_fires`: a schedule that never comes.

use super::Context;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Findings};
use crate::plan::Trigger;
use crate::schedule::Schedule;

/// Checks the schedules of the triggers that can be read.
pub(super) fn check(cx: &Context<'_>, found: &mut Findings) {
    for trigger in &cx.workflow.triggers {
        let Trigger::Cron { cron, timezone, .. } = trigger else { continue };
        let Ok(schedule) = Schedule::parse(&cron.value, &timezone.value) else { continue };
        if !schedule.fires() {
            let message = format!("`{}` never fires: no date fits it", cron.value);
            found.push(
                Diagnostic::error(Code::CRON_NEVER_FIRES, cron.span, message)
                    .help("choose a day that the month has; `0 0 1 * *` is the first of every month"),
            );
        }
    }
}
