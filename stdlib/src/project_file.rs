//! Files of the project that a step names.

use std::path::Path;

/// Reads a file of the project, at most `bytes_max` long. `path` counts from the project's folder; links are followed
/// first, so that none leads out of it.
///
/// # Errors
/// One lower-case phrase, which does not name the file.
pub(crate) async fn read(project: Option<&Path>, path: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    let project = project.ok_or("the run has no project folder")?.to_owned();
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_inside(&project, &path, bytes_max));
    read.await.map_err(|error| error.to_string())?
}

fn read_inside(project: &Path, path: &str, bytes_max: usize) -> Result<Vec<u8>, String> {
    let root = project.canonicalize().map_err(|error| error.to_string())?;
    let file = root.join(path).canonicalize().map_err(|error| error.to_string())?;
    if !file.starts_with(&root) {
        return Err("it is not inside of the project".to_owned());
    }
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    if about.len() > bytes_max as u64 {
        return Err(format!("it is larger than {bytes_max} bytes"));
    }
    std::fs::read(file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_files_of_the_project_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        fs::create_dir_all(project.join("files")).unwrap();
        fs::write(project.join("files/a.txt"), "hello").unwrap();
        fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret.txt", project.join("link.txt")).unwrap();
        std::os::unix::fs::symlink("files/a.txt", project.join("inner.txt")).unwrap();
        for path in ["files/a.txt", "./files/../files/a.txt", "inner.txt"] {
            assert_eq!(read_inside(&project, path, 5).unwrap(), b"hello", "{path}");
        }
        let secret = folder.path().join("secret.txt");
        for path in ["../secret.txt", "link.txt", secret.to_str().unwrap(), "files", "none.txt", "a\0b"] {
            assert!(read_inside(&project, path, 100).is_err(), "{path}");
        }
        assert!(read_inside(&project, "files/a.txt", 4).unwrap_err().contains("4 bytes"));
    }
}
