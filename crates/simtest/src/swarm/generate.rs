//! From a seed to a schedule. Each seed switches each class of faults on or
//! off, so that some runs are full of one thing and free of another: what
//! hides behind a frequent fault is met as well.

use exokit_sim::{Fault, FaultRule, Matcher};

use super::schedule::{
    Act, BadRequest, BadVote, DiskFailure, Foreign, Item, Mood, Schedule, Stage, Trouble, What,
};

/// The template of most runs is the smallest; the others take longer and show
/// databases, keys and buckets.
const TEMPLATES: [u16; 20] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 5, 5, 2, 2, 3, 3, 4, 6, 7, 7];

/// The schedule of a seed.
#[must_use]
pub fn schedule(seed: u64) -> Schedule {
    let mut draw = Draw(fastrand::Rng::with_seed(seed));
    let template = draw.one_of(&TEMPLATES);
    let level = draw.one_of(&[1, 2, 2, 2, 3]);
    let arrives_late = draw.chance(50);
    let items = drawn(&mut draw, CLASSES);
    Schedule { seed, template, level, arrives_late, items, bus: false }
}

/// The schedule of a seed for a life that is asked for over a bus. It has draws
/// of its own: those of [`schedule`] stay what they were.
#[must_use]
pub fn conversation(seed: u64) -> Schedule {
    let mut draw = Draw(fastrand::Rng::with_seed(!seed));
    let level = draw.one_of(&[1, 2, 2, 3, 3]);
    let arrives_late = draw.chance(50);
    let items = drawn(&mut draw, ON_THE_BUS);
    Schedule { seed, template: 1, level, arrives_late, items, bus: true }
}

fn drawn(draw: &mut Draw, classes: &[Class]) -> Vec<Item> {
    let mut items = Vec::new();
    for class in classes {
        if draw.chance(class.percent) {
            let count = draw.0.u32(1..=class.most);
            items.extend((0..count).map(|_| Item { fault: class.fault, what: (class.make)(draw) }));
        }
    }
    items
}

/// A schedule that must fail: it shows that the judge is not blind.
#[must_use]
pub fn canary() -> Schedule {
    let items = vec![Item { fault: 0, what: What::Canary }];
    Schedule { seed: 0, template: 1, level: 1, arrives_late: false, items, bus: false }
}

/// The same over a bus, which loses events and confirms them.
#[must_use]
pub fn canary_on_the_bus() -> Schedule {
    let lost = What::Bus(Trouble::Confirm { nth: 3, keep: 0 });
    let items = [What::Canary, lost].map(|what| Item { fault: 0, what }).to_vec();
    Schedule { seed: 1, items, bus: true, ..canary() }
}

/// One class of faults: how often it is on, and how many of it there are then.
struct Class {
    fault: u8,
    percent: u8,
    most: u32,
    make: fn(&mut Draw) -> What,
}

const fn class(fault: u8, percent: u8, most: u32, make: fn(&mut Draw) -> What) -> Class {
    Class { fault, percent, most, make }
}

/// Every class. What is rare in itself is on more rarely, so that enough runs
/// come to an end that others can build on.
const CLASSES: &[Class] = &[
    class(1, 50, 3, crash),
    class(3, 5, 1, flip),
    class(5, 30, 2, refusal),
    class(6, 25, 2, too_many),
    class(7, 30, 3, not_done),
    class(8, 40, 3, done_unheard),
    class(9, 30, 2, late),
    class(10, 30, 2, operation),
    class(11, 40, 3, lag),
    class(12, 30, 3, strange),
    class(13, 30, 2, repeat),
    class(16, 30, 2, pause),
    class(17, 20, 2, clock),
    class(18, 25, 2, disk),
    class(19, 3, 1, |_| What::Backup),
    class(20, 15, 1, credentials),
    class(21, 10, 1, quota),
    class(22, 20, 2, human),
    class(23, 12, 2, stranger),
    class(24, 15, 2, controller),
    class(25, 10, 1, data),
    class(27, 15, 2, partial_vote),
    class(28, 20, 2, wrong_vote),
    class(28, 8, 1, changed_mind),
    class(29, 8, 1, altered),
    class(30, 4, 1, |_| What::Ask(BadRequest::Structuring)),
    class(32, 5, 1, |_| What::Ask(BadRequest::NotOffered)),
    class(35, 15, 1, meanwhile),
];

