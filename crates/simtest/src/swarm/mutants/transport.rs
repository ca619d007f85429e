//! Mistakes planted below the signing of changes: on the way to the cloud.

use bytes::Bytes;
use exokit_cloud::signing::{Credentials, sign};
use exokit_cloud::transport::{Transport, TransportError};
use exokit_mutant::{Mutant, planted};
use exokit_sim::SharedWorld;
use http::{HeaderValue, Method, Request, Response, Uri};
use serde_json::Value;
use tower::ServiceExt as _;

/// The mistakes that are made here.
const PLANTED_HERE: [Mutant; 5] =
    [Mutant::SendAgain, Mutant::SignLong, Mutant::ForceApply, Mutant::AnyUid, Mutant::SecretInLedger];

/// How much longer changes are signed for.
const SIGNATURE_STRETCH_SECONDS: i64 = 570;

/// Wraps the way to the cloud of one process. Without a planted mistake it is
/// the way itself.
#[must_use]
pub(in crate::swarm) fn wrapped(inner: Transport, world: &SharedWorld) -> Transport {
    if !PLANTED_HERE.into_iter().any(planted) {
        return inner;
    }
    let credentials = credentials(world);
    let service = tower::service_fn(move |request| send(inner.clone(), credentials.clone(), request));
    tower::util::BoxCloneSyncService::new(service)
}

fn credentials(world: &SharedWorld) -> Credentials {
    let pair = world.peek(|world| (world.config().api_key.clone(), world.config().api_secret.clone()));
    match pair {
        Ok((key, secret)) => Credentials::new(key, secret),
        Err(error) => panic!("the simulated cloud is in memory: {error}"),
    }
}

async fn send(
    inner: Transport,
    credentials: Credentials,
    mut request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        let reply = inner.oneshot(request).await?;
        if planted(Mutant::SecretInLedger) {
            super::read_password(reply.body());
        }
        return Ok(reply);
    }
    if planted(Mutant::SignLong) {
        sign_longer(&credentials, &mut request);
    }
    if planted(Mutant::ForceApply) && *request.method() == Method::PATCH {
        *request.uri_mut() = forced(request.uri());
    }
    if planted(Mutant::AnyUid) && *request.method() == Method::DELETE {
        *request.body_mut() = without_preconditions(request.body());
    }
    let again = request.clone();
    match inner.clone().oneshot(request).await {
        Err(_) if planted(Mutant::SendAgain) => inner.oneshot(again).await,
        reply => reply,
    }
}

/// The address of an apply that conflicts with nobody.
fn forced(uri: &Uri) -> Uri {
    match format!("{uri}&force=true").parse() {
        Ok(forced) => forced,
        Err(error) => panic!("an address with one more parameter is one: {error}"),
    }
}

/// The body of a delete request that does not say of which object.
fn without_preconditions(body: &Bytes) -> Bytes {
    let Ok(mut options) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    if let Some(fields) = options.as_object_mut() {
        fields.remove("preconditions");
    }
    Bytes::from(options.to_string())
}

/// Signs a change of the API anew. Object storage has another signature.
fn sign_longer(credentials: &Credentials, request: &mut Request<Bytes>) {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let expires = header.and_then(|header| header.split(",expires=").nth(1)?.split(',').next()?.parse().ok());
    let (Some(expires), None) = (expires, request.uri().query()) else { return };
    let expires: i64 = expires;
    let until = expires + SIGNATURE_STRETCH_SECONDS;
    let signed = sign(credentials, request.method(), request.uri().path(), &[], request.body(), until);
    match HeaderValue::from_str(&signed) {
        Ok(signed) => drop(request.headers_mut().insert("authorization", signed)),
        Err(error) => panic!("a signature can stand in a header: {error}"),
    }
}
