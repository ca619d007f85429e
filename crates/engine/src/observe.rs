//! Looking at the cloud: lists, single resources, cloud operations.
//!
//! What cannot be read is an error and never an absence: a resource counts as
//! gone only when the cloud says so.

use exokit_cloud::client::Client;
use exokit_cloud::cluster::ClusterAccess;
use exokit_cloud::outcome::CallError;
use exokit_cloud::reply::Reply;
use exokit_kinds::{DecodeError, Observed, Read};
use exokit_model::graph::Node;
use exokit_model::ids::{ResourceId, Zone};
use exokit_model::kind::Kind;
use exokit_model::request::Api;
use serde_json::Value;

/// The most pages of one list.
const ITEM_PAGES_MAX: usize = 100;

/// The operation of such a list, whatever the kind.
const LIST_ITEMS: &str = "list-objects";

/// Why something could not be observed.
#[derive(Debug, thiserror::Error)]
#[error("reading {what} in {zone}")]
pub struct ObserveError {
    what: String,
    zone: Zone,
    source: Cause,
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Cause {
    /// The cloud gave no usable answer.
    Call(CallError),
    /// The API server of a cluster gave none.
    Cluster(CallError),
    /// The answer is not what the API promises.
    Decode(#[from] DecodeError),
}

impl ObserveError {
    pub(crate) fn call(what: &str, zone: &Zone, source: CallError) -> Self {
        Self { what: what.to_owned(), zone: zone.clone(), source: Cause::Call(source) }
    }

    fn cluster(what: &str, zone: &Zone, source: CallError) -> Self {
        Self { what: what.to_owned(), zone: zone.clone(), source: Cause::Cluster(source) }
    }

    pub(crate) fn decode(what: &str, zone: &Zone, source: DecodeError) -> Self {
        Self { what: what.to_owned(), zone: zone.clone(), source: source.into() }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.source {
            Cause::Call(error) | Cause::Cluster(error) => error.hint(),
            Cause::Decode(_) => "check that the endpoint is an Exoscale API".to_owned(),
        }
    }

    /// Whether the API server of a cluster does not accept the certificate.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(&self.source, Cause::Cluster(CallError::Refused { status: 401, .. }))
    }

    /// Status and words, when the cloud does not accept the credentials.
    pub(crate) fn refused_credentials(&self) -> Option<(u16, String)> {
        match &self.source {
            Cause::Call(CallError::Refused { status: status @ (401 | 403), message, .. }) => {
                Some((*status, message.clone()))
            }
            _ => None,
        }
    }
}

/// Every object of a kind at the path of its list, page by page.
///
/// # Errors
/// When it cannot be read, or has more pages than any environment.
pub(crate) async fn all_items(
    client: &Client,
    access: &ClusterAccess,
    (kind, path): (&str, &str),
    cluster: &ResourceId,
    zone: &Zone,
) -> Result<Vec<Value>, ObserveError> {
    let unreadable = |source| ObserveError::decode(kind, zone, source);
    let mut found = Vec::new();
    let mut from: Option<String> = None;
    for _ in 0..ITEM_PAGES_MAX {
        let read = exokit_kinds::kubernetes::page(LIST_ITEMS, path, cluster, from.as_deref());
        let reply = client.read_cluster(access, read.operation, &read.path).await;
        let reply = reply.map_err(|source| ObserveError::cluster(kind, zone, source))?;
        let (items, next) = exokit_kinds::kubernetes::parse_page(reply.value()).map_err(unreadable)?;
        found.extend_from_slice(items);
        from = next;
        if from.is_none() {
            return Ok(found);
        }
    }
    Err(unreadable(DecodeError { field: "metadata.continue".to_owned() }))
}

/// How a cloud operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CloudOperation {
    /// Not final.
    Pending,
    /// It succeeded.
    Success,
    /// It failed or timed out; why, in the cloud's words.
    Failure(String),
    /// The cloud does not know it (any more).
    Unknown,
}

/// All resources of a kind that a zone shows.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn list(client: &Client, kind: Kind, zone: &Zone) -> Result<Vec<Observed>, ObserveError> {
    let behaviour = exokit_kinds::of(kind);
    let read = behaviour.list();
    let reply = client.read(zone, read.operation, &read.path).await;
    let reply = reply.map_err(|source| ObserveError::call(read.operation, zone, source))?;
    let listed = behaviour.parse_list(reply.value());
    listed.map_err(|source| ObserveError::decode(read.operation, zone, source))
}

