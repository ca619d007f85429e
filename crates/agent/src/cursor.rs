//! How far events were published, in a file beside the ledger.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use exokit_service::progress::{Mark, Progress};
use exokit_service::publisher::Cursor;

/// Digits of the longest number.
const DIGITS: usize = 20;

/// A file with three numbers: the last record that was published, then a record
/// and its place in the stream.
#[derive(Debug)]
pub(crate) struct FileCursor {
    path: PathBuf,
    /// Held for as long as the process lives: one publisher per ledger.
    _lock: File,
}

impl FileCursor {
    /// The cursor in a folder; none when another process publishes from it.
    pub(crate) fn open(folder: &Path) -> io::Result<Option<Self>> {
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
    /// A file that cannot be understood says nothing: everything is published
    /// again, which repeats events and loses none.
    async fn read(&self) -> io::Result<Option<Progress>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(parsed(&text).unwrap_or_else(|| {
                tracing::warn!(file = %self.path.display(), "unreadable; all events are published again");
                Progress::default()
            }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The numbers are as long as the longest, so those before are replaced in
    /// one write. They need not reach the disk at once: older ones only repeat
    /// events.
    async fn write(&self, progress: Progress) -> io::Result<()> {
        let numbers = [progress.published, progress.stream.record, progress.stream.position];
        let line = numbers.map(|number| format!("{number:<DIGITS$}")).join(" ");
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(format!("{line}\n").as_bytes())
    }
}

/// One number is how earlier versions wrote it.
fn parsed(text: &str) -> Option<Progress> {
    let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    match *numbers {
        [published] => Some(Progress::at(published)),
        [published, record, position] => Some(Progress { published, stream: Mark { record, position } }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_publisher_per_folder_and_the_numbers_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = FileCursor::open(folder.path()).unwrap().unwrap();
        assert_eq!(cursor.read().await.unwrap(), None);
        let stream = Mark { record: 6, position: u64::MAX };
        for progress in [Progress { published: 7, stream }, Progress::at(u64::MAX), Progress::at(0)] {
            cursor.write(progress).await.unwrap();
            assert_eq!(cursor.read().await.unwrap(), Some(progress));
        }
        assert!(FileCursor::open(folder.path()).unwrap().is_none());
        drop(cursor);
        let again = FileCursor::open(folder.path()).unwrap().unwrap();
        assert_eq!(again.read().await.unwrap(), Some(Progress::at(0)));
    }

    #[tokio::test]
    async fn what_an_earlier_version_wrote_is_read_and_what_is_broken_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = FileCursor::open(folder.path()).unwrap().unwrap();
        for (text, published) in
            [("7                   \n", 7), ("", 0), ("x", 0), ("7 8", 0), ("1 2 3 4", 0)]
        {
            std::fs::write(folder.path().join("events.cursor"), text).unwrap();
            assert_eq!(cursor.read().await.unwrap(), Some(Progress::at(published)), "{text:?}");
        }
    }
}
