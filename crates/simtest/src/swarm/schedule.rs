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
    /// Whether it is asked for over a bus, of a service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bus: bool,
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
    /// Something of ours appears that no plan holds, or a bus confirms what it
    /// loses: the judge must see it.
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
    /// The bus, or somebody on it, misbehaves.
    Bus(Trouble),
    /// Messages are repeated: proposals, votes, the call to run.
    Repeat {
        /// When.
        stage: Stage,
    },
}

/// What goes wrong on a bus. Times are seconds from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trouble {
    /// The n-th request does not arrive as it was sent.
    Request {
        /// Which, from 1.
        nth: u32,
        /// How.
        mood: Mood,
    },
    /// The n-th reply is lost.
    Reply {
        /// Which, from 1.
        nth: u32,
    },
    /// The n-th confirmation of events does not come.
    Confirm {
        /// Which, from 1.
        nth: u32,
        /// So many of what it would have confirmed arrived.
        keep: u32,
    },
    /// Nobody reaches anybody.
    Away {
        /// When.
        at: u32,
        /// For so long.
        seconds: u32,
    },
    /// The server starts again, and loses what was on its way.
    Restart {
        /// When.
        at: u32,
    },
    /// The stream of events goes back to an older state.
    RolledBack {
        /// When.
        at: u32,
        /// Events that are left; 0 empties it.
        keep: u32,
    },
    /// The subscriber gets the newest events again, the last one first.
    Redelivered {
        /// When.
        at: u32,
        /// How many.
        last: u32,
    },
    /// The agent's host crashes.
    Crash {
        /// When.
        at: u32,
        /// Whether the unsynced half of the ledger survives.
        keep: bool,
    },
    /// Somebody else sends something.
    Stranger {
        /// When.
        at: u32,
        /// What.
        sends: Foreign,
    },
    /// Many requests at one moment.
    Flood {
        /// When.
        at: u32,
        /// How many.
        requests: u32,
    },
    /// The task that makes the n-th call to the cloud breaks off.
    BreaksOff {
        /// Which call.
        call: u32,
    },
    /// An approver leaves after voting, and somebody installs the old roster.
    Leaves,
    /// The requester asks for more and more time in small parts.
    Structuring,
    /// Somebody asks for an environment besides, and an approver denies it.
    Denied,
}

/// What becomes of a request on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mood {
    /// It is lost.
    Lost,
    /// It comes, and comes again.
    Twice {
        /// So much later.
        ms: u64,
    },
    /// It comes late.
    Late {
        /// By so much.
        ms: u64,
    },
}

/// What other users of a bus send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    /// A vote in an approver's name, with a signature that is of another.
    ForgedVote,
    /// A sealed plan that was altered.
    AlteredPlan,
    /// A sealed plan that somebody else asked for.
    OthersPlan,
    /// Another wish under a requester's name and key.
    OthersKey,
    /// A message longer than any that is taken.
    Oversize,
    /// A name with a character that turns the text around.
    Bidi,
    /// A field twice.
    Twice,
    /// Lists in lists in lists.
    Deep,
    /// No JSON.
    Garbage,
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
