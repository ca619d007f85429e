//! The simulated cloud as one deterministic state machine.

mod change;
mod dispatch;
mod inject;
mod journal;
mod kinds;
mod kubernetes;
mod object;
mod reply;
mod request;
#[cfg(any(test, feature = "testing"))]
mod testing;

use crate::config::Config;
use crate::fault::Fault;
use crate::rng::Rng;
use crate::sos::Store;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use change::{Change, OperationRecord, Scheduled};
pub(crate) use dispatch::{Call, Executed};
pub use journal::{Effect, JournalEntry, LiveResource};
pub use kinds::served_operations;
pub(crate) use kinds::sks_cluster::{ControlPlaneIdentities, Issued};
pub use kubernetes::ClientCertificate;
pub(crate) use kubernetes::{OpenWatch, WatchProgress, is_simulated};
pub use object::Kind;
pub(crate) use object::{NewObject, Object, ids_in, references};
pub(crate) use reply::{HandlerReply, PendingOperation, Refusal, response};
pub(crate) use request::{Face, StoredRequest};

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The reply.
    Reply(http::Response<Bytes>),
    /// The connection is closed without one; the effect may have happened.
    Drop,
    /// There is no connection: nothing listens there.
    Unreachable,
}

/// An API key and what it may do. The debug form leaves the secret out.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    pub(crate) secret: String,
    /// `None`: unrestricted.
    pub(crate) role: Option<String>,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord").field("role", &self.role).finish_non_exhaustive()
    }
}

/// The cloud: maps (time, request) to an outcome and nothing else. Serialise
/// it to save it; a restored world goes on exactly where it stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    pub(crate) config: Config,
    pub(crate) now: i64,
    started: Option<i64>,
    pub(crate) ids: Rng,
    pub(crate) delays: Rng,
    chances: Rng,
    pub(crate) seq: u64,
    pub(crate) objects: BTreeMap<Kind, BTreeMap<String, Object>>,
    queue: Vec<Scheduled>,
    pub(crate) operations: BTreeMap<String, OperationRecord>,
    pub(crate) keys: BTreeMap<String, KeyRecord>,
    pub(crate) sos: Store,
    pub(crate) organization_policy: serde_json::Value,
    /// What runs in the clusters, by their ids; shared likewise.
    #[serde(default)]
    clusters: BTreeMap<String, Arc<exokit_kube_sim::Cluster>>,
    /// When each of them is to be woken.
    #[serde(default)]
    wakes: BTreeMap<String, i64>,
    /// Client certificates that were verified, by cluster and PEM.
    #[serde(skip)]
    verified: BTreeMap<(String, String), kinds::sks_cluster::Identity>,
    /// Shared, so that a copy of the world is cheap.
    journal: Vec<Arc<JournalEntry>>,
    calls: BTreeMap<String, u64>,
    effects: BTreeMap<String, u64>,
    rule_matches: Vec<u64>,
    rule_fired: Vec<u64>,
    /// Faults that bear on the request being handled.
    #[serde(skip)]
    active: Vec<Fault>,
    /// Whether something worth saving changed since this was last asked.
    #[serde(skip)]
    dirty: bool,
}

impl World {
    /// A cloud with nothing in it but what every organisation has.
    pub fn new(config: Config) -> Self {
        let seed = config.seed;
        let mut world = Self {
            now: 0,
            started: None,
            ids: Rng::new(seed, 1),
            delays: Rng::new(seed, 2),
            chances: Rng::new(seed, 3),
            seq: 0,
            objects: BTreeMap::new(),
            queue: Vec::new(),
            operations: BTreeMap::new(),
            keys: BTreeMap::new(),
            sos: Store::default(),
            organization_policy: crate::auth::policy::allow_all(),
            clusters: BTreeMap::new(),
            wakes: BTreeMap::new(),
            verified: BTreeMap::new(),
            journal: Vec::new(),
            calls: BTreeMap::new(),
            effects: BTreeMap::new(),
            rule_matches: vec![0; config.faults.len()],
            rule_fired: vec![0; config.faults.len()],
            active: Vec::new(),
            dirty: true,
            config,
        };
        kinds::plant_builtins(&mut world);
        world
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes settings between requests, for instance to add or lift faults.
    /// Fault rules count their matches from here on.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.rule_matches = vec![0; self.config.faults.len()];
        self.rule_fired = vec![0; self.config.faults.len()];
        self.dirty = true;
    }

    /// Takes over what a restored world must not keep from its last process:
    /// faults and the latency scale.
    pub(crate) fn adopt(&mut self, config: Config) {
        if self.config.faults != config.faults {
            self.reconfigure(|own| own.faults = config.faults);
        }
        if (self.config.latency_scale - config.latency_scale).abs() > f64::EPSILON {
            self.config.latency_scale = config.latency_scale;
            self.dirty = true;
        }
    }

    /// Where list-zones sends clients; each process has its own answer.
    pub(crate) fn set_endpoints(&mut self, endpoints: Option<crate::EndpointUrls>) {
        self.config.endpoints = endpoints;
    }

    /// The time of the last request or advance, in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now
    }

    /// Lets time pass: everything due by `now_ms` happens, in order. Time
    /// never goes back.
    pub fn advance(&mut self, now_ms: i64) {
        while self.queue.first().is_some_and(|next| next.at <= now_ms) {
            let next = self.queue.remove(0);
            self.now = self.now.max(next.at);
            self.dirty = true;
            self.apply(next.change);
        }
        self.now = self.now.max(now_ms);
    }

    /// The time of the next scheduled change, if any.
    pub fn next_change_ms(&self) -> Option<i64> {
        self.queue.first().map(|next| next.at)
    }

    /// Handles one request at `now_ms`.
    pub fn handle(&mut self, now_ms: i64, request: &http::Request<Bytes>) -> Outcome {
        self.advance(now_ms);
        self.started.get_or_insert(self.now);
        let face = Face::of(request);
        self.receive(face, request)
    }

    /// Hands over a request whose client died while it was on its way: when
    /// the settings say so, it arrives later all the same.
    pub(crate) fn lose_client(&mut self, request: &http::Request<Bytes>) {
        if let Some(delay) = self.config.policies.cancelled_arrives_after_ms {
            let request = StoredRequest::of(Face::of(request), request);
            self.schedule(delay, Change::Arrive { request, lag_ms: 0 });
        }
    }

    pub(crate) fn count_effect(&mut self, name: &str) {
        *self.effects.entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn touch(&mut self) {
        self.dirty = true;
    }

    /// Whether anything worth saving changed; clears the mark.
    pub(crate) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Schedules `change` in `delay_ms` from now, after all that is already
    /// due at that time.
    pub(crate) fn schedule(&mut self, delay_ms: i64, change: Change) {
        let at = self.now + delay_ms.max(0);
        let place = self.queue.partition_point(|other| other.at <= at);
        self.queue.insert(place, Scheduled { at, change });
        self.dirty = true;
    }

    /// A seeded, scaled draw of a latency.
    pub(crate) fn delay(&mut self, name: &str) -> i64 {
        let range = self.config.latency.range(name);
        let drawn = self.delays.between(range.low_ms, range.high_ms);
        let scaled = std::time::Duration::from_millis(drawn)
            .mul_f64(self.config.latency_scale.max(0.0) * self.slow_factor());
        i64::try_from(scaled.as_millis()).unwrap_or(i64::MAX / 4)
    }
}
