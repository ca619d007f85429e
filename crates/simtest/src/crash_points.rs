//! Crash points: every await of a run at which the engine can crash, with what the
//! crash leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use jiff::Timestamp;

use crate::rig::Rig;

/// What a crash at one await leaves.
pub struct CrashPoint {
    /// How often the run had been polled: 0 is before it did anything.
    pub polls: u64,
    /// When it was.
    pub at: Timestamp,
    /// With the half of the ledger kept that was not durable.
    kept: Outcome,
    /// With that half lost; none when there was no such half, so that both are
    /// the same.
    lost: Option<Outcome>,
}

/// What one crash leaves.
pub struct Outcome {
    /// Whether the half of the ledger that was not durable is kept.
    pub kept: bool,
    /// What tells it from others of the same run.
    pub mark: Mark,
    /// Everything outside the engine, as it was at the time of the crash.
    pub left: Rig,
}

/// What a crash left, apart from the time. Along one run everything outside
/// the engine is a function of these: the ledger and the journal only grow, the
/// cloud changes by a request or by what it has scheduled, and what is on its
/// way will arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Records in the ledger.
    records: usize,
    /// Changing requests that have reached the cloud.
    changes: usize,
    /// Changing requests on their way to it.
    on_the_way: Vec<String>,
    /// The next thing that happens in the cloud by itself.
    next_change_ms: Option<i64>,
}

impl CrashPoint {
    /// In words, for a report.
    #[must_use]
    pub fn place(&self, outcome: &Outcome) -> String {
        let half = if outcome.kept { "kept" } else { "lost" };
        format!("crash at await {} (what was not durable {half})", self.polls)
    }

    /// What is left: one rig, or two when the crash had something to lose.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        std::iter::once(&self.kept).chain(&self.lost)
    }
}

/// Follows a run on `rig` to its end and notes at each await what its crash
/// there would leave. The run itself is not disturbed.
pub async fn follow<F: Future>(rig: &Rig, run: F) -> (F::Output, Vec<CrashPoint>) {
    let mut run = pin!(run);
    let mut points = vec![note(rig, 0)];
    let output = std::future::poll_fn(|context| match run.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(output),
        Poll::Pending => {
            points.push(note(rig, points.len() as u64));
            Poll::Pending
        }
    })
    .await;
    (output, points)
}

fn note(rig: &Rig, polls: u64) -> CrashPoint {
    let (written, durable) = rig.ledger.lengths();
    let changes = rig.world.on_the_way().into_iter().filter(|request| !request.method().is_safe());
    let on_the_way: Vec<String> = changes.map(|r| format!("{} {}", r.method(), r.uri())).collect();
    let outcome = |kept: bool| {
        let left = rig.crashed(kept);
        let (changes, next_change_ms) = left.cloud(|world| (world.journal().len(), world.next_change_ms()));
        let records = if kept { written } else { durable };
        Outcome {
            kept,
            mark: Mark { records, changes, on_the_way: on_the_way.clone(), next_change_ms },
            left,
        }
    };
    CrashPoint {
        polls,
        at: rig.now(),
        kept: outcome(true),
        lost: (written > durable).then(|| outcome(false)),
    }
}

/// Of all outcomes those at which something differs from the one before, and
/// the last ones before it does: while a mark stays, only time goes by, and
/// these are the earliest and the latest moment of it.
pub fn distinct(points: &[CrashPoint]) -> BTreeSet<(u64, bool)> {
    type Place = (u64, bool);
    let mut ends: BTreeMap<&Mark, (Place, Place)> = BTreeMap::new();
    for point in points {
        for outcome in point.outcomes() {
            let place = (point.polls, outcome.kept);
            ends.entry(&outcome.mark).or_insert((place, place)).1 = place;
        }
    }
    ends.into_values().flat_map(|(first, last)| [first, last]).collect()
}

/// The awaits at which a further record had just become durable.
#[must_use]
pub fn after_each_record(points: &[CrashPoint]) -> Vec<u64> {
    let durable = |point: &CrashPoint| point.outcomes().map(|outcome| outcome.mark.records).min();
    points.windows(2).filter(|pair| durable(&pair[0]) < durable(&pair[1])).map(|pair| pair[1].polls).collect()
}

/// The records after the first `before` of `all` that no crash has lost: a
/// matrix without them would not show that the step can be repeated.
pub fn never_lost(points: &[CrashPoint], before: usize, all: usize) -> Vec<String> {
    let mut missed: BTreeSet<usize> = (before..all).collect();
    for point in points {
        if let Some(lost) = &point.lost {
            missed.retain(|record| !(lost.mark.records..point.kept.mark.records).contains(record));
        }
    }
    missed.into_iter().map(|record| format!("record {} was never lost", record + 1)).collect()
}
