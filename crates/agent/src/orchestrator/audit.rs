//! What was handed on, and when: one line for each vote, on the disk before
//! the agent hears of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::gate::Vote;

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
    pub(super) fn write(&self, task: &str, votes: &[Vote], at: Timestamp) -> io::Result<()> {
        if votes.is_empty() {
            return Ok(());
        }
        let lines: String = votes.iter().map(|vote| format!("{}\n", line(task, vote, at))).collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }
}

/// What is written of one vote. One that does not verify says why, by the code
/// of its refusal.
fn line(task: &str, vote: &Vote, at: Timestamp) -> Value {
    let Vote { claims, flaw } = vote;
    json!({
        "at": at, "task": task, "verified": flaw.is_none(), "flaw": flaw,
        "plan_digest": claims.plan_digest, "person": claims.person, "decision": claims.decision,
        "action": claims.action, "environment": claims.environment, "level": claims.level,
        "key_id": claims.key_id, "nonce": claims.nonce,
    })
}
