//! What the users of an environment's cluster added to it.

use std::collections::BTreeSet;
use std::time::Duration;

use exokit_cloud::cluster::ClusterAccess;
use exokit_core::plan_build::Recorded;
use exokit_kinds::Observed;
use exokit_ledger::OperationState;
use exokit_model::additions::{ADDITIONS_MAX, ClusterAdditions, ClusterObject};
use exokit_model::ids::{ResourceId, Zone};
use exokit_model::kind::Kind;
use serde_json::Value;

use crate::engine::Engine;
use crate::observe::{self, ObserveError};

/// Namespaces that every cluster has.
const OF_EVERY_CLUSTER: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The most pages that are read of one list.
const PAGES_MAX: usize = 20;

/// Longest wait for the whole answer of a cluster when its removal is planned: a
/// cluster that does not answer must not hold that up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

impl Engine {
    /// Lists the objects that users added to the cluster of an environment; none
    /// without a cluster.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub(crate) async fn additions(
        &self,
        provision: &OperationState,
        recorded: &[Recorded],
    ) -> Result<Option<Vec<ClusterObject>>, ObserveError> {
        let Some(cluster) = recorded.iter().find(|item| item.node.kind == Kind::SksCluster) else {
            return Ok(None);
        };
        let zone = &provision.plan.zone;
        let Some(access) = self.read_access(zone, &cluster.id).await? else { return Ok(None) };
        let known: BTreeSet<&ResourceId> = recorded.iter().map(|item| &item.id).collect();
        let mut added = Vec::new();
        for kind in [Kind::Namespace, Kind::Service, Kind::PersistentVolumeClaim] {
            let found = self.objects(&access, kind, &cluster.id, zone).await?;
            let foreign = found.into_iter().filter(|object| !known.contains(&object.id) && matters(object));
            added.extend(foreign.map(described));
        }
        Ok(Some(added))
    }

    /// The same for a plan that removes the environment, which does not depend on
    /// the answer.
    pub(crate) async fn additions_if_reachable(
        &self,
        provision: &OperationState,
        recorded: &[Recorded],
    ) -> ClusterAdditions {
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.additions(provision, recorded)).await;
        let unreadable = |why: String| ClusterAdditions {
            unreadable: Some(why.as_str().into()),
            ..ClusterAdditions::default()
        };
        match asked {
            Ok(Ok(objects)) => {
                let mut objects = objects.unwrap_or_default();
                let more = objects.len().saturating_sub(ADDITIONS_MAX);
                objects.truncate(ADDITIONS_MAX);
                ClusterAdditions { objects, more: more as u64, unreadable: None }
            }
            Ok(Err(error)) => unreadable(error.to_string()),
            Err(_) => unreadable(format!("it did not answer within {} s", ANSWER_TIMEOUT.as_secs())),
        }
    }

    async fn objects(
        &self,
        access: &ClusterAccess,
        kind: Kind,
        cluster: &ResourceId,
        zone: &Zone,
    ) -> Result<Vec<Observed>, ObserveError> {
        let mut found = Vec::new();
        let mut from = None;
        for _ in 0..PAGES_MAX {
            let read = exokit_kinds::kubernetes::list(kind, cluster, from.as_deref());
            let (page, next) = observe::objects(&self.parts().client, access, kind, zone, &read).await?;
            found.extend(page);
            from = next;
            if from.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// Whether an object has something outside of its cluster, or holds such objects.
fn matters(object: &Observed) -> bool {
    match object.kind {
        Kind::Namespace => !OF_EVERY_CLUSTER.contains(&object.name.as_str()),
        Kind::Service => object.raw.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer"),
        _ => true,
    }
}

fn described(object: Observed) -> ClusterObject {
    let namespace = object.raw.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    ClusterObject { kind: object.kind, namespace: namespace.into(), name: object.name.into(), id: object.id }
}
