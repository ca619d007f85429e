//! The survey: an independent look at every kind in every zone.
//!
//! It is the base of the teardown certificate and of the orphan sweep. It
//! fails closed: a list that cannot be read is an error, never "nothing".

use std::collections::BTreeSet;

use exokit_kinds::{Observed, ownership};
use exokit_model::ids::{OwnerToken, Zone};
use exokit_model::kind::Kind;
use serde_json::Value;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::observe;

/// Everything of one kind in one zone.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// Which kind.
    pub(crate) kind: Kind,
    /// Where; for kinds of the organisation the zone that was asked.
    pub(crate) zone: Zone,
    /// What the cloud shows.
    pub(crate) found: Vec<Observed>,
}

/// By what a resource is recognised as part of an environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Belongings {
    /// Ids that the ledger holds.
    pub(crate) ids: BTreeSet<String>,
    /// Owner tokens of its nodes.
    pub(crate) tokens: Vec<OwnerToken>,
}

impl Belongings {
    /// Whether a resource belongs: by its recorded id, by its token, or because
    /// it uses something that does. Nothing is matched by part of a name.
    pub(crate) fn include(&self, observed: &Observed) -> bool {
        self.ids.contains(observed.id.as_str())
            || self.tokens.iter().any(|token| ownership::carries(&observed.marks, token))
            || references(observed).iter().any(|id| self.ids.contains(id))
    }
}

/// Ids of what a machine, pool, load balancer or volume hangs on. The controllers
/// of a cluster name what they make by the UID of the service or claim.
fn references(observed: &Observed) -> Vec<String> {
    let at = |pointer: &str| observed.raw.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let groups = || {
        let groups = observed.raw.get("security-groups").and_then(Value::as_array).into_iter().flatten();
        groups
            .filter_map(|group| group.get("id").and_then(Value::as_str))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    match observed.kind {
        Kind::LoadBalancer => {
            let service = observed.name.strip_prefix("k8s-").map(str::to_owned);
            exokit_kinds::load_balancer::target_pools(&observed.raw).into_iter().chain(service).collect()
        }
        Kind::Instance | Kind::InstancePool => at("/manager/id").into_iter().chain(groups()).collect(),
        Kind::BlockVolume => {
            let claim = observed.name.strip_prefix("pvc-").map(str::to_owned);
            at("/instance/id").into_iter().chain(claim).collect()
        }
        Kind::BlockSnapshot => at("/block-storage-volume/id").into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The instance pool behind a nodepool, which its machines name.
pub(crate) fn instance_pool_of(nodepool: &Observed) -> Option<String> {
    nodepool.raw.pointer("/instance-pool/id").and_then(Value::as_str).map(str::to_owned)
}

impl Engine {
    /// Lists every kind in every zone; kinds of the organisation once.
    ///
    /// # Errors
    /// When any list cannot be read.
    pub(crate) async fn survey(&self, through: &Zone) -> Result<Vec<Listing>, EngineError> {
        let zones = self.zones(through).await?;
        let mut listings = Vec::new();
        for kind in Kind::CLOUD {
            let once = [through.clone()];
            let places: &[Zone] = if kind.is_global() { &once } else { &zones };
            for zone in places {
                let found = observe::list(&self.parts().client, kind, zone).await?;
                listings.push(Listing { kind, zone: zone.clone(), found });
            }
        }
        Ok(listings)
    }
}
