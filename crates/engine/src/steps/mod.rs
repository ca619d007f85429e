//! The steps: each does one bounded thing on one node and records what came
//! of it. None of them decides what comes next; that is the walk's business.

pub(crate) mod confirm_gone;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod ready;
pub(crate) mod settle;
mod unplanned_resources;

use std::sync::Arc;
use std::time::Duration;

use exokit_approval::grant::{Intent, PermitRequest};
use exokit_approval::permit::Permit;
use exokit_approval::refusal::Refusal;
use exokit_cloud::cluster::ClusterAccess;
use exokit_cloud::outcome::{MutationError, NotSent};
use exokit_cloud::reply::Reply;
use exokit_cloud::secret_values::SecretValues;
use exokit_ledger::OperationState;
use exokit_model::event::Event;
use exokit_model::graph::{Node, Presence};
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::needs_human::NeedsHuman;
use exokit_model::request::ConcreteRequest;
use exokit_mutant::{Mutant, planted};
use jiff::Timestamp;

use crate::held_lease::ClockReading;
use crate::observe::ObserveError;
use crate::run::{Run, StepEnd};
use crate::timing::{SIGNATURE, SKEW_MARGIN};

/// A permit, the request it is for, and when it can no longer take effect.
pub(crate) struct Permitted {
    pub(crate) permit: Permit,
    pub(crate) request: ConcreteRequest,
    /// When the signature, or the certificate, must expire.
    pub(crate) expires: Timestamp,
    destination: Destination,
    secrets: SecretValues,
}

/// Where a request goes.
enum Destination {
    /// To the account's interfaces, signed.
    Account,
    /// To the API server of a cluster.
    Cluster(Arc<ClusterAccess>),
    /// To a cluster that is gone.
    Nowhere,
}

/// Where the requests of a node go.
async fn destination(run: &Run<'_>, node: &Node) -> Result<Destination, StepEnd> {
    if !node.kind.is_kubernetes() {
        return Ok(Destination::Account);
    }
    let Some(cluster) = parent_of(run, node) else { return Ok(Destination::Nowhere) };
    let access = run.cluster_access(&node.zone, &cluster).await?;
    Ok(access.map_or(Destination::Nowhere, Destination::Cluster))
}

/// Asks the verifier for a permit, with roster and votes read afresh.
pub(crate) async fn permit(
    run: &Run<'_>,
    node: &Node,
    intent: Intent,
) -> Result<Result<Permitted, Refusal>, StepEnd> {
    let destination = destination(run, node).await?;
    let secrets = match (&destination, intent) {
        (Destination::Cluster(_), Intent::Create) => run.secret_values(node).await?,
        _ => SecretValues::default(),
    };
    run.ensure_lease().await?;
    run.refresh().await?;
    let verifier = run.engine.verifier().await?;
    let now = run.engine.now();
    let until = run.lease().until(&ClockReading::at(now));
    let expires = (now + SIGNATURE).min(until - SKEW_MARGIN);
    let state = run.state();
    if !run.engine.has_recorded(&state) {
        return Ok(Err(Refusal::NotSealed));
    }
    let facts = state.facts.get(&node.key);
    let made_here = |id: &ResourceId| facts.is_some_and(|facts| facts.made_here && facts.id() == Some(id));
    let result = verifier.permit(PermitRequest {
        plan: &state.plan,
        digest: state.digest,
        tokens: &state.tokens,
        prior_approval: run.prior_approval.as_ref(),
        now,
        started_at: state.started_at,
        rollback: rollback_of(&state, node, intent),
        made_here: &made_here,
        deadline: expires,
        node: &node.key,
        intent,
        own_id: facts.and_then(|facts| facts.id()),
        id_of: &|key| state.facts.id_of(key),
    });
    let expires = match &destination {
        Destination::Cluster(access) => access.expires(),
        Destination::Account | Destination::Nowhere => expires,
    };
    Ok(result.map(|(permit, request)| Permitted { permit, request, expires, destination, secrets }))
}

