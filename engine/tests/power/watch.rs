//! Runs this program again under `strace`.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::trace::{self, Call};

/// What a process did to its store.
pub(crate) struct Watched {
    pub(crate) calls: Vec<Call>,
    /// What it printed.
    pub(crate) said: String,
    pub(crate) errors: String,
    dir: TempDir,
}

impl Watched {
    /// Runs this program with the words `mode`, the store's folder, `arguments`. `strace` gets the options `inject`,
    /// which may name the folder as `STORE`.
    ///
    /// # Panics
    /// If there is no `strace`, or if the process fails.
    pub(crate) fn run(mode: &str, arguments: &[String], inject: &[&str]) -> Self {
        Self::run_in(TempDir::new().unwrap(), mode, arguments, inject)
    }

    /// The same with a store that may be there.
    pub(crate) fn run_in(dir: TempDir, mode: &str, arguments: &[String], inject: &[&str]) -> Self {
        let store = store_in(&dir);
        let log = dir.path().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-xx", "-s", "16000000", "-o"]).arg(&log).args(["-e", trace::CALLS]);
        strace.args(inject.iter().map(|option| option.replace("STORE", store.to_str().unwrap())));
        strace.arg(std::env::current_exe().unwrap()).arg(mode).arg(&store).args(arguments);
        let output = strace.output().expect("`strace` is installed: this campaign needs it");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "the process failed: {errors}");
        let calls = trace::read(&log, &store);
        Watched { calls, said: String::from_utf8(output.stdout).unwrap(), errors, dir }
    }

    pub(crate) fn store(&self) -> PathBuf {
        store_in(&self.dir)
    }
}

/// Where the store is in a folder of a campaign.
pub(crate) fn store_in(dir: &TempDir) -> PathBuf {
    dir.path().join("store")
}
