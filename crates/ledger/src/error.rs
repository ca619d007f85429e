//! Why the ledger refuses or cannot do something.

use exokit_model::canonical::CanonicalError;
use exokit_model::ids::{EnvironmentName, OperationId};
use jiff::Timestamp;

/// A record that cannot follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} cannot follow those before it: {why}")]
pub struct IllegalRecord {
    /// The record.
    pub seq: u64,
    /// Why.
    pub why: String,
}

impl IllegalRecord {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "run `exokit audit verify`; if the chain is whole, a newer version wrote the ledger"
    }
}

/// An error of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The lease was taken over or given back, so its holder must stop.
    #[error("epoch {epoch} of {operation} is over, the newest is {current}")]
    Fenced {
        /// The operation.
        operation: OperationId,
        /// The epoch that is over.
        epoch: u64,
        /// The newest epoch; the same one when it was given back.
        current: u64,
    },
    /// The ledger has records of an operation that was to be new.
    #[error("the ledger has records of {0} already")]
    Used(OperationId),
    /// Another writer wrote about the environment in the meantime.
    #[error("environment {environment} has changed: expected record {expected}, found {found}")]
    Stale {
        /// The environment.
        environment: EnvironmentName,
        /// Last record that the writer knew.
        expected: u64,
        /// Last record that there is.
        found: u64,
    },
    /// Another writer wrote in the meantime.
    #[error("the ledger has changed: expected record {expected}, found {found}")]
    HeadMoved {
        /// Last record that the writer knew.
        expected: u64,
        /// Last record that there is.
        found: u64,
    },
    /// Another process works on the operation.
    #[error("{operation} is being worked on by {holder} until {until}")]
    LeaseHeld {
        /// The operation.
        operation: OperationId,
        /// Who holds the lease.
        holder: String,
        /// When it ends at the latest, unless it is renewed.
        until: Timestamp,
    },
    /// An entry under a fence carries another epoch, or has no canonical form.
    #[error("the entries cannot be appended: {0}")]
    Entry(String),
    /// A write may or may not have reached the disk. Nothing more is written.
    #[error("the ledger stopped after a failed write: {0}")]
    Failed(String),
    /// Another process holds the database for too long: seconds that were waited.
    #[error("the ledger is busy: another process has been writing to it for {0} s")]
    Busy(u64),
    /// No space is left: where the ledger is.
    #[error("no space is left for the ledger at {0}")]
    Full(String),
    /// The file or folder cannot be written.
    #[error("the ledger at {path} cannot be written: {why}")]
    NotWritable {
        /// Where it is.
        path: String,
        /// What the system said.
        why: String,
    },
    /// The file is something else.
    #[error("{path} is not an exokit ledger: {why}")]
    NotALedger {
        /// Where it is.
        path: String,
        /// How it was noticed.
        why: String,
    },
    /// Written by a later version.
    #[error("the ledger at {path} has format {found}, this program knows {known}")]
    NewerFormat {
        /// Where it is.
        path: String,
        /// Its format.
        found: i64,
        /// The newest known format.
        known: i64,
    },
    /// Written by an earlier version, of which a process still runs. It is seen
    /// if it holds a lease, and since there is one lock file for each process
    /// also without one.
    #[error(
        "the ledger at {path} has format {found} and is in use: it can be brought to format {known} \
         only while no other process has it open"
    )]
    InUse {
        /// Where it is.
        path: String,
        /// Its format.
        found: i64,
        /// The format that it would get.
        known: i64,
    },
    /// The file is older than what this place had before.
    #[error("the ledger at {path} ends at record {found}, but it had come to record {noted} here")]
    RolledBack {
        /// Where it is.
        path: String,
        /// How far it had come.
        noted: u64,
        /// How far it comes now.
        found: u64,
    },
    /// A record is not what was written.
    #[error("record {seq} of the ledger is damaged: {why}")]
    Damaged {
        /// Which one.
        seq: u64,
        /// How it was noticed.
        why: String,
    },
    /// A record cannot follow those before it.
    #[error(transparent)]
    IllegalRecord(#[from] IllegalRecord),
    /// The rows that are computed from the records are not as they were
    /// written.
    #[error("the rows of the ledger are damaged: {0}")]
    Rows(String),
    /// Another error of the storage.
    #[error("{doing} the ledger at {path}: {why}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// Where it is.
        path: String,
        /// What the storage said.
        why: String,
    },
}

impl LedgerError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            LedgerError::Fenced { .. } => "another process goes on with the operation; watch it",
            LedgerError::Used { .. } => "make a new plan; this one was recorded before",
            LedgerError::Stale { .. } => "make the plan again from the present state",
            LedgerError::HeadMoved { .. } => "import only into an empty ledger, or try again",
            LedgerError::LeaseHeld { .. } => {
                "watch the operation; its lease ends by itself when the process has died"
            }
            LedgerError::Entry { .. } => "report this; it should not happen",
            LedgerError::Failed { .. } => {
                "check the disk and start exokit again; it goes on from the last durable record"
            }
            LedgerError::Busy { .. } => "end the other process or wait for it",
            LedgerError::Full { .. } => "free space and start exokit again; nothing was lost",
            LedgerError::NotWritable { .. } => {
                "give this user the right to write there, or choose another state folder"
            }
            LedgerError::NotALedger { .. } => "choose another state folder",
            LedgerError::NewerFormat { .. } => "use a newer version of exokit",
            LedgerError::InUse { .. } => {
                "stop every other exokit that uses this state folder, `exokit serve` among them, and try \
                 again; they must all be of this version from then on"
            }
            LedgerError::RolledBack { .. } => {
                "put the newest ledger back. What came after this one is forgotten: votes, denials, \
                 revoked keys, resources. Only if it is lost for good, remove `ledger.head` beside it \
                 and run `exokit sweep`"
            }
            LedgerError::Damaged { .. } => {
                "run `exokit audit verify` and restore the ledger from an export or a backup"
            }
            LedgerError::IllegalRecord(illegal) => illegal.hint(),
            LedgerError::Rows { .. } => {
                "another program wrote to the file, or the disk is bad. Run `exokit registry export` if the ledger still \
                 opens, otherwise take the newest export or backup, and import it into a new state folder"
            }
            LedgerError::Storage { .. } => "check the disk and the rights on the state folder",
        }
    }
}

impl LedgerError {
    /// Whether a change is refused for what it asks, and the storage is well.
    pub(crate) fn is_refusal(&self) -> bool {
        use LedgerError as E;
        matches!(
            self,
            E::Fenced { .. }
                | E::Used { .. }
                | E::Stale { .. }
                | E::HeadMoved { .. }
                | E::LeaseHeld { .. }
                | E::Entry { .. }
                | E::IllegalRecord(_)
        )
    }
}

impl From<CanonicalError> for LedgerError {
    fn from(error: CanonicalError) -> Self {
        LedgerError::Entry(error.to_string())
    }
}
