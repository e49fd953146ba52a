//! The write-ahead log: a group of commits is durable when it is here, after one write and one sync.
//!
//! Two files take turns. Each grows a mebibyte at a time, since a sync is a quarter cheaper if it need not make a new
//! length durable. A file is written anew when all that it holds is in the tree, and durable there.
//!
//! ```text
//! file    [magic: 8][salt: 8][record]...
//! record  [length of the rows: 4][crc32 of salt, number and rows: 4][number: 8][rows]
//! row     [length of the key: 2][length of the value + 1, or 0 for a row that is deleted: 4][key][value]
//! ```
//!
//! All numbers are little-endian. Records have numbers without gaps, in the order of the files' turns. What follows a
//! file's last record is left over from earlier turns, with another salt, or was torn by a crash before it was
//! acknowledged. The salt also keeps what senders put into events from passing for a record. A record without rows says
//! that everything before it is in the tree, and durable there.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::folder::{OpenError, sync_folder};
use super::{Durability, Key};

/// New values by key; none deletes.
pub(super) type Values = BTreeMap<Key, Option<Vec<u8>>>;

/// How long a file grows. A record that does not fit into one makes it longer.
const FILE_BYTES: usize = 8 << 20;
/// How much it grows at a time.
const GROWTH_BYTES: usize = 1 << 20;

const NAMES: [&str; 2] = ["log-0", "log-1"];
const MAGIC: [u8; 8] = *b"wf-log-1";
const FILE_PREFIX: usize = MAGIC.len() + 8;
const RECORD_PREFIX: usize = 4 + 4 + 8;
const ROW_PREFIX: usize = 2 + 4;

/// The log, open for writing.
#[derive(Debug)]
pub(super) struct Wal {
    files: [LogFile; 2],
    /// Which file has its turn.
    current: usize,
    /// The number of the last record.
    last: u64,
    /// The bytes of a record.
    record: Vec<u8>,
    durability: Durability,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    salt: [u8; 8],
    /// Where the next record goes.
    at: usize,
    /// How long the file is.
    length: usize,
    /// The number of its last record; 0 if it has none.
    last: u64,
}

impl Wal {
    /// Makes the files in a folder that has none, durably.
    pub(super) fn make(dir: &Path) -> io::Result<()> {
        for name in NAMES {
            let mut bytes = vec![0; GROWTH_BYTES];
            bytes[..FILE_PREFIX].copy_from_slice(&prefix(new_salt()));
            let file = File::create(dir.join(name))?;
            file.write_all_at(&bytes, 0)?;
            file.sync_all()?;
        }
        sync_folder(dir)
    }

    /// Opens the log in a folder, and gives what may not be in the tree.
    pub(super) fn open(dir: &Path, durability: Durability) -> Result<(Self, Values), OpenError> {
        let (first, second) = (LogFile::open(dir, NAMES[0])?, LogFile::open(dir, NAMES[1])?);
        let current = usize::from(second.0.last > first.0.last);
        let (mut older, newer) = if current == 0 { (second.1, first.1) } else { (first.1, second.1) };
        if let (Some((before, _)), Some((after, _))) = (older.last(), newer.first())
            && before + 1 != *after
        {
            return Err(OpenError::damaged(dir, format!("its log goes from record {before} to record {after}")));
        }
        older.extend(newer);
        let mut missing = Values::new();
        for (_, values) in older {
            if values.is_empty() {
                missing.clear();
            }
            missing.extend(values);
        }
        let files = [first.0, second.0];
        files[current].write_again(durability).map_err(OpenError::io(dir))?;
        let last = files[current].last;
        Ok((Wal { files, current, last, record: Vec::new(), durability }, missing))
    }

    /// Counts on from another log's last record; this one has none.
    pub(super) fn go_on_from(&mut self, last: u64) {
        self.last = last;
    }

    /// The number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether these values fit where the log stands; otherwise it is the [other file's turn](Wal::turn).
    pub(super) fn fits(&self, values: &Values) -> bool {
        let at = self.files[self.current].at;
        at == FILE_PREFIX || at + record_bytes(values) <= FILE_BYTES
    }

