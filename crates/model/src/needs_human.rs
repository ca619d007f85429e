//! The listed causes for which an operation stops and asks a human.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::NodeKey;
use crate::text::{ForeignText, join};

/// Why an operation cannot go on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum NeedsHuman {
    /// More than one cloud resource carries the mark of one node.
    Ambiguous {
        /// The node.
        node: NodeKey,
        /// The ids found.
        ids: Vec<ForeignText>,
    },
    /// A name that must be unique belongs to somebody else.
    NameTaken {
        /// The node.
        node: NodeKey,
        /// The name.
        name: ForeignText,
    },
    /// The step failed as often as it may.
    AttemptsExhausted {
        /// The node.
        node: NodeKey,
        /// Last problem.
        last: ForeignText,
    },
    /// The cloud refused and will go on refusing.
    Refused {
        /// The node.
        node: NodeKey,
        /// HTTP status.
        status: u16,
        /// Message of the cloud.
        message: ForeignText,
    },
    /// Credentials do not work (any more).
    Credentials {
        /// HTTP status.
        status: u16,
        /// Message of the cloud.
        message: ForeignText,
    },
    /// The approval no longer holds: expired, revoked, or the roster changed.
    ApprovalLost {
        /// Reason code of the refusal.
        code: ForeignText,
        /// The refusal in words.
        why: ForeignText,
    },
    /// A resource does not go away.
    DeleteStuck {
        /// The node.
        node: NodeKey,
        /// Last message of the cloud.
        last: ForeignText,
    },
    /// The final check found something that should be gone.
    NotClean {
        /// What was found, as `kind id`.
        found: Vec<ForeignText>,
    },
    /// A resource that the plan does not name depends on one that is to be
    /// removed. Nobody has approved its removal.
    Unplanned {
        /// The node.
        node: NodeKey,
        /// What hangs on it, as `kind name (id)`.
        found: Vec<ForeignText>,
    },
    /// Something could not be observed, so nothing may be concluded.
    Unobservable {
        /// What, and why.
        what: ForeignText,
    },
}

impl NeedsHuman {
    /// Short stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            NeedsHuman::Ambiguous { .. } => "ambiguous",
            NeedsHuman::NameTaken { .. } => "name-taken",
            NeedsHuman::AttemptsExhausted { .. } => "attempts-exhausted",
            NeedsHuman::Refused { .. } => "refused",
            NeedsHuman::Credentials { .. } => "credentials",
            NeedsHuman::ApprovalLost { .. } => "approval-lost",
            NeedsHuman::DeleteStuck { .. } => "delete-stuck",
            NeedsHuman::NotClean { .. } => "not-clean",
            NeedsHuman::Unplanned { .. } => "unplanned",
            NeedsHuman::Unobservable { .. } => "unobservable",
        }
    }
}

impl fmt::Display for NeedsHuman {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NeedsHuman::Ambiguous { node, ids } => {
                write!(f, "{node}: {} resources carry its mark: {}", ids.len(), join(ids, ", "))
            }
            NeedsHuman::NameTaken { node, name } => {
                write!(f, "{node}: the name {name} belongs to somebody else")
            }
            NeedsHuman::AttemptsExhausted { node, last } => {
                write!(f, "{node}: gave up after the last attempt: {last}")
            }
            NeedsHuman::Refused { node, status, message } => {
                write!(f, "{node}: the cloud refuses ({status}): {message}")
            }
            NeedsHuman::Credentials { status, message } => {
                write!(f, "the cloud does not accept the credentials ({status}): {message}")
            }
            NeedsHuman::ApprovalLost { code, why } => {
                write!(f, "the approval no longer holds ({code}): {why}")
            }
            NeedsHuman::DeleteStuck { node, last } => write!(f, "{node}: does not go away: {last}"),
            NeedsHuman::NotClean { found } => {
                write!(f, "left after teardown: {}", join(found, ", "))
            }
            NeedsHuman::Unplanned { node, found } => {
                write!(f, "{node}: what the plan does not name hangs on it: {}", join(found, ", "))
            }
            NeedsHuman::Unobservable { what } => write!(f, "cannot be observed: {what}"),
        }
    }
}
