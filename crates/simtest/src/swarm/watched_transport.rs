//! The transport from an engine to the cloud, which records for the judge what was
//! sent and what was durable at that moment.

use std::sync::Arc;

use bytes::Bytes;
use exokit_cloud::transport::{Transport, TransportError};
use exokit_sim::SharedWorld;
use http::{Method, Request, Response};
use serde::Deserialize;

use crate::rig;

use super::witness::{Sent, Witness, request_digest};

/// Longest reply that is made for a secret.
const REVEALED_BYTES_MAX: usize = 2048;

/// A watched transport to a simulated cloud.
#[must_use]
pub(super) fn watched(world: &SharedWorld, witness: &Arc<Witness>, process: u64) -> Transport {
    let (world, witness) = (world.clone(), Arc::clone(witness));
    let service = tower::service_fn(move |request: Request<Bytes>| {
        let (world, witness) = (world.clone(), Arc::clone(&witness));
        async move { send(&world, &witness, process, request).await }
    });
    tower::util::BoxCloneSyncService::new(service)
}

async fn send(
    world: &SharedWorld,
    witness: &Witness,
    process: u64,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    // The API server of a cluster has a budget of its own.
    let is_in_cluster = request.uri().host().is_some_and(|host| host.contains(".sks-"));
    if !is_in_cluster {
        witness.lock().calls.entry(process).or_default().push(world.now_ms());
    }
    if changes {
        record(world, witness, &request);
    }
    let reply = rig::send(world.clone(), request).await;
    witness.note_cloud(world);
    if let Ok(reply) = &reply {
        witness.lock().secrets.extend(secrets_in(reply.body()));
    }
    reply
}

/// The secrets in a reply that is made for one: the secret of an API key, or
/// the password of a database.
fn secrets_in(reply: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Revealed {
        secret: Option<String>,
        password: Option<String>,
    }
    if reply.len() > REVEALED_BYTES_MAX {
        return Vec::new();
    }
    let Ok(Revealed { secret, password }) = serde_json::from_slice(reply) else { return Vec::new() };
    secret.into_iter().chain(password).collect()
}

/// A change leaves: what was acknowledged as durable at that moment?
fn record(world: &SharedWorld, witness: &Witness, request: &Request<Bytes>) {
    let at_ms = world.now_ms();
    let digest = request_digest(request.method().as_str(), &path_of(request), request.body());
    let mut inner = witness.lock();
    let acknowledged = inner.acknowledged.len();
    inner.sent.push(Sent { at_ms, digest, acknowledged });
    if inner.clock_wrong {
        let state = inner.tracker.state();
        inner.coverage.note("clock wrong while acting", state);
    }
}

/// The path as the journal has it: to the API server of a cluster it begins
/// with the id of the cluster.
fn path_of(request: &Request<Bytes>) -> String {
    let host = request.uri().host().unwrap_or_default();
    match host.split_once(".sks-") {
        Some((cluster, _)) => {
            format!("/{cluster}{}", request.uri().path_and_query().map_or("", |path| path.as_str()))
        }
        None => request.uri().path().to_owned(),
    }
}