    /// What must be in the tree, and durable there, before the other file can take its turn: records up to this number.
    pub(super) fn last_of_other(&self) -> u64 {
        self.files[1 - self.current].last
    }

    /// The other file takes its turn.
    ///
    /// It gets a new salt first, durably: a power cut may keep some of its old records when the first new one is torn,
    /// and what is left of them must not pass for a log with a gap.
    ///
    /// # Errors
    /// As [`Wal::append`].
    pub(super) fn turn(&mut self) -> io::Result<()> {
        self.current = 1 - self.current;
        let log = &mut self.files[self.current];
        log.salt = new_salt();
        log.file.write_all_at(&prefix(log.salt), 0)?;
        log.at = FILE_PREFIX;
        log.sync(self.durability)
    }

    /// Writes a record, makes it as durable as the options ask, and gives its number.
    ///
    /// # Errors
    /// Nothing is to be written any more then: the record may be there or not.
    pub(super) fn append(&mut self, values: &Values) -> io::Result<u64> {
        let log = &mut self.files[self.current];
        self.last += 1;
        write_record(&mut self.record, log.salt, self.last, values)?;
        log.grow(log.at + self.record.len())?;
        log.file.write_all_at(&self.record, log.at as u64)?;
        log.sync(self.durability)?;
        log.at += self.record.len();
        log.last = self.last;
        Ok(self.last)
    }
}

impl LogFile {
    /// Opens a file, and reads its records with their numbers.
    fn open(dir: &Path, name: &str) -> Result<(Self, Vec<(u64, Values)>), OpenError> {
        let mut file = OpenOptions::new().read(true).write(true).open(dir.join(name)).map_err(OpenError::io(dir))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(OpenError::io(dir))?;
        let salt = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk().copied());
        let salt = salt.ok_or_else(|| OpenError::damaged(dir, format!("`{name}` does not begin as a log does")))?;
        let mut log = LogFile { file, salt, at: FILE_PREFIX, length: bytes.len(), last: 0 };
        let mut records = Vec::new();
        while let Some((number, rows)) = read_record(&bytes[log.at..], salt)
            && (records.is_empty() || number == log.last + 1)
        {
            let why = || OpenError::damaged(dir, format!("record {number} of `{name}` is no list of rows"));
            records.push((number, read_rows(rows).ok_or_else(why)?));
            log.at += RECORD_PREFIX + rows.len();
            log.last = number;
        }
        Ok((log, records))
    }

    /// Makes the file long enough; durable with the next sync.
    fn grow(&mut self, length: usize) -> io::Result<()> {
        if length > self.length {
            let length = length.next_multiple_of(GROWTH_BYTES);
            self.file.write_all_at(&vec![0; length - self.length], self.length as u64)?;
            self.length = length;
        }
        Ok(())
    }

    /// Makes durable what was read. If a sync failed, the last record may be in the system's memory only, and no sync
    /// writes it before it is written again.
    fn write_again(&self, durability: Durability) -> io::Result<()> {
        let mut bytes = vec![0; self.at];
        self.file.read_exact_at(&mut bytes, 0)?;
        self.file.write_all_at(&bytes, 0)?;
        self.sync(durability)
    }

    fn sync(&self, durability: Durability) -> io::Result<()> {
        if durability == Durability::Power { self.file.sync_data() } else { Ok(()) }
    }
}

/// A number that nobody can guess.
fn new_salt() -> [u8; 8] {
    RandomState::new().hash_one(MAGIC).to_le_bytes()
}

/// How a file begins.
fn prefix(salt: [u8; 8]) -> [u8; FILE_PREFIX] {
    let mut bytes = [0; FILE_PREFIX];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..].copy_from_slice(&salt);
    bytes
}

fn record_bytes(values: &Values) -> usize {
    let rows = values.iter().map(|(key, value)| ROW_PREFIX + key.as_bytes().len() + value.as_ref().map_or(0, Vec::len));
    RECORD_PREFIX + rows.sum::<usize>()
}