/// The classes of a life over a bus.
const ON_THE_BUS: &[Class] = &[
    class(1, 30, 2, |draw| {
        let keep = draw.chance(50);
        What::Bus(Trouble::Crash { at: draw.second(), keep })
    }),
    class(7, 10, 2, not_done),
    class(8, 10, 2, done_unheard),
    class(13, 60, 6, bad_request),
    class(13, 40, 4, |draw| What::Bus(Trouble::Reply { nth: draw.message() })),
    class(13, 25, 2, |draw| What::Bus(Trouble::Redelivered { at: draw.second(), last: draw.0.u32(1..30) })),
    class(14, 40, 3, |draw| What::Bus(Trouble::Away { at: draw.second(), seconds: draw.0.u32(2..240) })),
    class(14, 40, 4, |draw| {
        let keep = draw.0.u32(0..3);
        What::Bus(Trouble::Confirm { nth: draw.0.u32(1..40), keep })
    }),
    class(14, 50, 3, |draw| What::Bus(Trouble::Restart { at: draw.second() })),
    class(14, 20, 1, |draw| {
        let keep = draw.one_of(&[0, 0, 5, 20]);
        What::Bus(Trouble::RolledBack { at: draw.second(), keep })
    }),
    class(15, 40, 3, |draw| stranger_on_the_bus(draw, &FORGERIES)),
    class(18, 25, 2, |draw| {
        let (write, failure) = (draw.0.u32(1..60), disk_failure(draw));
        What::Disk { write, failure }
    }),
    class(30, 15, 1, |_| What::Bus(Trouble::Structuring)),
    class(31, 30, 1, |_| What::Bus(Trouble::Leaves)),
    class(32, 30, 3, |draw| stranger_on_the_bus(draw, &HOSTILE)),
    class(34, 20, 1, |draw| What::Bus(Trouble::Flood { at: draw.second(), requests: draw.0.u32(20..60) })),
    class(34, 20, 1, |draw| What::Bus(Trouble::BreaksOff { call: draw.0.u32(1..80) })),
    // What came later stands last: all that is drawn before it stays what it was.
    class(28, 15, 1, |_| What::Bus(Trouble::Denied)),
    class(13, 20, 1, |draw| {
        let (nth, ms) = (draw.0.u32(1..4), draw.0.u64(1..600));
        What::Bus(Trouble::Request { nth, mood: Mood::Twice { ms } })
    }),
];

const FORGERIES: [Foreign; 4] =
    [Foreign::ForgedVote, Foreign::AlteredPlan, Foreign::OthersPlan, Foreign::OthersKey];

const HOSTILE: [Foreign; 5] =
    [Foreign::Oversize, Foreign::Bidi, Foreign::Twice, Foreign::Deep, Foreign::Garbage];

fn stranger_on_the_bus(draw: &mut Draw, choices: &[Foreign]) -> What {
    What::Bus(Trouble::Stranger { at: draw.second(), sends: draw.one_of(choices) })
}

fn bad_request(draw: &mut Draw) -> What {
    let mood = match draw.0.u8(0..3) {
        0 => Mood::Lost,
        1 => Mood::Twice { ms: draw.0.u64(1..30_000) },
        _ => Mood::Late { ms: draw.0.u64(100..60_000) },
    };
    What::Bus(Trouble::Request { nth: draw.message(), mood })
}

/// Draws.
struct Draw(fastrand::Rng);

impl Draw {
    fn chance(&mut self, percent: u8) -> bool {
        self.0.u8(0..100) < percent
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())]
    }

    /// A stage in which an operation runs.
    fn running(&mut self) -> Stage {
        self.one_of(&[Stage::Provision, Stage::Provision, Stage::Teardown])
    }

    fn rule(&mut self, operation: &str, nth_max: u64, times: u64, fault: Fault) -> What {
        let nth = (times == 1).then(|| self.0.u64(1..=nth_max));
        let times = (times > 1).then_some(times);
        let operation = Some(operation.to_owned());
        What::Cloud(FaultRule { when: Matcher { operation, nth, times, ..Matcher::default() }, fault })
    }

    fn creation(&mut self) -> &'static str {
        self.one_of(&CREATIONS)
    }

    fn change(&mut self) -> &'static str {
        match self.chance(60) {
            true => self.creation(),
            false => self.one_of(&DELETIONS),
        }
    }

    /// A second of a life over a bus.
    fn second(&mut self) -> u32 {
        match self.chance(30) {
            true => self.0.u32(1..20),
            false => self.0.u32(1..700),
        }
    }

    /// The number of a message: the first ones matter most.
    fn message(&mut self) -> u32 {
        match self.chance(50) {
            true => self.0.u32(1..6),
            false => self.0.u32(1..50),
        }
    }

    fn read(&mut self) -> &'static str {
        self.one_of(&READS)
    }
}

