//! Where the files of a ledger are, and errors in words that name them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::error::LedgerError;

/// How long to wait for another process that writes.
pub(super) const BUSY_SECONDS: u64 = 10;

/// Why a statement did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) enum SqliteError {
    /// In the words of the ledger.
    Ledger(#[from] LedgerError),
    /// In the words of SQLite.
    Sqlite(#[from] rusqlite::Error),
}

/// The folder of a ledger.
#[derive(Debug, Clone)]
pub(super) struct LedgerPaths {
    folder: PathBuf,
}

impl LedgerPaths {
    /// Makes the folders, readable for their owner only.
    pub(super) fn prepare(folder: &Path) -> Result<Self, LedgerError> {
        let paths = Self { folder: folder.to_owned() };
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(paths.leases()).map_err(|error| paths.not_writable(error.to_string()))?;
        Ok(paths)
    }

    /// Where processes show that they are alive.
    pub(super) fn leases(&self) -> PathBuf {
        self.folder.join("leases")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("ledger.db")
    }

    /// Where it is noted how far the ledger had come.
    pub(super) fn high_water(&self) -> PathBuf {
        self.folder.join("ledger.head")
    }

    /// The files that format 3 kept its rows in.
    pub(super) fn format_3_rows(&self) -> [PathBuf; 3] {
        ["derived.db", "derived.db-wal", "derived.db-shm"].map(|name| self.folder.join(name))
    }

    /// The database, for messages.
    pub(super) fn file(&self) -> String {
        self.database().display().to_string()
    }

    pub(super) fn not_writable(&self, why: String) -> LedgerError {
        LedgerError::NotWritable { path: self.file(), why }
    }

    /// Puts an error into words that help.
    pub(super) fn explain(&self, doing: &'static str, error: impl Into<SqliteError>) -> LedgerError {
        let error = match error.into() {
            SqliteError::Ledger(error) => return error,
            SqliteError::Sqlite(error) => error,
        };
        let path = self.file();
        let why = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => LedgerError::Full(path),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Busy(BUSY_SECONDS),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                LedgerError::NotWritable { path, why }
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                LedgerError::NotALedger { path, why }
            }
            _ => LedgerError::Storage { doing, path, why },
        }
    }

    /// Locks the folder, so that one process at a time opens the ledger.
    pub(super) fn lock(&self) -> Result<File, LedgerError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("open.lock"))
            .map_err(|error| self.not_writable(error.to_string()))?;
        file.lock().map_err(|error| self.not_writable(error.to_string()))?;
        Ok(file)
    }
}
