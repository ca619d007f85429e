//! The high-water mark: how far the ledger had come, noted beside it, so that an
//! older file that was put back in its place is refused.
//!
//! An older copy of a ledger is a whole chain with rows that fit it, so nothing
//! inside the file shows that records are missing.
//!
//! # Guarantees
//! - The mark is written after the commit and never newer than the ledger.
//! - A process that is killed between commit and mark leaves the mark one
//!   transaction behind, at most 256 changes.
//!
//! # Assumptions
//! - The mark is not flushed. After a power failure it may be half a minute old,
//!   or gone; a missing or torn mark counts as none.
//! - Several processes may write at once; the last one to note may not be the
//!   last one that committed. A mark that cannot be written is written with the
//!   next record.
//! - Removing the mark, or putting back the whole folder with it, goes
//!   unnoticed. An anchor that is kept elsewhere detects that.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::paths::{LedgerPaths, SqliteError};
use super::records::{damaged, hash_of, head};
use crate::error::LedgerError;
use crate::head::Head;

/// Every mark is as long as the longest, so that each replaces the one before.
const LENGTH: usize = 120;

/// The high-water mark of one ledger.
pub(super) struct HighWater {
    path: PathBuf,
    /// Opened for the first note.
    file: Option<File>,
    /// What stood there, unless nothing did, or not all of it.
    noted: Option<Head>,
}

impl HighWater {
    /// Reads the note. To be called before the ledger is read: what others
    /// append meanwhile is then behind it.
    pub(super) fn open(paths: &LedgerPaths) -> Result<Self, LedgerError> {
        let path = paths.high_water();
        let noted = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(text.trim_ascii_end()).ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(paths.not_writable(error.to_string())),
        };
        Ok(Self { path, file: None, noted })
    }

    /// Whether the ledger has come as far as was noted, by the same records.
    pub(super) fn check(&self, paths: &LedgerPaths, connection: &Connection) -> Result<(), SqliteError> {
        let Some(noted) = self.noted else { return Ok(()) };
        let found = head(connection)?.seq;
        if found < noted.seq {
            return Err(LedgerError::RolledBack { path: paths.file(), noted: noted.seq, found }.into());
        }
        match hash_of(connection, noted.seq)? {
            Some(hash) if hash != noted.hash => {
                Err(damaged(noted.seq, "it is another record than this ledger had before"))
            }
            _ => Ok(()),
        }
    }

    /// Notes how far the ledger is now. What cannot be noted is noted with the
    /// next record: the ledger itself is written, and this must not make it fail.
    pub(super) fn note(&mut self, head: Head) {
        let Ok(text) = serde_json::to_string(&head) else { return };
        let line = format!("{text:<width$}\n", width = LENGTH - 1);
        if self.write(line.as_bytes()).is_err() {
            self.file = None;
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(create(&self.path)?),
        };
        file.seek(SeekFrom::Start(0))?;
        file.write_all(line)
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
