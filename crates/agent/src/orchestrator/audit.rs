//! What was handed on, and when: one line for each vote, on the disk before
//! the agent hears of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use exokit_model::approval::ApprovalClaims;
use jiff::Timestamp;
use serde_json::json;

/// The audit log.
#[derive(Debug)]
pub struct Audit {
    file: Mutex<File>,
}

impl Audit {
    /// Opens the log for more lines, or makes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Writes down votes that are about to be handed on.
    ///
    /// # Errors
    /// When they are not on the disk.
    pub(super) fn write(&self, task: &str, votes: &[ApprovalClaims], at: Timestamp) -> io::Result<()> {
        if votes.is_empty() {
            return Ok(());
        }
        let lines = votes.iter().map(|vote| {
            let line = json!({
                "at": at, "task": task, "plan_digest": vote.plan_digest, "person": vote.person,
                "decision": vote.decision, "action": vote.action, "environment": vote.environment,
                "level": vote.level, "key_id": vote.key_id, "nonce": vote.nonce,
            });
            format!("{line}\n")
        });
        let lines: String = lines.collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }
}
