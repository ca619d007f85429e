//! Queries of the rows, and their answers.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::phase::Phase;
use jiff::Timestamp;

use super::environment::EnvironmentView;
use super::operation::OperationSummary;

/// Which environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Environments {
    /// Every one that was ever planned.
    All,
    /// Those that are not gone, rolled back or rejected.
    Present,
    /// A page of them: the first so many whose names come after that one.
    Page {
        /// After which name; from the first without one.
        after: Option<EnvironmentName>,
        /// Whether those that are over are among them.
        all: bool,
        /// Most of them.
        most: u32,
    },
    /// The one with this name.
    Named(EnvironmentName),
    /// Those present whose time was over at this time.
    Expired(Timestamp),
}

impl Environments {
    /// Whether an environment is asked for; the limit of a page apart.
    pub(crate) fn admits(&self, view: &EnvironmentView) -> bool {
        match self {
            Environments::All => true,
            Environments::Present => !view.is_over(),
            Environments::Page { after, all, .. } => {
                (*all || !view.is_over()) && after.as_ref().is_none_or(|after| view.environment > *after)
            }
            Environments::Named(name) => view.environment == *name,
            Environments::Expired(now) => !view.is_over() && view.expires_at.is_some_and(|at| at <= *now),
        }
    }
}

/// Which operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operations {
    /// Every one.
    All,
    /// The one with this id.
    Named(OperationId),
    /// Those that began and neither ended nor wait for a human.
    Active,
    /// Those that wait for approval and may still start at this time.
    Waiting(Timestamp),
    /// Those of an environment that have not ended.
    Open(EnvironmentName),
    /// Those of plans whose digest begins with these digits.
    Digest(String),
}

impl Operations {
    /// Whether an operation is asked for.
    pub(crate) fn admits(&self, operation: &OperationSummary) -> bool {
        match self {
            Operations::All => true,
            Operations::Named(id) => operation.operation == *id,
            Operations::Active => matches!(operation.phase, Phase::Running | Phase::RollingBack { .. }),
            Operations::Waiting(now) => {
                operation.phase == Phase::AwaitingApproval && operation.not_after >= *now
            }
            Operations::Open(name) => operation.environment == *name && !operation.phase.is_terminal(),
            Operations::Digest(digits) => operation.digest.to_string().starts_with(digits),
        }
    }
}

/// What is known of resources that were found in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Of the ids: those that belong to an environment now.
    pub live: BTreeSet<String>,
    /// Of the marks: those of a plan, with whether its operation has begun and
    /// is unfinished, so that it may still take something in.
    pub marks: BTreeMap<String, bool>,
}

/// Length of the short form of an owner token, which names end with.
const SHORT: usize = 10;

/// The owner tokens that a mark may stand for: from the first up to, and not
/// with, the second. A short mark stands for every token that begins with it.
pub(crate) fn tokens_of(mark: &str) -> (String, String) {
    let after = if mark.len() == SHORT { '~' } else { '\u{0}' };
    (mark.to_owned(), format!("{mark}{after}"))
}