const CREATIONS: [&str; 9] = [
    "create-security-group",
    "add-rule-to-security-group",
    "create-anti-affinity-group",
    "create-sks-cluster",
    "create-sks-nodepool",
    "create-dbaas-service-pg",
    "create-iam-role",
    "create-api-key",
    "create-*",
];

const DELETIONS: [&str; 8] = [
    "delete-security-group",
    "delete-rule-from-security-group",
    "delete-anti-affinity-group",
    "delete-sks-cluster",
    "delete-sks-nodepool",
    "delete-dbaas-service",
    "delete-api-key",
    "delete-*",
];

const READS: [&str; 7] = [
    "get-operation",
    "get-sks-*",
    "list-sks-clusters",
    "list-security-groups",
    "list-*",
    "get-*",
    "get-organization",
];

fn crash(draw: &mut Draw) -> What {
    let stage = match draw.chance(12) {
        true => draw.one_of(&[Stage::AskProvision, Stage::AskTeardown]),
        false => draw.running(),
    };
    What::Crash {
        stage,
        process: draw.one_of(&[0, 0, 0, 1, 1, 2]),
        polls: draw.0.u64(0..400),
        keep: draw.chance(50),
        seen: draw.chance(60),
    }
}

fn flip(draw: &mut Draw) -> What {
    What::Flip { pick: draw.0.u32(..) }
}

fn status(status: u16, after_effect: bool, retry_after: Option<u64>) -> Fault {
    Fault::Status { status, message: None, retry_after, after_effect }
}

fn refusal(draw: &mut Draw) -> What {
    let code = draw.one_of(&[400, 400, 402, 404, 404, 409, 409, 412, 422]);
    let operation = draw.change();
    let times = draw.one_of(&[1, 1, 1, 2, 20]);
    draw.rule(operation, 3, times, status(code, false, None))
}

fn too_many(draw: &mut Draw) -> What {
    let operation = if draw.chance(50) { draw.change() } else { draw.read() };
    let wait = draw.one_of(&[None, Some(1), Some(5), Some(30)]);
    let times = draw.one_of(&[1, 2, 5]);
    draw.rule(operation, 6, times, status(429, false, wait))
}

fn not_done(draw: &mut Draw) -> What {
    let operation = if draw.chance(60) { draw.change() } else { draw.read() };
    let fault = match draw.chance(50) {
        true => Fault::DropBefore,
        false => status(draw.one_of(&[500, 502, 503, 504]), false, None),
    };
    let times = draw.one_of(&[1, 1, 2, 4]);
    draw.rule(operation, 4, times, fault)
}

fn done_unheard(draw: &mut Draw) -> What {
    let operation = draw.change();
    let fault = match draw.0.u8(0..3) {
        0 => Fault::DropAfter,
        1 => Fault::Garbage,
        _ => status(draw.one_of(&[500, 502, 503, 504]), true, None),
    };
    let times = draw.one_of(&[1, 1, 2]);
    draw.rule(operation, 3, times, fault)
}

fn late(draw: &mut Draw) -> What {
    let operation = draw.change();
    let delay_ms = if draw.chance(30) { draw.0.i64(20_000..29_900) } else { draw.0.i64(500..70_000) };
    draw.rule(operation, 2, 1, Fault::Late { delay_ms })
}

fn operation(draw: &mut Draw) -> What {
    let operation = draw.change();
    let fault = match draw.0.u8(0..3) {
        0 => Fault::Slow { factor: draw.one_of(&[0.1, 3.0, 8.0]) },
        1 => Fault::OperationStuck,
        _ => Fault::OperationFails {
            reason: draw.one_of(&REASONS).to_owned(),
            message: None,
            leaves_resource: draw.chance(50),
        },
    };
    let times = draw.one_of(&[1, 1, 2]);
    draw.rule(operation, 2, times, fault)
}

/// The reasons of the official document.
const REASONS: [&str; 11] = [
    "incorrect",
    "unknown",
    "unavailable",
    "forbidden",
    "busy",
    "fault",
    "partial",
    "not-found",
    "interrupted",
    "unsupported",
    "conflict",
];

fn lag(draw: &mut Draw) -> What {
    let operation = if draw.chance(40) { "create-*" } else { draw.change() };
    let ms = draw.0.i64(1_000..58_000);
    draw.rule(operation, 1, 8, Fault::ListLag { ms })
}

fn strange(draw: &mut Draw) -> What {
    let operation = draw.read();
    let fault = if draw.chance(50) { Fault::Garbage } else { Fault::Strange };
    let times = draw.one_of(&[1, 2, 4]);
    draw.rule(operation, 6, times, fault)
}

fn repeat(draw: &mut Draw) -> What {
    What::Repeat { stage: draw.one_of(&[Stage::AskProvision, Stage::Provision, Stage::Teardown]) }
}

