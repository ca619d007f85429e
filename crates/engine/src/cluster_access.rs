//! Access to the API server of an environment's cluster, by certificates that
//! end before the lease does.

use std::sync::Arc;

use exokit_cloud::cluster::{ClusterAccess, Holder};
use exokit_kinds::{Observed, Read};
use exokit_model::graph::Node;
use exokit_model::ids::{ResourceId, Zone};
use exokit_model::kind::Kind;
use exokit_model::needs_human::NeedsHuman;
use exokit_mutant::{Mutant, planted};
use jiff::SignedDuration;

use crate::engine::Engine;
use crate::held_lease::ClockReading;
use crate::observe::{self, ObserveError};
use crate::run::{Run, StepEnd};
use crate::steps::{Patience, parent_of};
use crate::timing::SKEW_MARGIN;

/// Time for the request that asks for a certificate. The certificate is valid
/// from some moment of it on.
const ISSUE_TIME: SignedDuration = SignedDuration::from_secs(5);

/// Access that ends sooner than this is not used for another request.
const USABLE_MIN: SignedDuration = SignedDuration::from_secs(20);

/// How long a certificate lasts that is only read with.
const READ_TTL: SignedDuration = SignedDuration::from_secs(60);

impl Run<'_> {
    /// Access to a cluster, from a request before or issued now; none when the
    /// cloud says that there is no such cluster. It ends before the lease of this
    /// moment does, however often that is renewed later.
    ///
    /// # Errors
    /// When the cloud does not issue it.
    pub(crate) async fn cluster_access(
        &self,
        zone: &Zone,
        cluster: &ResourceId,
    ) -> Result<Option<Arc<ClusterAccess>>, StepEnd> {
        let mut held = self.access.lock().await;
        let usable_at = self.engine.now() + USABLE_MIN;
        if let Some(access) = held.get(cluster).filter(|access| access.expires() >= usable_at) {
            return Ok(Some(Arc::clone(access)));
        }
        let mut patience = Patience::default();
        let mut earlier = ISSUE_TIME;
        loop {
            self.ensure_lease().await?;
            let more = match planted(Mutant::OutliveLeaseInside) {
                true => SignedDuration::from_mins(10),
                false => SignedDuration::ZERO,
            };
            let ends_at = || self.lease().until(&ClockReading::at(self.engine.now())) - SKEW_MARGIN + more;
            let ttl = ends_at().duration_since(self.engine.now()) - earlier;
            if ttl < USABLE_MIN {
                let what = "the clock of the cloud is too far ahead of this host's for access to a cluster";
                return Err(StepEnd::Park(NeedsHuman::Unobservable { what: what.into() }));
            }
            let ttl = SignedDuration::from_secs(ttl.as_secs());
            let issued = self.engine.issue_access(zone, cluster, Holder::EXOKIT, ttl).await;
            let Some(issued) = patience.ask(issued).await? else { continue };
            let Some(access) = issued else { return Ok(None) };
            // A reply that took long, or a clock that is ahead, may mean an end
            // after that of the lease.
            let late = access.expires().duration_since(ends_at());
            if !late.is_positive() {
                let access = Arc::new(access);
                held.insert(cluster.clone(), Arc::clone(&access));
                return Ok(Some(access));
            }
            earlier += late;
        }
    }

    /// Reads the resource of a node; none when the cloud, or its cluster, says
    /// that it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read(
        &self,
        node: &Node,
        id: &ResourceId,
    ) -> Result<Result<Option<Observed>, ObserveError>, StepEnd> {
        let parent = parent_of(self, node);
        let client = &self.engine.parts().client.patient();
        if !node.kind.is_kubernetes() {
            return Ok(observe::get(client, node.kind, id, parent.as_ref(), &node.zone).await);
        }
        let (cluster, read) = self.object_read(node, parent)?;
        self.read_object(node, &cluster, Some(id), &read).await
    }

    /// Reads whatever has the name of a node inside a cluster.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read_by_name(
        &self,
        node: &Node,
    ) -> Result<Result<Option<Observed>, ObserveError>, StepEnd> {
        let (cluster, read) = self.object_read(node, parent_of(self, node))?;
        self.read_object(node, &cluster, None, &read).await
    }

    async fn read_object(
        &self,
        node: &Node,
        cluster: &ResourceId,
        id: Option<&ResourceId>,
        read: &Read,
    ) -> Result<Result<Option<Observed>, ObserveError>, StepEnd> {
        let Some(access) = self.cluster_access(&node.zone, cluster).await? else { return Ok(Ok(None)) };
        let seen = observe::object(&self.engine.parts().client, &access, node, id, read).await;
        if seen.as_ref().is_err_and(ObserveError::is_unauthorized) {
            // It has expired meanwhile.
            self.access.lock().await.remove(cluster);
        }
        Ok(seen)
    }

    fn object_read(&self, node: &Node, cluster: Option<ResourceId>) -> Result<(ResourceId, Read), StepEnd> {
        let read = cluster
            .and_then(|cluster| exokit_kinds::kubernetes::get(node, &cluster).map(|read| (cluster, read)));
        read.ok_or_else(|| {
            let what = format!("the plan names no cluster for {}", node.key).into();
            StepEnd::Park(NeedsHuman::Unobservable { what })
        })
    }
}

impl Engine {
    /// Asks the cloud for access to a cluster; none when there is no such cluster.
    ///
    /// # Errors
    /// When the cloud does not issue it.
    pub(crate) async fn issue_access(
        &self,
        zone: &Zone,
        cluster: &ResourceId,
        holder: Holder<'_>,
        ttl: SignedDuration,
    ) -> Result<Option<ClusterAccess>, ObserveError> {
        let client = &self.parts().client;
        let refused = match client.cluster_access(zone, cluster, holder, ttl).await {
            Ok(access) => return Ok(Some(access)),
            Err(error) => error,
        };
        // Gone is only what a look at the cluster itself does not find either.
        let is_gone = refused.is_not_found()
            && observe::get(client, Kind::SksCluster, cluster, None, zone).await?.is_none();
        match is_gone {
            true => Ok(None),
            false => Err(ObserveError::call(&format!("the kubeconfig of {cluster}"), zone, refused)),
        }
    }

    /// Access to a cluster for reading, without a lease; none when there is no such
    /// cluster.
    ///
    /// # Errors
    /// When the cloud does not issue it.
    pub(crate) async fn read_access(
        &self,
        zone: &Zone,
        cluster: &ResourceId,
    ) -> Result<Option<ClusterAccess>, ObserveError> {
        self.issue_access(zone, cluster, Holder::EXOKIT, READ_TTL).await
    }
}
