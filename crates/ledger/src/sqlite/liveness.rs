//! Whether the holder of a lease is alive: each opened ledger keeps a lock of
//! the operating system on a file of its own, which ends with its process.
//!
//! There is one file for each opened ledger, however many leases it holds, and
//! each lease names the file that shows its holder alive. A name is random and
//! never used again. Files are created, and unused ones removed, only while the
//! ledger is being opened, which one process does at a time. So no process sees
//! a file between its creation and its lock, and a file whose lock is free
//! belongs to a process that is dead.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::paths::{LedgerPaths, SqliteError};
use crate::error::LedgerError;

/// Length of the name of a lock file: 128 bits in hexadecimal digits.
const NAME_CHARS: usize = 32;

/// The lock files of one ledger folder, and the one of this opened ledger.
#[derive(Debug)]
pub(super) struct Liveness {
    folder: PathBuf,
    name: String,
    /// Holds the lock for as long as it is open.
    _lock: File,
}

/// Who holds a lease: the holder's own name, and behind it the name of the file
/// that shows it alive, if it was written by a version that knew of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) lock: Option<String>,
}

impl Holder {
    /// Reads what [`Liveness::sign`] wrote. What is no name of a lock file never
    /// becomes part of a path.
    pub(super) fn read(text: &str) -> Self {
        let is_name = |name: &str| {
            name.len() == NAME_CHARS && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match text.rsplit_once(' ') {
            Some((name, lock)) if is_name(lock) => {
                Self { name: name.to_owned(), lock: Some(lock.to_owned()) }
            }
            _ => Self { name: text.to_owned(), lock: None },
        }
    }
}

impl Liveness {
    /// Shows that this ledger is open, and removes the files of those that are
    /// not and hold nothing any more. The caller opens the ledger, and nobody
    /// else at the same time.
    pub(super) fn enter(paths: &LedgerPaths, connection: &Connection) -> Result<Self, SqliteError> {
        let folder = paths.leases();
        let failed = |error: io::Error| paths.not_writable(error.to_string());
        let name: String = connection.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
        let free = free_files(&folder).map_err(failed)?;
        remove_idle(&free, connection)?;
        let lock = make(&path(&folder, &name)).map_err(failed)?;
        Ok(Self { folder, name, _lock: lock })
    }

    /// The holder as the lease has it while this ledger shows it alive.
    pub(super) fn sign(&self, holder: &str) -> String {
        format!("{holder} {}", self.name)
    }

    /// Whether a holder is proven dead. Without its file nothing is proven.
    pub(super) fn is_dead(&self, holder: &Holder) -> bool {
        holder.lock.as_ref().is_some_and(|name| *name != self.name && is_free(&path(&self.folder, name)))
    }

    /// Removes the own file if no lease names it. Otherwise it stays and shows
    /// that their holder is gone.
    pub(super) fn leave(self, connection: &Connection) {
        if named(connection).is_ok_and(|named| !named.contains(&self.name)) {
            // One that stays behind is removed when the ledger is opened again.
            let _ = fs::remove_file(path(&self.folder, &self.name));
        }
    }
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.lock"))
}

fn make(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create_new(true).write(true).open(path)?;
    file.try_lock()?;
    Ok(file)
}

/// Whether there is such a file and nobody holds its lock. Several may look at
/// once: a shared lock is in no other's way but the holder's.
fn is_free(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// The lock files, those of earlier versions among them.
fn lock_files(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf> + use<>> {
    let files = fs::read_dir(folder)?.filter_map(|file| Some(file.ok()?.path()));
    Ok(files.filter(|path| path.extension().is_some_and(|end| end == "lock")))
}

/// The lock files that nobody holds.
fn free_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(lock_files(folder)?.filter(|path| is_free(path)).collect())
}

/// Whether a process shows that it has the ledger open. One of an early version
/// does so only while it holds a lease.
pub(super) fn is_open(paths: &LedgerPaths) -> Result<bool, LedgerError> {
    let mut files = lock_files(&paths.leases()).map_err(|error| paths.not_writable(error.to_string()))?;
    Ok(files.any(|path| !is_free(&path)))
}

/// Removes those of the free files that no lease names. What leases name is
/// read after the files were found free: the dead take no lease any more.
fn remove_idle(free: &[PathBuf], connection: &Connection) -> Result<(), SqliteError> {
    if free.is_empty() {
        return Ok(());
    }
    let named = named(connection)?;
    let is_idle = |path: &&PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str());
        name.is_none_or(|name| !named.contains(name))
    };
    for path in free.iter().filter(is_idle) {
        // One that cannot be removed is in nobody's way.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// The lock files that leases name.
fn named(connection: &Connection) -> Result<BTreeSet<String>, SqliteError> {
    let mut statement = connection.prepare("SELECT holder FROM leases WHERE holder IS NOT NULL")?;
    let holders = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut named = BTreeSet::new();
    for holder in holders {
        named.extend(Holder::read(&holder?).lock);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_was_signed_and_an_old_one_names_no_file() {
        let lock = "0123456789abcdef0123456789abcdef";
        let cases = [
            (format!("exokit-7 {lock}"), "exokit-7".to_owned(), Some(lock)),
            (format!("a b {lock} {lock}"), format!("a b {lock}"), Some(lock)),
            (format!(" {lock}"), String::new(), Some(lock)),
            ("exokit-7".to_owned(), "exokit-7".to_owned(), None),
            (lock.to_owned(), lock.to_owned(), None),
            (format!("exokit-7 {}", &lock[1..]), format!("exokit-7 {}", &lock[1..]), None),
            (
                "exokit-7 ../../../../../../../../../../../x".to_owned(),
                "exokit-7 ../../../../../../../../../../../x".to_owned(),
                None,
            ),
        ];
        for (text, name, lock) in cases {
            assert_eq!(Holder::read(&text), Holder { name, lock: lock.map(str::to_owned) }, "{text}");
        }
    }
}
