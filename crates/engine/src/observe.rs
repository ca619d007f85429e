//! Looking at the cloud: lists, single resources, cloud operations.
//!
//! What cannot be read is an error and never an absence: a resource counts as
//! gone only when the cloud says so.

use exokit_cloud::client::Client;
use exokit_cloud::outcome::CallError;
use exokit_kinds::{DecodeError, Observed};
use exokit_model::ids::{ResourceId, Zone};
use exokit_model::kind::Kind;
use exokit_model::request::Api;
use serde_json::Value;

/// Why something could not be observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The cloud gave no usable answer.
    #[error("reading {what} in {zone}")]
    Call {
        /// What was read.
        what: String,
        /// Where.
        zone: Zone,
        /// Why.
        #[source]
        source: CallError,
    },
    /// The answer is not what the API promises.
    #[error("reading {what} in {zone}")]
    Decode {
        /// What was read.
        what: String,
        /// Where.
        zone: Zone,
        /// Why.
        #[source]
        source: DecodeError,
    },
}

impl ObserveError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            ObserveError::Call { source, .. } => source.hint(),
            ObserveError::Decode { .. } => "check that the endpoint is an Exoscale API".to_owned(),
        }
    }

    /// Status and words, when the cloud does not accept the credentials.
    #[must_use]
    pub fn refused_credentials(&self) -> Option<(u16, String)> {
        match self {
            ObserveError::Call {
                source: CallError::Refused { status: status @ (401 | 403), message, .. },
                ..
            } => Some((*status, message.clone())),
            _ => None,
        }
    }
}

/// How a cloud operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudOperation {
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
pub async fn list(client: &Client, kind: Kind, zone: &Zone) -> Result<Vec<Observed>, ObserveError> {
    let behaviour = exokit_kinds::of(kind);
    let read = behaviour.list();
    let reply = client
        .read(zone, read.operation, &read.path)
        .await
        .map_err(|source| call(read.operation, zone, source))?;
    behaviour.parse_list(reply.value()).map_err(|source| decode(read.operation, zone, source))
}

/// The resources of a kind that are parts of `parent`; all of the zone where
/// the parent is not known or its parts cannot be asked for. Lists of a whole
/// account grow with it, so whoever looks again and again asks for the parts.
///
/// # Errors
/// When they cannot be read.
pub async fn list_in(
    client: &Client,
    kind: Kind,
    parent: Option<&ResourceId>,
    zone: &Zone,
) -> Result<Vec<Observed>, ObserveError> {
    let behaviour = exokit_kinds::of(kind);
    let Some(read) = parent.and_then(|parent| behaviour.list_in(parent)) else {
        return list(client, kind, zone).await;
    };
    match client.read(zone, read.operation, &read.path).await {
        Ok(reply) => {
            behaviour.parse_list_in(reply.value()).map_err(|source| decode(read.operation, zone, source))
        }
        // Without the whole there is no part.
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(source) => Err(call(read.operation, zone, source)),
    }
}

/// One resource; none when the cloud says that it is not there.
///
/// # Errors
/// When it cannot be read.
pub async fn get(
    client: &Client,
    kind: Kind,
    id: &ResourceId,
    parent: Option<&ResourceId>,
    zone: &Zone,
) -> Result<Option<Observed>, ObserveError> {
    let behaviour = exokit_kinds::of(kind);
    let read = behaviour.get(id, parent);
    let reply = match read.api {
        Api::Exoscale => client.read(zone, read.operation, &read.path).await,
        Api::Storage => client.head_bucket(zone, &read.path).await,
    };
    let what = || format!("{kind} {id}");
    match reply {
        Ok(reply) => {
            behaviour.parse_get(id, parent, reply.value()).map_err(|source| decode(&what(), zone, source))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(call(&what(), zone, source)),
    }
}

/// How a cloud operation stands.
///
/// # Errors
/// When it cannot be read.
pub async fn operation(client: &Client, id: &str, zone: &Zone) -> Result<CloudOperation, ObserveError> {
    let what = "get-operation";
    match client.read(zone, what, &format!("/v2/operation/{id}")).await {
        Ok(reply) => Ok(operation_state(reply.value())),
        Err(error) if error.is_not_found() => Ok(CloudOperation::Unknown),
        Err(source) => Err(call(what, zone, source)),
    }
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

fn call(what: &str, zone: &Zone, source: CallError) -> ObserveError {
    ObserveError::Call { what: what.to_owned(), zone: zone.clone(), source }
}

fn decode(what: &str, zone: &Zone, source: DecodeError) -> ObserveError {
    ObserveError::Decode { what: what.to_owned(), zone: zone.clone(), source }
}
