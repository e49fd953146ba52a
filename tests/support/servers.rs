//! Where the servers are that `./tests/run` started. Test binaries include this file by its path.

/// The value of `variable`, which `./tests/run` sets to where a server is; `None` in a bare `cargo test`.
///
/// # Panics
///
/// If it is not set under the full test command (`WF_FULL=1`): there, a missing server is a failure.
pub(crate) fn server(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok();
    if found.is_none() {
        eprintln!("`{variable}` is not set, so this test checks less: `./tests/run` starts the servers and sets it");
    }
    assert!(found.is_some() || std::env::var_os("WF_FULL").is_none(), "`{variable}` is not set under WF_FULL");
    found
}