fn write_record(record: &mut Vec<u8>, salt: [u8; 8], number: u64, values: &Values) -> io::Result<()> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a record of the log is too long");
    record.clear();
    record.resize(RECORD_PREFIX, 0);
    for (key, value) in values {
        let (key, value) = (key.as_bytes(), value.as_ref());
        let length = value.map_or(0, |value| value.len() + 1);
        record.extend_from_slice(&u16::try_from(key.len()).map_err(too_long)?.to_le_bytes());
        record.extend_from_slice(&u32::try_from(length).map_err(too_long)?.to_le_bytes());
        record.extend_from_slice(key);
        record.extend_from_slice(value.map_or(&[], Vec::as_slice));
    }
    let length = u32::try_from(record.len() - RECORD_PREFIX).map_err(too_long)?;
    let checksum = checksum(salt, number, &record[RECORD_PREFIX..]);
    record[..4].copy_from_slice(&length.to_le_bytes());
    record[4..8].copy_from_slice(&checksum.to_le_bytes());
    record[8..RECORD_PREFIX].copy_from_slice(&number.to_le_bytes());
    Ok(())
}

/// The number and the rows of the record that begins here; none if none does.
fn read_record(bytes: &[u8], salt: [u8; 8]) -> Option<(u64, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (expected, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let rows = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let number = u64::from_le_bytes(*number);
    (number > 0 && checksum(salt, number, rows) == u32::from_le_bytes(*expected)).then_some((number, rows))
}

fn read_rows(mut rows: &[u8]) -> Option<Values> {
    let mut values = Values::new();
    while !rows.is_empty() {
        let (key, rest) = rows.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*key)))?;
        let length = usize::try_from(u32::from_le_bytes(*value)).ok()?;
        let (value, rest) = rest.split_at_checked(length.saturating_sub(1))?;
        values.insert(Key::from_bytes(key), (length > 0).then(|| value.to_vec()));
        rows = rest;
    }
    Some(values)
}

fn checksum(salt: [u8; 8], number: u64, rows: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt);
    hasher.update(&number.to_le_bytes());
    hasher.update(rows);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value, so long that its record has this length.
    fn values(n: u8, length: usize) -> Values {
        let key = Key::meta("k");
        let value = vec![n; length - RECORD_PREFIX - ROW_PREFIX - key.as_bytes().len()];
        Values::from([(key, Some(value))])
    }

    fn length(dir: &Path, name: &str) -> usize {
        usize::try_from(dir.join(name).metadata().unwrap().len()).unwrap()
    }

    #[test]
    fn a_file_grows_to_its_length_and_then_the_other_has_its_turn() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        Wal::make(dir).unwrap();
        assert_eq!((length(dir, "log-0"), length(dir, "log-1")), (GROWTH_BYTES, GROWTH_BYTES));
        let (mut wal, missing) = Wal::open(dir, Durability::Process).unwrap();
        assert!(missing.is_empty());

        let first = values(1, GROWTH_BYTES - FILE_PREFIX);
        wal.append(&first).unwrap();
        assert_eq!(length(dir, "log-0"), GROWTH_BYTES, "it fills the file to the last byte");
        wal.append(&values(2, RECORD_PREFIX + ROW_PREFIX + 9)).unwrap();
        assert_eq!(length(dir, "log-0"), 2 * GROWTH_BYTES);

        let rest = FILE_BYTES - GROWTH_BYTES - (RECORD_PREFIX + ROW_PREFIX + 9);
        assert!(wal.fits(&values(3, rest)) && !wal.fits(&values(3, rest + 1)));
        wal.append(&values(3, rest)).unwrap();
        assert_eq!(length(dir, "log-0"), FILE_BYTES);
        assert!(!wal.fits(&Values::new()));

        wal.turn().unwrap();
        let long = values(4, FILE_BYTES + 1);
        assert!(wal.fits(&long), "into an empty file everything fits");
        wal.append(&long).unwrap();
        assert_eq!(length(dir, "log-1"), FILE_BYTES + GROWTH_BYTES);
        drop(wal);

        let (wal, missing) = Wal::open(dir, Durability::Process).unwrap();
        assert_eq!((wal.last(), missing), (4, long));
        assert!(!wal.fits(&Values::new()));
    }
}