/// Makes an intent durable, then sends the request once. Nothing is waited for
/// between the permit and the record: the operation could end meanwhile.
///
/// The clock may have been set meanwhile, and the lease with it. A signature
/// that would outlive the lease is not used.
pub(crate) async fn send(
    run: &Run<'_>,
    permitted: Permitted,
    intent: Event,
) -> Result<Result<Reply, MutationError>, StepEnd> {
    let Permitted { permit, request, expires, destination, secrets } = permitted;
    let client = &run.engine.parts().client;
    run.record(intent).await?;
    let deadline = run.lease().until(&ClockReading::at(run.engine.now()));
    if expires > deadline && !planted(Mutant::OutliveLeaseInside) {
        let operation = request.operation.clone();
        let why = NotSent::OutlivesPermit { expires, deadline };
        return Ok(Err(MutationError::NotSent { operation, why }));
    }
    Ok(match destination {
        Destination::Cluster(access) => client.change_cluster(permit, &request, &access, &secrets).await,
        Destination::Account => client.mutate(permit, &request, expires).await,
        Destination::Nowhere => Err(MutationError::Refused {
            operation: request.operation.clone(),
            status: 404,
            message: "its cluster does not exist".to_owned(),
            retry_after: None,
        }),
    })
}

/// Whether a step undoes what this operation made: always while it rolls
/// back, and also when it removes a failed attempt at something wanted.
fn rollback_of(state: &OperationState, node: &Node, intent: Intent) -> bool {
    let failed_attempt = matches!(intent, Intent::Delete { .. }) && node.desired == Presence::Present;
    state.phase.is_rollback() || failed_attempt
}

/// The event of a delete request that was refused, failed, or took too long.
fn delete_refused(node: &Node, id: &ResourceId, status: u16, message: String) -> Event {
    Event::DeleteRefused { node: node.key.clone(), id: id.clone(), status, message: message.into() }
}

/// The node of a step. It exists because the step was made from the graph.
pub(crate) fn node_of(run: &Run<'_>, key: &NodeKey) -> Result<Node, StepEnd> {
    let found = run.state().plan.graph.node(key).cloned();
    found.ok_or_else(|| {
        StepEnd::Park(NeedsHuman::Unobservable { what: format!("node {key} is not in the plan").into() })
    })
}

/// Id of the resource that a node's resource is part of.
pub(crate) fn parent_of(run: &Run<'_>, node: &Node) -> Option<ResourceId> {
    let kind = exokit_kinds::of(node.kind).parent?;
    let state = run.state();
    let parent = state
        .plan
        .graph
        .nodes()
        .iter()
        .find(|other| other.kind == kind && node.depends_on.contains(&other.key))?;
    state.facts.get(&parent.key)?.id().cloned().or_else(|| parent.existing.clone())
}

/// A wait on the engine's clock.
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// How often in a row something may be unreadable before a human is asked.
/// Each time stands for several attempts of the client.
const UNREADABLE_MAX: u32 = 10;

/// Counts failed observations in a row.
#[derive(Default)]
pub(crate) struct Patience(u32);

impl Patience {
    /// Observes until there is an answer, as long as [`Patience::ask`] forgives.
    pub(crate) async fn insist<T, F>(observe: impl Fn() -> F) -> Result<T, StepEnd>
    where
        F: Future<Output = Result<T, ObserveError>>,
    {
        let mut patience = Self::default();
        loop {
            if let Some(seen) = patience.ask(observe().await).await? {
                return Ok(seen);
            }
        }
    }

    /// Passes a good observation on; a bad one is forgiven a number of times,
    /// after a pause that grows, unless the cloud refuses the credentials.
    pub(crate) async fn ask<T>(&mut self, seen: Result<T, ObserveError>) -> Result<Option<T>, StepEnd> {
        let error = match seen {
            Ok(seen) => {
                self.0 = 0;
                return Ok(Some(seen));
            }
            Err(error) => error,
        };
        if let Some((status, message)) = error.refused_credentials() {
            return Err(StepEnd::Park(NeedsHuman::Credentials { status, message: message.into() }));
        }
        self.0 += 1;
        if self.0 >= UNREADABLE_MAX {
            return Err(StepEnd::Park(NeedsHuman::Unobservable { what: error.to_string().into() }));
        }
        pause(Duration::from_secs(2) * self.0).await;
        Ok(None)
    }
}
