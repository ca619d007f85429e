//! Whether the holder of a lease is alive: each holder keeps a lock of the
//! operating system on a file of its own, which ends with its process.
//!
//! There is one file for each epoch, so that a holder that was taken over and
//! still runs cannot be mistaken for its successor.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;

use exokit_model::ids::OperationId;

/// The lock files of one ledger folder, and those that this process holds.
#[derive(Debug)]
pub(super) struct Liveness {
    folder: PathBuf,
    held: BTreeMap<(OperationId, u64), File>,
}

impl Liveness {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, held: BTreeMap::new() }
    }

    fn path(&self, operation: &OperationId, epoch: u64) -> PathBuf {
        self.folder.join(format!("{operation}.{epoch}.lock"))
    }

    /// Shows that this process holds the lease, for as long as it lives.
    pub(super) fn hold(&mut self, operation: &OperationId, epoch: u64) -> io::Result<()> {
        let seat = (operation.clone(), epoch);
        // Held since an attempt to take the lease that did not become durable.
        if self.held.contains_key(&seat) {
            return Ok(());
        }
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.path(operation, epoch))?;
        file.try_lock()?;
        self.held.insert(seat, file);
        Ok(())
    }

    /// Whether the holder is proven dead. Without its file nothing is proven.
    pub(super) fn is_dead(&self, operation: &OperationId, epoch: u64) -> bool {
        if self.held.contains_key(&(operation.clone(), epoch)) {
            return false;
        }
        OpenOptions::new()
            .write(true)
            .open(self.path(operation, epoch))
            .is_ok_and(|file| file.try_lock().is_ok())
    }

    /// Ends the proof for a lease that is over.
    pub(super) fn forget(&mut self, operation: &OperationId, epoch: u64) {
        self.held.remove(&(operation.clone(), epoch));
        // A file that stays behind says nothing about any later epoch.
        let _ = std::fs::remove_file(self.path(operation, epoch));
    }
}
