//! `wf init`

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::exit::{Exit, Failure};
use crate::terminal::talk;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder, which is made if it is missing
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// What a new project consists of.
const FILES: [(&str, &str); 5] = [
    ("wf.yaml", include_str!("init/wf.yaml")),
    ("events/people.yaml", include_str!("init/events/people.yaml")),
    ("workflows/welcome.yaml", include_str!("init/workflows/welcome.yaml")),
    ("templates/welcome.txt", include_str!("init/templates/welcome.txt")),
    ("samples/joined.json", include_str!("init/samples/joined.json")),
];
/// A project's name where its folder has none that will do.
const NAME: &str = "my-project";

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    // A path that begins with `./` says no more than one that does not.
    let folder: &PathBuf = &args.folder.components().filter(|part| *part != Component::CurDir).collect();
    let there: Vec<_> = FILES.iter().map(|(path, _)| folder.join(path)).filter(|path| path.exists()).collect();
    if let Some(first) = there.first() {
        let message = format!("`{}` exists already; nothing was written", first.display());
        return Err(Failure::new(Exit::Conflict, message).help("name a folder of its own: `wf init DIR`"));
    }
    let name = project_name(folder);
    for (path, text) in FILES {
        let path = folder.join(path);
        write(&path, &text.replace("project: NAME", &format!("project: {name}")))
            .map_err(|error| Failure::new(Exit::Failed, format!("`{}` cannot be written: {error}", path.display())))?;
        talk(&format!("wrote {}", path.display()));
    }
    talk("\nNow try:\n");
    if !folder.as_os_str().is_empty() {
        talk(&format!("  cd {}", folder.display()));
    }
    talk("  wf validate\n  wf run . --event samples/joined.json --fast-forward");
    Ok(Exit::Success)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    // Made new: nothing of anybody's is written over, not even what appeared a moment ago.
    io::Write::write_all(&mut fs::File::create_new(path)?, text.as_bytes())
}

/// The folder's own name, as far as a project's name can have its characters.
fn project_name(folder: &Path) -> String {
    let here = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = here.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches(|c: char| !c.is_ascii_alphabetic());
    if plain.is_empty() { NAME.to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_after_its_folder() {
        for (folder, name) in [
            ("/tmp/greetings", "greetings"),
            ("/tmp/My Project", "my-project"),
            ("/tmp/2nd", "nd"),
            ("/tmp/über", "ber"),
            ("/tmp/123", NAME),
            ("/", NAME),
        ] {
            assert_eq!(project_name(Path::new(folder)), name);
        }
    }
}
