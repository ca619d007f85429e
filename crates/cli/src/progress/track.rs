//! Where one operation stands, and how long it will still take.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use exokit_model::event::Event;
use exokit_model::graph::{Graph, Node, Presence};
use exokit_model::ids::NodeKey;
use exokit_model::plan::Plan;
use jiff::{SignedDuration, Timestamp};

use exokit_text::format::took;

pub(super) struct Track {
    pub(super) environment: String,
    pub(super) title: String,
    graph: Graph,
    speed: f64,
    pub(super) started: Option<Timestamp>,
    steps: BTreeMap<NodeKey, Stage>,
    /// What was said last of each resource: a refusal that comes again and
    /// again is said once.
    said: BTreeMap<NodeKey, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was asked.
    Waiting,
    /// Asked for at this time.
    Busy(Timestamp),
    /// As the plan wants it.
    Done,
}

#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The resource; none when the operation as a whole is meant.
    pub(super) node: Option<NodeKey>,
    pub(super) words: String,
    pub(super) done: bool,
}

impl Track {
    pub(super) fn new(plan: &Plan, speed: f64) -> Self {
        let waiting = |node: &Node| (node.key.clone(), Stage::Waiting);
        Self {
            environment: plan.environment.to_string(),
            title: format!("{} {}", plan.action, plan.environment),
            graph: plan.graph.clone(),
            speed: speed.max(f64::MIN_POSITIVE),
            started: None,
            steps: plan.graph.nodes().iter().map(waiting).collect(),
            said: BTreeMap::new(),
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &NodeKey> {
        self.graph.nodes().iter().map(|node| &node.key)
    }

    fn stage(&self, key: &NodeKey) -> Stage {
        self.steps.get(key).copied().unwrap_or(Stage::Waiting)
    }

    /// Takes an event in and says what it means, when it means something.
    pub(super) fn apply(&mut self, at: Timestamp, event: &Event) -> Option<Change> {
        if let Event::OperationStarted { .. } = event {
            self.started = Some(at);
        }
        let Some(key) = event.node().cloned() else {
            return of_whole(event).map(|words| Change { node: None, words, done: false });
        };
        let begun = match self.stage(&key) {
            Stage::Busy(since) => Some(since),
            _ => None,
        };
        let since = begun.unwrap_or(at);
        let (busy, took) = (Stage::Busy(since), took(since, at));
        let (stage, words) = match event {
            Event::CreateIntended { .. } => (busy, "creating".to_owned()),
            Event::CreateAccepted { .. } | Event::DeleteAccepted { .. } => return None,
            Event::CreateRefused { message, .. } => (Stage::Waiting, format!("refused: {message}")),
            Event::CreateInDoubt { .. } => (busy, "in doubt, looking for it".to_owned()),
            Event::CreateAdopted { .. } => (busy, "found again".to_owned()),
            Event::CreateAbsent { .. } => (Stage::Waiting, "was not made, asking again".to_owned()),
            Event::ResourceReady { .. } => (Stage::Done, format!("ready after {took}")),
            Event::ResourceFailed { reason, .. } => (Stage::Waiting, format!("failed: {reason}")),
            Event::DeleteIntended { .. } => (busy, "deleting".to_owned()),
            Event::DeleteRefused { message, .. } => (busy, format!("not yet: {message}")),
            Event::ResourceGone { .. } => (Stage::Done, format!("gone after {took}")),
            _ => return None,
        };
        let repeated = words == "deleting" && begun.is_some();
        self.steps.insert(key.clone(), stage);
        if repeated || self.said.insert(key.clone(), words.clone()).as_ref() == Some(&words) {
            return None;
        }
        Some(Change { node: Some(key), words, done: stage == Stage::Done })
    }

    /// Predicted seconds for the whole, here.
    pub(super) fn predicted_seconds(&self) -> u64 {
        self.remaining(&|_| None)
    }

    /// Predicted seconds from `now` to the end, here.
    pub(super) fn remaining_seconds(&self, now: Timestamp) -> u64 {
        self.remaining(&|key| match self.stage(key) {
            Stage::Waiting => None,
            Stage::Busy(since) => Some(now.duration_since(since).max(SignedDuration::ZERO).as_secs_f64()),
            Stage::Done => Some(f64::INFINITY),
        })
    }

    /// The longest path through what is left; `spent` says how long a resource
    /// has been worked on.
    fn remaining(&self, spent: &dyn Fn(&NodeKey) -> Option<f64>) -> u64 {
        let mut ends: BTreeMap<&NodeKey, f64> = BTreeMap::new();
        let left = |node: &Node| {
            let whole = f64::from(node.predicted_seconds) / self.speed;
            (whole - spent(&node.key).unwrap_or(0.0)).max(0.0)
        };
        let present = self.graph.nodes().iter().filter(|node| node.desired == Presence::Present);
        let absent = self.graph.nodes().iter().rev().filter(|node| node.desired == Presence::Absent);
        for node in present.chain(absent) {
            let before: Vec<&NodeKey> = match node.desired {
                Presence::Present => node.depends_on.iter().collect(),
                Presence::Absent => self.graph.dependents(&node.key).map(|other| &other.key).collect(),
            };
            let start = before.iter().filter_map(|key| ends.get(*key)).fold(0.0_f64, |a, b| a.max(*b));
            ends.insert(&node.key, start + left(node));
        }
        let end = ends.values().fold(0.0_f64, |a, b| a.max(*b));
        SignedDuration::try_from_secs_f64(end.round()).map_or(0, |end| end.as_secs().unsigned_abs())
    }
}

/// An event of the whole operation, in words.
fn of_whole(event: &Event) -> Option<String> {
    Some(match event {
        Event::OperationStarted { .. } => "started".to_owned(),
        Event::OperationResumed { .. } => "taken up again".to_owned(),
        Event::RollbackStarted { cause } => format!("takes back what it made, if anything: {cause}"),
        Event::OperationParked { why, .. } => format!("stopped: {why}"),
        Event::OperationUnparked { by } => format!("{by} let it go on"),
        Event::OperationSucceeded { .. } => "done".to_owned(),
        Event::OperationRolledBack => "nothing that it made is left".to_owned(),
        _ => return None,
    })
}

/// Locks a track. A panic elsewhere leaves it usable.
pub(super) fn lock(track: &Mutex<Track>) -> MutexGuard<'_, Track> {
    track.lock().unwrap_or_else(PoisonError::into_inner)
}
