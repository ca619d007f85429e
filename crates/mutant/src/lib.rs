//! Mistakes planted on purpose, to see whether the tests find them.
//!
//! Each is a mistake that somebody could make, at the place where it would be
//! made: `if planted(Mutant::SettleAtOnce) { … }`. Without the feature `plant`
//! [`planted`] is the constant `false`, and the compiler leaves nothing of it.

/// A mistake, named for what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// The request is sent before its intent is durable.
    IntentAfterSend,
    /// A request in doubt is settled while its signature still holds.
    SettleAtOnce,
    /// A request in doubt is settled after one list, however much lists lag.
    SettleOnce,
    /// Requests are signed for ten minutes.
    SignLong,
    /// Requests are signed beyond the end of the lease.
    OutliveLease,
    /// A change is sent again when its reply is lost.
    SendAgain,
    /// What a failed cloud operation leaves is forgotten.
    ForgetFailed,
    /// What cannot be read counts as absent.
    UnreadableIsAbsent,
    /// Whatever carries the token is adopted, whatever it is.
    AdoptAnything,
    /// A key whose secret was lost is adopted.
    AdoptKey,
    /// Records are written without the fence of the lease.
    NoFence,
    /// Whoever takes a lease gets the epoch of the last holder.
    SameEpoch,
    /// A writer is told that it is durable before it is.
    AckEarly,
    /// A rollback forgets requests whose outcome is not known.
    RollbackForgets,
    /// What the cloud has agreed to remove counts as gone.
    GoneAtOnce,
    /// Requesters may approve their own plans.
    SelfApproval,
    /// One person may vote twice.
    VoteTwice,
    /// Votes never expire.
    VoteForEver,
    /// Revoked keys still count.
    RevokedCounts,
    /// A denial of a running plan stops nothing.
    DenialIgnored,
    /// Two plans may have one id.
    PlanIdTwice,
    /// What was asked for earlier in the day is not added up.
    NoDailySum,
    /// An expired environment asks again and again for its teardown.
    ExpireAgain,
    /// What a human removed is not reported.
    DriftBlind,
    /// Calls do not wait for their turn in the budget.
    NoBudget,
    /// A teardown does not look for what the cluster's controllers made.
    NoDiscovery,
}

impl Mutant {
    /// Every mistake.
    pub const ALL: [Mutant; 26] = [
        Mutant::IntentAfterSend,
        Mutant::SettleAtOnce,
        Mutant::SettleOnce,
        Mutant::SignLong,
        Mutant::OutliveLease,
        Mutant::SendAgain,
        Mutant::ForgetFailed,
        Mutant::UnreadableIsAbsent,
        Mutant::AdoptAnything,
        Mutant::AdoptKey,
        Mutant::NoFence,
        Mutant::SameEpoch,
        Mutant::AckEarly,
        Mutant::RollbackForgets,
        Mutant::GoneAtOnce,
        Mutant::SelfApproval,
        Mutant::VoteTwice,
        Mutant::VoteForEver,
        Mutant::RevokedCounts,
        Mutant::DenialIgnored,
        Mutant::PlanIdTwice,
        Mutant::NoDailySum,
        Mutant::ExpireAgain,
        Mutant::DriftBlind,
        Mutant::NoBudget,
        Mutant::NoDiscovery,
    ];

    /// What it breaks, for a table.
    #[must_use]
    pub fn breaks(self) -> &'static str {
        match self {
            Mutant::IntentAfterSend => "sends before the intent is durable",
            Mutant::SettleAtOnce => "settles while the signature still holds",
            Mutant::SettleOnce => "settles after one list",
            Mutant::SignLong => "signs for ten minutes",
            Mutant::OutliveLease => "signs beyond the lease",
            Mutant::SendAgain => "sends a change again",
            Mutant::ForgetFailed => "forgets what a failed operation leaves",
            Mutant::UnreadableIsAbsent => "takes unreadable for absent",
            Mutant::AdoptAnything => "adopts whatever carries the token",
            Mutant::AdoptKey => "adopts a key whose secret is lost",
            Mutant::NoFence => "writes without the fence",
            Mutant::SameEpoch => "does not raise the epoch",
            Mutant::AckEarly => "acknowledges before the flush",
            Mutant::RollbackForgets => "rolls back without settling",
            Mutant::GoneAtOnce => "takes accepted for gone",
            Mutant::SelfApproval => "counts the requester's vote",
            Mutant::VoteTwice => "counts a person twice",
            Mutant::VoteForEver => "counts expired votes",
            Mutant::RevokedCounts => "counts revoked keys",
            Mutant::DenialIgnored => "goes on after a denial",
            Mutant::PlanIdTwice => "gives one id to two plans",
            Mutant::NoDailySum => "does not add up the day",
            Mutant::ExpireAgain => "asks for a teardown twice",
            Mutant::DriftBlind => "does not see what is gone",
            Mutant::NoBudget => "ignores the API budget",
            Mutant::NoDiscovery => "overlooks the controllers' resources",
        }
    }
}

#[cfg(feature = "plant")]
mod plant {
    use std::cell::Cell;

    use super::Mutant;

    // One per thread: a simulation runs on one thread, and several may run at
    // once.
    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants one mistake in this thread, or none.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    /// Whether a mistake is planted in this thread.
    #[must_use]
    pub fn planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }
}

#[cfg(feature = "plant")]
pub use plant::{plant, planted};

/// Whether a mistake is planted: never, without the feature `plant`.
#[cfg(not(feature = "plant"))]
#[must_use]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}
