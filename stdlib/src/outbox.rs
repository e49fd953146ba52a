//! The outbox: where messages go while their connection is not configured. Nothing is sent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use wf_engine::StepContext;

use crate::peer::hex;

/// What a message's output says instead of a connection's name.
pub(crate) const PROVIDER: &str = "outbox";

/// Writes one message: `<effect>.json`, and `<effect>.eml` if it is a mail.
///
/// The files are named by the step's automatic key, so that a later attempt of the same step replaces them. When this
/// returns they are on the disk. The JSON is written last: a mail that it lists has its `.eml`.
pub(crate) async fn put(cx: &StepContext, folder: &Path, message: Json, eml: Option<Vec<u8>>) -> io::Result<()> {
    let folder = folder.to_owned();
    let name = file_name(&cx.effect);
    let write = move || {
        fs::create_dir_all(&folder)?;
        if let Some(eml) = eml {
            replace(&folder, &format!("{name}.eml"), &eml)?;
        }
        let mut json = serde_json::to_vec_pretty(&message)?;
        json.push(b'\n');
        replace(&folder, &format!("{name}.json"), &json)?;
        File::open(&folder)?.sync_all()
    };
    tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
}

/// Writes a file so that a crash leaves the old one or the new one. The caller syncs the folder.
fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!(".{name}.tmp"));
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(name))
}

/// A file's name for a key: itself, or its hash if it could lead out of the folder.
pub(crate) fn file_name(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain = !key.is_empty() && key.len() <= 100 && key.chars().all(is_plain);
    if plain { key.to_owned() } else { hex(&Sha256::digest(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder() {
        assert_eq!(file_name("wf_abc-2"), "wf_abc-2");
        for key in ["", "..", "../x", "a/b", "a\0b", "ü", &"k".repeat(101)] {
            let name = file_name(key);
            assert!(name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit()), "{key}");
        }
    }
}
