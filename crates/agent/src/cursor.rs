//! How far events were published, in a file beside the ledger.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use exokit_service::publisher::Cursor;

/// Digits of the longest number.
const DIGITS: usize = 20;

/// A file with one number.
#[derive(Debug)]
pub struct FileCursor {
    path: PathBuf,
    /// Held for as long as the process lives: one publisher per ledger.
    _lock: File,
}

impl FileCursor {
    /// The cursor in a folder; none when another process publishes from it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(folder: &Path) -> io::Result<Option<Self>> {
        let lock = folder.join("events.lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: folder.join("events.cursor"), _lock: lock })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

#[async_trait]
impl Cursor for FileCursor {
    async fn read(&self) -> io::Result<Option<u64>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => {
                let seq = text.trim().parse();
                let broken = |_| io::Error::new(io::ErrorKind::InvalidData, "the cursor is no number");
                seq.map(Some).map_err(broken)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Each number is as long as the longest and replaces the one before in one
    /// write. It need not reach the disk at once: an older number only repeats
    /// events.
    async fn write(&self, seq: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{seq:<DIGITS$}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_publisher_per_folder_and_the_number_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = FileCursor::open(folder.path()).unwrap().unwrap();
        assert_eq!(cursor.read().await.unwrap(), None);
        cursor.write(7).await.unwrap();
        assert!(FileCursor::open(folder.path()).unwrap().is_none());
        drop(cursor);
        let again = FileCursor::open(folder.path()).unwrap().unwrap();
        assert_eq!(again.read().await.unwrap(), Some(7));
        std::fs::write(folder.path().join("events.cursor"), "x").unwrap();
        assert!(again.read().await.is_err());
    }
}
