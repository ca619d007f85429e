//! What can be asked of the projection, and the answers.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::ids::{EnvironmentName, OperationId, PersonId, RoleName};
use jiff::Timestamp;
use rust_decimal::Decimal;

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

/// What was asked for on one day by one requester for one team: the sum of the
/// hourly rates of all plans but those rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub requester: PersonId,
    /// Whose budget it counts against.
    pub team: Option<RoleName>,
    /// The sum.
    pub hourly: Decimal,
}

/// What was asked for on one day, as sums of hourly rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requested {
    /// By the requester and everyone with the same human behind them.
    pub by_requester: Decimal,
    /// By the requester's team; zero without a team.
    pub by_team: Decimal,
}

impl Requested {
    /// Adds up the requests of a day, so that a large one cannot be split.
    /// `principal` names the human behind a requester; those for whom it gives
    /// the same count as one.
    #[must_use]
    pub fn sum<P: PartialEq>(
        requests: &[Request],
        requester: &PersonId,
        team: Option<&RoleName>,
        principal: &dyn Fn(&PersonId) -> P,
    ) -> Self {
        let human = principal(requester);
        let mut requested = Requested::default();
        for request in requests {
            if principal(&request.requester) == human {
                requested.by_requester = requested.by_requester.saturating_add(request.hourly);
            }
            if team.is_some() && request.team.as_ref() == team {
                requested.by_team = requested.by_team.saturating_add(request.hourly);
            }
        }
        requested
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
