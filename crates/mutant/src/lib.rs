//! Mutants: mistakes planted on purpose, to test whether the swarm finds them.
//!
//! Most are wrappers in the simulation, which alter what passes between the system
//! and its ledger, cloud or bus. The others are a branch where the mistake would be
//! made: `if planted(Mutant::NoDiscovery) { … }`. Without the feature `plant`,
//! [`planted`] is the constant `false` and the compiler removes the branch.

/// Defines the enumeration of the mistakes and the list of all of them from one
/// table: first those that any life can reach, then those that only requests over
/// a bus reach.
macro_rules! mistakes {
    (anywhere: { $($name:ident: $breaks:literal;)* } over_a_bus: { $($other:ident: $harms:literal;)* }) => {
        /// A planted mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(#[doc = concat!("The code ", $breaks, ".")] $name,)*
            $(#[doc = concat!("The code ", $harms, ".")] $other,)*
        }

        impl Mutant {
            /// Every mistake.
            pub const ALL: &[Mutant] = &[$(Mutant::$name,)* $(Mutant::$other,)*];

            /// What the code does wrong, for the table of the hunt.
            #[must_use]
            pub fn breaks(self) -> &'static str {
                match self {
                    $(Mutant::$name => $breaks,)*
                    $(Mutant::$other => $harms,)*
                }
            }

            /// Whether the hunt runs lives over a bus.
            #[must_use]
            pub fn is_over_a_bus(self) -> bool {
                matches!(self, $(Mutant::$other)|*)
            }
        }
    };
}

mistakes! {
    anywhere: {
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
        SelfApproval: "records the requester's vote";
        VoteTwice: "records two votes of one person";
        VoteForEver: "records expired votes";
        RevokedCounts: "counts revoked keys";
        DenialIgnored: "goes on after a denial";
        PlanIdTwice: "gives one id to two plans";
        NoDailySum: "does not add up the day";
        ExpireAgain: "asks for a teardown twice";
        DriftBlind: "does not see what is gone";
        NoBudget: "ignores the API budget";
        NoDiscovery: "overlooks the controllers' resources";
        ForceApply: "takes fields of others over";
        AnyUid: "deletes whatever has the name of an object";
        OutliveLeaseInside: "asks for certificates that outlive the lease";
        SecretInLedger: "records a password that it read";
    }
    over_a_bus: {
        AnswerEarly: "answers a vote before its record is durable";
        AnyBody: "answers another body as if it were the same";
        KeyOfProcess: "forgets idempotency keys at a restart";
        LookOnce: "does not look who was quicker with the same key";
        PlanOnce: "fails a request because somebody else wrote";
        SealOfAnybody: "takes a sealed plan from who did not ask for it";
        AnySeal: "does not check seals";
        RecordUnverified: "records votes that do not verify";
        VoteOnce: "refuses a vote that comes again";
        CountVotes: "starts by votes whose keys were revoked since";
        DenialWaits: "records a denial and lets the plan wait on";
        OlderRoster: "takes an older roster";
        FreeExtensions: "adds up nothing before an extension";
        NeverBusy: "takes on whatever comes";
        AnyLength: "takes messages of any length";
        LastField: "takes the last of two fields of one name";
        BrokenOff: "never takes up again what broke off";
        NewsOnly: "overlooks what waited before the process began";
        CursorFirst: "moves the cursor before the confirmation";
        PlansFirst: "publishes plans before what is older";
        FromTheHead: "publishes after a restart only what is new";
        NoMessageId: "publishes without message ids";
        StreamIsWhole: "does not see that a stream went back";
        FirstEventMissing: "begins a list of events one too late";
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

/// Whether a planted mistake overlooks why a vote was refused, by the code of
/// the refusal.
#[must_use]
pub fn overlooks(code: &str) -> bool {
    planted(Mutant::RecordUnverified)
        || match code {
            "self-approval" => planted(Mutant::SelfApproval),
            "duplicate" => planted(Mutant::VoteTwice),
            "expired" => planted(Mutant::VoteForEver),
            _ => false,
        }
}

/// Whether a mistake is planted: never, without the feature `plant`.
#[cfg(not(feature = "plant"))]
#[must_use]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}
