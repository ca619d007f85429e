//! The settings of a simulated cloud: zones, keys, latencies, quotas, rules.

use crate::{FaultRule, LatencyTable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The settings of a [`World`](crate::World). The debug form leaves the secret
/// out; the saved one has it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Seeds ids, secrets, latencies and fault probabilities.
    pub seed: u64,
    /// Zones served; the first is the default one.
    pub zones: Vec<String>,
    /// The unrestricted key.
    pub api_key: String,
    /// Its secret.
    pub api_secret: String,
    /// The organisation's id, part of database host names.
    pub organization_id: String,
    /// How long operations take.
    pub latency: LatencyTable,
    /// Latencies are multiplied by this: 1 real, 0.1 ten times faster, 0 none.
    pub latency_scale: f64,
    /// Limits by quota name, -1 = unlimited.
    pub quotas: BTreeMap<String, i64>,
    /// Faults on order.
    pub faults: Vec<FaultRule>,
    /// Kubernetes versions, newest first.
    pub sks_versions: Vec<String>,
    /// Where clients are told to go; absent: the real cloud's names.
    pub endpoints: Option<EndpointUrls>,
    /// Whether the clusters have real control planes, which the server starts.
    /// Not saved: their objects are not either.
    #[serde(skip)]
    pub has_real_control_planes: bool,
    /// Behaviours on which sources disagree or are silent.
    pub policies: Policies,
}

/// Base URLs handed out by list-zones in server mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointUrls {
    /// For instance `http://127.0.0.1:8080` (without `/v2`).
    pub api: String,
    /// For instance `http://127.0.0.1:8081`.
    pub sos: String,
    /// For instance `https://127.0.0.1:8443`. All clusters are behind it, told
    /// apart by the server name that a client asks for.
    #[serde(default)]
    pub kubernetes: String,
}

/// Switches of behaviours that tests need both ways. The guesses, with and
/// without a switch, are listed in `docs/fidelity.md`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    /// Status when a quota is exceeded.
    pub quota_status: u16,
    /// A pool locked by a balancer refuses with 409; otherwise the operation
    /// is accepted and fails.
    pub pool_lock_refuses: bool,
    /// The operation of update-sks-cluster stays pending for ever.
    pub update_sks_cluster_never_finishes: bool,
    /// The controller addon makes an API key `sks-ccm-…` per cluster.
    pub ccm_keys: bool,
    /// A request whose client future is dropped before its effect arrives
    /// so many milliseconds later all the same.
    pub cancelled_arrives_after_ms: Option<i64>,
    /// Beginnings of images whose pods never become ready.
    pub broken_images: Vec<String>,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            quota_status: 409,
            pool_lock_refuses: true,
            update_sks_cluster_never_finishes: false,
            ccm_keys: true,
            cancelled_arrives_after_ms: None,
            broken_images: Vec::new(),
        }
    }
}

const QUOTAS: &[(&str, i64)] = &[
    ("instance", 20),
    ("cpu", -1),
    ("memory", -1),
    ("gpu", 0),
    ("sks-cluster", 10),
    ("network-load-balancer", 5),
    ("elastic-ip", 5),
    ("private-network", 32),
    ("template", 30),
    ("snapshot", 30),
    ("database", 20),
    ("iam-key", 100),
    ("bucket", 100),
    ("block-storage-volume", 50),
    ("block-storage", 10_240),
    ("block-storage-max-size", 10_240),
];

impl Default for Config {
    fn default() -> Self {
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Self {
            seed: 1,
            zones: texts(&["ch-dk-2", "ch-gva-2", "at-vie-1", "de-fra-1"]),
            api_key: "EXOsim0000000000000000000000".to_owned(),
            api_secret: "simulated-secret-0123456789abcdefghijklmnop".to_owned(),
            organization_id: "5f0c0de0-0000-4000-8000-00000000c10d".to_owned(),
            latency: LatencyTable::default(),
            latency_scale: 1.0,
            quotas: QUOTAS.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
            faults: Vec::new(),
            sks_versions: texts(&["1.35.1", "1.34.4", "1.33.8"]),
            endpoints: None,
            has_real_control_planes: false,
            policies: Policies::default(),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("seed", &self.seed)
            .field("zones", &self.zones)
            .field("api_key", &self.api_key)
            .field("latency_scale", &self.latency_scale)
            .field("faults", &self.faults)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The zone requests without another one belong to.
    pub fn default_zone(&self) -> &str {
        self.zones.first().map_or("ch-dk-2", String::as_str)
    }

    /// The API base URL that list-zones gives for `zone`.
    pub(crate) fn api_url(&self, zone: &str) -> String {
        match &self.endpoints {
            None => format!("https://api-{zone}.exoscale.com/v2"),
            Some(urls) if zone == self.default_zone() => format!("{}/v2", urls.api),
            // One listener serves all zones: the others by a path prefix.
            Some(urls) => format!("{}/zone/{zone}/v2", urls.api),
        }
    }

    /// The object storage URL that list-zones gives for `zone`.
    pub(crate) fn sos_url(&self, zone: &str) -> String {
        match &self.endpoints {
            None => format!("https://sos-{zone}.exo.io"),
            Some(urls) => urls.sos.clone(),
        }
    }
}