fn pause(draw: &mut Draw) -> What {
    What::Pause {
        stage: draw.running(),
        process: draw.one_of(&[0, 0, 1]),
        // Early, most of the requests are on their way.
        polls: if draw.chance(40) { draw.0.u64(1..60) } else { draw.0.u64(1..400) },
        seconds: draw.0.u32(5..150),
    }
}

fn clock(draw: &mut Draw) -> What {
    What::Clock {
        stage: draw.running(),
        at: draw.0.u32(0..200),
        ahead: draw.one_of(&[-3600, -60, -10, -3, 3, 10, 60, 3600]),
        seconds: draw.0.u32(20..400),
    }
}

fn disk(draw: &mut Draw) -> What {
    let failure = disk_failure(draw);
    What::Disk { write: draw.0.u32(2..90), failure }
}

fn disk_failure(draw: &mut Draw) -> DiskFailure {
    match draw.0.u8(0..3) {
        0 => DiskFailure::Full { writes: draw.0.u32(1..6) },
        1 => DiskFailure::FailedKept,
        _ => DiskFailure::FailedLost,
    }
}

fn credentials(draw: &mut Draw) -> What {
    let operation = draw.one_of(&["create-*", "delete-*", "get-*", "list-*", "create-sks-nodepool"]);
    let times = draw.one_of(&[1, 3, 6]);
    let code = draw.one_of(&[401, 403]);
    draw.rule(operation, 8, times, status(code, false, None))
}

fn quota(draw: &mut Draw) -> What {
    let resource = draw.one_of(&["sks-cluster", "instance", "database", "iam-key"]).to_owned();
    draw.rule("create-*", 4, 1, Fault::Quota { resource, limit: 0 })
}

fn act(draw: &mut Draw, stages: &[Stage], act: Act) -> What {
    What::Act { stage: draw.one_of(stages), at: draw.0.u32(1..220), act }
}

fn human(draw: &mut Draw) -> What {
    let pick = draw.0.u32(..);
    let what = draw.one_of(&[Act::Delete { pick }, Act::Relabel { pick }, Act::Rename { pick }]);
    act(draw, &[Stage::Provision, Stage::Rest, Stage::Teardown], what)
}

fn stranger(draw: &mut Draw) -> What {
    let pick = draw.0.u32(..);
    match draw.chance(60) {
        true if draw.chance(40) => What::Act { stage: Stage::Provision, at: 1, act: Act::LookAlike { pick } },
        true => act(draw, &[Stage::Provision, Stage::Rest, Stage::Teardown], Act::LookAlike { pick }),
        false => What::Act { stage: Stage::Provision, at: 0, act: Act::TakeName { pick } },
    }
}

fn controller(draw: &mut Draw) -> What {
    let what = draw.one_of(&[Act::Balancer, Act::Volume]);
    act(draw, &[Stage::Rest, Stage::Rest, Stage::Teardown, Stage::AskTeardown], what)
}

fn data(draw: &mut Draw) -> What {
    let what = draw.one_of(&[Act::FillBucket, Act::Protect]);
    act(draw, &[Stage::Rest], what)
}

fn asking(draw: &mut Draw) -> Stage {
    draw.one_of(&[Stage::AskProvision, Stage::AskTeardown])
}

fn partial_vote(draw: &mut Draw) -> What {
    let vote = draw.one_of(&[BadVote::OwnPlan, BadVote::OwnAgent, BadVote::SecondKey]);
    What::Vote { stage: asking(draw), vote }
}

fn wrong_vote(draw: &mut Draw) -> What {
    let vote = draw.one_of(&[
        BadVote::Again,
        BadVote::Expired,
        BadVote::OtherPlan,
        BadVote::OtherEnvironment,
        BadVote::RevokedKey,
        BadVote::Forged,
    ]);
    match vote {
        BadVote::Again if draw.chance(50) => act(draw, &[Stage::Provision], Act::VoteAgain),
        _ => What::Vote { stage: asking(draw), vote },
    }
}

fn changed_mind(draw: &mut Draw) -> What {
    let what = draw.one_of(&[Act::Deny, Act::Revoke]);
    act(draw, &[Stage::Provision, Stage::Teardown], what)
}

fn altered(draw: &mut Draw) -> What {
    What::Ask(draw.one_of(&[BadRequest::Altered, BadRequest::PolicyMoved]))
}

fn meanwhile(draw: &mut Draw) -> What {
    if draw.chance(40) {
        return What::Outlive;
    }
    act(draw, &[Stage::Provision, Stage::Teardown], Act::AskTeardown)
}
