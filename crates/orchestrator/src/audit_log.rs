//! The audit log of votes: one line for each vote, on the disk before the agent
//! receives it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::approval_gate::Vote;

/// The audit log.
#[derive(Debug)]
pub struct AuditLog {
    file: Mutex<File>,
}

impl AuditLog {
    /// Opens the log to append lines, or creates it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Appends votes that are about to be forwarded, and syncs them to the disk.
    pub(crate) fn append(&self, task: &str, votes: &[Vote], at: Timestamp) -> io::Result<()> {
        if votes.is_empty() {
            return Ok(());
        }
        let lines: String = votes.iter().map(|vote| format!("{}\n", line(task, vote, at))).collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }
}

/// The line of one vote. For a vote that does not verify, `flaw` is the code of
/// its refusal.
fn line(task: &str, vote: &Vote, at: Timestamp) -> Value {
    let Vote { claims, flaw } = vote;
    json!({
        "at": at, "task": task, "verified": flaw.is_none(), "flaw": flaw,
        "plan_digest": claims.plan_digest, "person": claims.person, "decision": claims.decision,
        "action": claims.action, "environment": claims.environment, "level": claims.level,
        "key_id": claims.key_id, "nonce": claims.nonce,
    })
}
