//! What `strace` saw a process do to the files of its store.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::writer::Acknowledged;

/// The system calls that change files or make them durable, as `strace -e` takes them.
pub(crate) const CALLS: &str = "trace=write,pwrite64,writev,pwritev,fdatasync,fsync,sync_file_range,ftruncate,truncate,fallocate,\
     openat,rename,renameat,renameat2,link,unlink,unlinkat,mkdir,mkdirat,rmdir";

/// A system call that succeeded, or was made to fail.
#[derive(Debug)]
pub(crate) struct Call {
    /// When it began and when it ended: numbers of lines of the trace.
    pub(crate) started: usize,
    pub(crate) ended: usize,
    pub(crate) op: Op,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Op {
    Write {
        path: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        len: u64,
    },
    Sync {
        path: PathBuf,
    },
    /// A file was opened; it is made if it is missing, and emptied if that was asked for.
    Open {
        path: PathBuf,
        empty: bool,
    },
    MakeFolder {
        path: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// A line on stdout.
    Tell(String),
    /// A call was made to fail; the file, if it was to make that durable.
    Fail {
        path: Option<PathBuf>,
    },
}

impl Op {
    /// The file or folder that it is about.
    pub(crate) fn path(&self) -> Option<&PathBuf> {
        match self {
            Op::Write { path, .. }
            | Op::Truncate { path, .. }
            | Op::Sync { path }
            | Op::Open { path, .. }
            | Op::MakeFolder { path }
            | Op::Remove { path } => Some(path),
            Op::Rename { from, .. } => Some(from),
            Op::Tell(_) | Op::Fail { .. } => None,
        }
    }

    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Op::Sync { .. })
    }

    pub(crate) fn acknowledged(&self) -> Option<Acknowledged> {
        match self {
            Op::Tell(line) => Acknowledged::read(line),
            _ => None,
        }
    }
}

/// Reads a trace: what was done below `dir`, and what was said on stdout, in the order in which it began.
pub(crate) fn read(log: &Path, dir: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut reader = Reader { dir, offsets: HashMap::new(), calls: Vec::new() };
    let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let (process, event) = line.split_once(' ').unwrap();
        let event = event.trim_start();
        if let Some(begun) = event.strip_suffix(" <unfinished ...>") {
            unfinished.insert(process, (number, begun));
        } else if let Some(rest) = event.strip_prefix("<... ") {
            let (_, rest) = rest.split_once(" resumed>").unwrap();
            let (started, begun) = unfinished.remove(process).unwrap();
            reader.call(started, number, &format!("{begun}{rest}"));
        } else if !event.starts_with("+++") && !event.starts_with("---") {
            reader.call(number, number, event);
        }
    }
    reader.calls.sort_by_key(|call| call.started);
    reader.calls
}

struct Reader<'a> {
    dir: &'a Path,
    /// Where the next `write` to a descriptor goes.
    offsets: HashMap<String, u64>,
    calls: Vec<Call>,
}

impl Reader<'_> {
    fn call(&mut self, started: usize, ended: usize, text: &str) {
        let (name, rest) = text.split_once('(').unwrap();
        let (arguments, result) = rest.rsplit_once(" = ").unwrap();
        let arguments = arguments.trim_end().strip_suffix(')').unwrap();
        let arguments: Vec<&str> = arguments.split(", ").collect();
        let (result, opened) = match result.split_once('<') {
            Some((number, path)) => (number, path.strip_suffix('>')),
            None => (result.split(' ').next().unwrap(), None),
        };
        let Ok(result) = result.trim().parse::<u64>() else {
            if text.ends_with("(INJECTED)") {
                let path = (name == "fdatasync").then(|| file(arguments[0]).1);
                self.calls.push(Call { started, ended, op: Op::Fail { path } });
            }
            return; // it failed, or the process ended
        };
        for op in self.ops(name, &arguments, result, opened) {
            let below = op.path().is_none_or(|path| path.starts_with(self.dir));
            if below {
                self.calls.push(Call { started, ended, op });
            }
        }
    }

    fn ops(&mut self, name: &str, arguments: &[&str], result: u64, opened: Option<&str>) -> Vec<Op> {
        let number = |n: usize| arguments[n].parse::<u64>().unwrap();
        let op = match name {
            "openat" => {
                self.offsets.insert(result.to_string(), 0);
                let path = PathBuf::from(text(opened.unwrap()));
                if !arguments[2].contains("O_CREAT") {
                    return vec![];
                }
                Op::Open { path, empty: arguments[2].contains("O_TRUNC") }
            }
            "write" => {
                let (descriptor, path) = file(arguments[0]);
                let bytes = bytes(arguments[1])[..result as usize].to_vec();
                if descriptor == "1" {
                    let lines = String::from_utf8(bytes).unwrap();
                    return lines.lines().map(|line| Op::Tell(line.into())).collect();
                }
                let offset = self.offsets.entry(descriptor.into()).or_default();
                let at = *offset;
                *offset += result;
                Op::Write { path, at, bytes }
            }
            "pwrite64" => {
                let bytes = bytes(arguments[1])[..result as usize].to_vec();
                Op::Write { path: file(arguments[0]).1, at: number(3), bytes }
            }
            "ftruncate" => Op::Truncate { path: file(arguments[0]).1, len: number(1) },
            "fdatasync" | "fsync" => Op::Sync { path: file(arguments[0]).1 },
            // It promises nothing about a power cut.
            "sync_file_range" => return vec![],
            "mkdir" => Op::MakeFolder { path: text(arguments[0]).into() },
            "mkdirat" => Op::MakeFolder { path: file(arguments[0]).1.join(text(arguments[1])) },
            "rename" => Op::Rename { from: text(arguments[0]).into(), to: text(arguments[1]).into() },
            "unlink" | "rmdir" => Op::Remove { path: text(arguments[0]).into() },
            "unlinkat" => Op::Remove { path: file(arguments[0]).1.join(text(arguments[1])) },
            // Not a guess: a call that the model of a crash does not know must not pass by unseen.
            other => panic!("`{other}` is not known to the model"),
        };
        vec![op]
    }
}

/// A descriptor and its path, from `3<\x2f…>`.
fn file(argument: &str) -> (&str, PathBuf) {
    let (descriptor, path) = argument.split_once('<').unwrap();
    (descriptor, text(path.strip_suffix('>').unwrap()).into())
}

fn text(hex: &str) -> String {
    String::from_utf8(bytes(hex)).unwrap()
}

/// What `"\x61\x62"` stands for, quoted or not.
fn bytes(hex: &str) -> Vec<u8> {
    assert!(!hex.ends_with("..."), "a string was cut short");
    let mut digits = hex.trim_matches('"');
    // Most of a new log is zeros, which a debug build is slow to read one by one.
    let zeros = "\\x00".repeat(1 << 10);
    let mut zeros_behind = 0;
    while let Some(rest) = digits.strip_suffix(&zeros) {
        (digits, zeros_behind) = (rest, zeros_behind + (1 << 10));
    }
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    let mut bytes: Vec<u8> = digits.as_bytes().chunks(4).map(|piece| digit(piece[2]) << 4 | digit(piece[3])).collect();
    bytes.resize(bytes.len() + zeros_behind, 0);
    bytes
}
