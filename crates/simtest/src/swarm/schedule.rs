//! A schedule: everything that will go wrong in one run, item by item, so
//! that items can be taken away, kept in a file, and replayed when the code
//! has changed. It speaks of the n-th request of an operation, of polls of a
//! process and of virtual seconds, never of draws of a generator.

use exokit_sim::FaultRule;
use serde::{Deserialize, Serialize};

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Seeds what is not on the schedule: latencies and ids of the cloud.
    pub seed: u64,
    /// The template that is asked for, 1 to 7.
    pub template: u16,
    /// The approval level that is asked for at least.
    pub level: u8,
    /// Whether a request whose client died on the way arrives all the same.
    pub arrives_late: bool,
    /// What goes wrong.
    pub items: Vec<Item>,
}

/// The part of a life that an item belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Planning, proposing and voting on the provision.
    AskProvision,
    /// The provision.
    Provision,
    /// Between the two.
    Rest,
    /// Planning, proposing and voting on the teardown.
    AskTeardown,
    /// The teardown.
    Teardown,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Number of the fault in the failure model.
    pub fault: u8,
    /// What happens.
    pub what: What,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// The cloud misbehaves on the requests that the rule names.
    Cloud(FaultRule),
    /// The whole host crashes when a process has been polled so often.
    Crash {
        /// When.
        stage: Stage,
        /// The process that crashes, counted from 0 within the stage.
        process: u32,
        /// After so many polls.
        polls: u64,
        /// Whether the unsynced half of the ledger survives.
        keep: bool,
        /// Whether others can tell that the process died.
        seen: bool,
    },
    /// A process stops for a while, as under SIGSTOP, and another one starts.
    Pause {
        /// When.
        stage: Stage,
        /// The process that stops.
        process: u32,
        /// After so many polls.
        polls: u64,
        /// For so long.
        seconds: u32,
    },
    /// The clock of the host is wrong by so many seconds for a while.
    Clock {
        /// When.
        stage: Stage,
        /// Seconds after the beginning of the stage.
        at: u32,
        /// Positive: it is ahead of the cloud's.
        ahead: i32,
        /// For so many seconds.
        seconds: u32,
    },
    /// Writing to the ledger fails.
    Disk {
        /// The n-th write of the run, from 1.
        write: u32,
        /// How.
        failure: DiskFailure,
    },
    /// Something of ours appears that no plan holds: the judge must see it.
    Canary,
    /// An older copy of the ledger is looked at after the provision.
    Backup,
    /// The environment outlives its time.
    Outlive,
    /// A bit of a record is flipped.
    Flip {
        /// Picks the record.
        pick: u32,
    },
    /// Somebody does something.
    Act {
        /// When.
        stage: Stage,
        /// Seconds after the beginning of the stage.
        at: u32,
        /// What.
        act: Act,
    },
    /// Somebody casts a vote that must not count, before the good ones.
    Vote {
        /// When: one of the two stages of asking.
        stage: Stage,
        /// Which.
        vote: BadVote,
    },
    /// Somebody asks for something that must not be granted as asked.
    Ask(BadRequest),
    /// Messages are repeated: proposals, votes, the call to run.
    Repeat {
        /// When.
        stage: Stage,
    },
}

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFailure {
    /// No space for the next so many writes.
    Full {
        /// How many.
        writes: u32,
    },
    /// The flush failed; what was written is there after the restart.
    FailedKept,
    /// The flush failed; what was written is not there after the restart.
    FailedLost,
}

/// What people and the cloud's controllers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// A human deletes a resource of ours.
    Delete {
        /// Picks the resource.
        pick: u32,
    },
    /// A human takes the labels off a resource of ours.
    Relabel {
        /// Picks the resource.
        pick: u32,
    },
    /// A human renames a resource of ours.
    Rename {
        /// Picks the resource.
        pick: u32,
    },
    /// Somebody's resource carries a copy of our labels.
    LookAlike {
        /// Picks the resource that is copied.
        pick: u32,
    },
    /// The name of a bucket or a group is taken by somebody else.
    TakeName {
        /// Picks the resource.
        pick: u32,
    },
    /// The cloud controller makes a load balancer.
    Balancer,
    /// The storage driver makes a volume.
    Volume,
    /// Somebody puts objects into the bucket.
    FillBucket,
    /// Somebody protects the database.
    Protect,
    /// An approver denies the plan that runs.
    Deny,
    /// The key of an approver is revoked.
    Revoke,
    /// Somebody asks for the teardown meanwhile.
    AskTeardown,
    /// Somebody casts a vote again that was counted.
    VoteAgain,
}

/// Votes that must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadVote {
    /// The requester's own.
    OwnPlan,
    /// That of the one whose agent asked.
    OwnAgent,
    /// A second one, with another key of the same person.
    SecondKey,
    /// The same token again.
    Again,
    /// One that has expired.
    Expired,
    /// One for another plan.
    OtherPlan,
    /// One for another environment.
    OtherEnvironment,
    /// One with a key that was revoked.
    RevokedKey,
    /// One that somebody else signed.
    Forged,
}

/// Requests that must not be granted as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadRequest {
    /// What the cloud does not offer.
    NotOffered,
    /// A plan altered after it was made, under the same name.
    Altered,
    /// Many small requests instead of one large.
    Structuring,
    /// A policy that demands more, after the vote.
    PolicyMoved,
}

impl What {
    /// Whether somebody acts, or the clock is set, in a stage.
    #[must_use]
    pub fn is_act_in(&self, stage: Stage) -> bool {
        matches!(self, What::Act { stage: own, .. } | What::Clock { stage: own, .. } if *own == stage)
    }
}

impl Schedule {
    /// Only the items of these faults; all of them when none is named.
    #[must_use]
    pub fn only(mut self, faults: &[u8]) -> Self {
        self.items.retain(|item| faults.is_empty() || faults.contains(&item.fault));
        self
    }

    /// What the cloud is told to do.
    pub fn cloud(&self) -> impl Iterator<Item = &FaultRule> {
        self.items.iter().filter_map(|item| match &item.what {
            What::Cloud(rule) => Some(rule),
            _ => None,
        })
    }
}
