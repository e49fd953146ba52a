//! Bugs of ours: a panic becomes a report with an id, and exit code 70.

use std::backtrace::Backtrace;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;

use crate::exit::{Exit, Failure};

/// What is known of the last panic. A step kind that panics is a failed attempt and no bug of ours, so nothing is said
/// before it is known whose panic it was.
static LAST: Mutex<Option<Panic>> = Mutex::new(None);

struct Panic {
    message: String,
    place: String,
    backtrace: String,
}

/// Keeps panics from printing by themselves.
pub(crate) fn watch() {
    std::panic::set_hook(Box::new(|info| {
        let panic = Panic {
            message: info.payload_as_str().unwrap_or("no message").to_owned(),
            place: info.location().map(ToString::to_string).unwrap_or_default(),
            backtrace: Backtrace::force_capture().to_string(),
        };
        *LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(panic);
    }));
}

/// Runs a command; a panic in it is a failure that says where its report is.
pub(crate) fn guard(command: impl FnOnce() -> Result<Exit, Failure>) -> Result<Exit, Failure> {
    catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|_| Err(report()))
}

/// The failure for the last panic, or for a stop without one. Writes the report.
pub(crate) fn report() -> Failure {
    let last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let panic = last.unwrap_or_else(|| Panic {
        message: "the engine stopped by itself".to_owned(),
        place: String::new(),
        backtrace: Backtrace::force_capture().to_string(),
    });
    let id = id(&panic);
    let written = write(&id, &panic);
    let failure = Failure::new(Exit::Bug, format!("this is a bug of wf: {} (report {id})", panic.message));
    match written {
        Ok(path) => failure.help(format!("please report it, with the file `{}`", path.display())),
        Err(_) => failure.help(format!("please report it; it happened at {}", panic.place)),
    }
}

/// The same for the same panic of the same version, so that reports can be told apart.
fn id(panic: &Panic) -> String {
    let mut hasher = DefaultHasher::new();
    (env!("CARGO_PKG_VERSION"), &panic.message, &panic.place).hash(&mut hasher);
    format!("{:08x}", hasher.finish() >> 32)
}

/// Arguments and environment are left out: they may hold what is nobody's business.
fn write(id: &str, panic: &Panic) -> std::io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("wf-report-{id}-{}.txt", std::process::id()));
    let Panic { message, place, backtrace } = panic;
    let version = env!("CARGO_PKG_VERSION");
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let text = format!("report {id}\nwf {version} on {system} {machine}\n\n{message}\nat {place}\n\n{backtrace}\n");
    // Made new: what lies under this name in a folder that all may write is not ours to follow.
    let mut file = std::fs::File::create_new(&path)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_a_report() {
        watch();
        let failure = guard(|| panic!("the disc is round")).unwrap_err();
        // Other tests of this process say by themselves why they panic.
        drop(std::panic::take_hook());
        assert_eq!(failure.exit, Exit::Bug);
        assert!(failure.message.starts_with("this is a bug of wf: the disc is round (report "), "{}", failure.message);
        let help = failure.help.unwrap();
        let path = help.split('`').nth(1).unwrap();
        let report = std::fs::read_to_string(path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(report.contains("the disc is round\nat src/bug.rs:"), "{report}");
    }
}
