//! Mistakes planted on purpose, to see whether the tests find them.
//!
//! Each is a mistake that somebody could make, at the place where it would be
//! made: `if planted(Mutant::SettleAtOnce) { … }`. Without the feature `plant`
//! [`planted`] is the constant `false`, and the compiler leaves nothing of it.

/// Makes the enumeration of the mistakes, and the list of all of them, from one
/// table.
macro_rules! mistakes {
    ($($name:ident: $breaks:literal;)*) => {
        /// A mistake, named for what goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(#[doc = concat!("The code ", $breaks, ".")] $name,)*
        }

        impl Mutant {
            /// Every mistake.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)*];

            /// What the code does wrong, for a table.
            #[must_use]
            pub fn breaks(self) -> &'static str {
                match self {
                    $(Mutant::$name => $breaks,)*
                }
            }
        }
    };
}

mistakes! {
    IntentAfterSend: "sends before the intent is durable";
    SettleAtOnce: "settles while the signature still holds";
    SettleOnce: "settles after one list";
    SignLong: "signs for ten minutes";
    OutliveLease: "signs beyond the lease";
    SendAgain: "sends a change again";
    ForgetFailed: "forgets what a failed operation leaves";
    UnreadableIsAbsent: "takes unreadable for absent";
    AdoptAnything: "adopts whatever carries the token";
    AdoptKey: "adopts a key whose secret is lost";
    NoFence: "writes without the fence";
    SameEpoch: "does not raise the epoch";
    AckEarly: "acknowledges before the flush";
    RollbackForgets: "rolls back without settling";
    GoneAtOnce: "takes accepted for gone";
    SelfApproval: "counts the requester's vote";
    VoteTwice: "counts a person twice";
    VoteForEver: "counts expired votes";
    RevokedCounts: "counts revoked keys";
    DenialIgnored: "goes on after a denial";
    PlanIdTwice: "gives one id to two plans";
    NoDailySum: "does not add up the day";
    ExpireAgain: "asks for a teardown twice";
    DriftBlind: "does not see what is gone";
    NoBudget: "ignores the API budget";
    NoDiscovery: "overlooks the controllers' resources";
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