/// The reply to a request; none when the cloud says that there is no such thing.
async fn find(client: &Client, what: &str, read: &Read, zone: &Zone) -> Result<Option<Reply>, ObserveError> {
    let reply = match read.api {
        Api::Exoscale => client.read(zone, read.operation, &read.path).await,
        Api::Storage => client.head_bucket(zone, &read.path).await,
        // Objects inside a cluster are read by `object`, with access to it.
        Api::Kubernetes => {
            let source = DecodeError { field: "cluster".to_owned() };
            return Err(ObserveError::decode(what, zone, source));
        }
    };
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(ObserveError::call(what, zone, source)),
    }
}

/// The resources of a kind that are parts of `parent`; all of the zone where
/// the parent is not known or its parts cannot be asked for. Lists of a whole
/// account grow with it, so whoever looks again and again asks for the parts.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn list_in(
    client: &Client,
    kind: Kind,
    parent: Option<&ResourceId>,
    zone: &Zone,
) -> Result<Vec<Observed>, ObserveError> {
    let behaviour = exokit_kinds::of(kind);
    let Some(read) = parent.and_then(|parent| behaviour.list_in(parent)) else {
        return list(client, kind, zone).await;
    };
    // Without the whole there is no part.
    let Some(reply) = find(client, read.operation, &read, zone).await? else { return Ok(Vec::new()) };
    let parts = behaviour.parse_list_in(reply.value());
    parts.map_err(|source| ObserveError::decode(read.operation, zone, source))
}

/// One resource; none when the cloud says that it is not there.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn get(
    client: &Client,
    kind: Kind,
    id: &ResourceId,
    parent: Option<&ResourceId>,
    zone: &Zone,
) -> Result<Option<Observed>, ObserveError> {
    let behaviour = exokit_kinds::of(kind);
    let what = format!("{kind} {id}");
    let Some(reply) = find(client, &what, &behaviour.get(id, parent), zone).await? else { return Ok(None) };
    let shown = behaviour.parse_get(id, parent, reply.value());
    shown.map_err(|source| ObserveError::decode(&what, zone, source))
}

/// The object of a node inside a cluster; none when the API server says that it
/// is not there, or that what has its name is another one than `id`.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn object(
    client: &Client,
    access: &ClusterAccess,
    node: &Node,
    id: Option<&ResourceId>,
    read: &Read,
) -> Result<Option<Observed>, ObserveError> {
    let what = format!("{} {}", node.kind, node.name);
    let reply = match client.read_cluster(access, read.operation, &read.path).await {
        Ok(reply) => reply,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(source) => return Err(ObserveError::cluster(&what, &node.zone, source)),
    };
    let behaviour = exokit_kinds::of(node.kind);
    let shown = behaviour.parse_object(reply.value());
    let shown = shown.map_err(|source| ObserveError::decode(&what, &node.zone, source))?;
    Ok(Some(shown).filter(|shown| id.is_none_or(|id| shown.id == *id)))
}

/// One page of the objects of a kind inside a cluster, and where the next one
/// begins.
///
/// # Errors
/// When they cannot be read.
pub(crate) async fn objects(
    client: &Client,
    access: &ClusterAccess,
    kind: Kind,
    zone: &Zone,
    read: &Read,
) -> Result<(Vec<Observed>, Option<String>), ObserveError> {
    let reply = client.read_cluster(access, read.operation, &read.path).await;
    let reply = reply.map_err(|source| ObserveError::cluster(read.operation, zone, source))?;
    let listed = exokit_kinds::kubernetes::parse_list(kind, reply.value());
    listed.map_err(|source| ObserveError::decode(read.operation, zone, source))
}

/// How a cloud operation stands.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn operation(
    client: &Client,
    id: &str,
    zone: &Zone,
) -> Result<CloudOperation, ObserveError> {
    let read = Read { operation: "get-operation", api: Api::Exoscale, path: format!("/v2/operation/{id}") };
    let reply = find(client, read.operation, &read, zone).await?;
    Ok(reply.map_or(CloudOperation::Unknown, |reply| operation_state(reply.value())))
}

fn operation_state(reply: &Value) -> CloudOperation {
    let text = |field: &str| reply.get(field).and_then(Value::as_str);
    match text("state") {
        Some("success") => CloudOperation::Success,
        Some("failure" | "timeout") => {
            let reason = text("reason").unwrap_or("unknown");
            CloudOperation::Failure(format!("{reason}: {}", text("message").unwrap_or("no message")))
        }
        // An unknown state is not final.
        _ => CloudOperation::Pending,
    }
}
