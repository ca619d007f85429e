//! When the write-ahead log is copied into the database: after the commit that
//! made it long has been answered. SQLite by itself does it within that commit,
//! so one proposal in 25 would wait for two more flushes of the disk.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

/// Pages (of 4 kB) after which the log is copied; SQLite's default.
const PAGES: c_int = 1_000;

/// The write-ahead log, as the connection that writes sees it.
pub(super) struct WriteAheadLog {
    pages: Arc<AtomicI32>,
}

impl WriteAheadLog {
    /// Takes the copying over from SQLite.
    pub(super) fn take_over(connection: &mut Connection) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let counted = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            counted.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages })
    }

    /// Copies the log if it is long. If that fails, or a reader still needs a part
    /// of it, the next commit copies it.
    pub(super) fn copy_if_long(&self, connection: &Connection) {
        if self.pages.load(Ordering::Relaxed) >= PAGES {
            let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
}
