//! Object storage: the S3 operations on buckets and objects.

mod bucket;
mod chunked;
mod object;
mod store;
#[cfg(any(test, feature = "testing"))]
mod testing;
mod upload;
mod xml;

use crate::auth::{cel::Bindings, sigv4::Claim};
use crate::codec::{storage_query_pairs, unpercent};
use crate::world::{Effect, Executed, World};
use bytes::Bytes;
use http::{Method, Request, Response};
use std::collections::BTreeMap;
use xml::{parent, text};

pub(crate) use store::Store;

/// An authenticated call.
pub(crate) struct S3Call {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) zone: String,
    pub(crate) now: i64,
}

impl S3Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// A refusal in the words of S3.
#[derive(Clone, Debug)]
pub(crate) struct S3Error {
    status: u16,
    code: &'static str,
    message: String,
}

impl S3Error {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn response(&self, resource: &str) -> Response<Bytes> {
        let body = [text("Code", self.code), text("Message", &self.message), text("Resource", resource)];
        xml::document(self.status, parent("Error", body))
    }
}

/// A reply and what it changed.
pub(crate) type Reply = Result<(Response<Bytes>, Effect), S3Error>;

/// A reply that changed nothing.
pub(crate) fn unchanged(response: Response<Bytes>) -> Reply {
    Ok((response, Effect::None))
}

fn split_path(path: &str) -> (String, String) {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (unpercent(bucket), unpercent(key))
}

/// Serves one operation.
type Handler = fn(&mut World, &S3Call) -> Reply;

/// An operation: its method, the parameter of the query that asks for it
/// (empty: none), its name as IAM policies know it, and its handler.
type Operation = (&'static str, &'static str, &'static str, Handler);

const OF_ACCOUNT: &[Operation] = &[("GET", "", "list-buckets", |world, _| bucket::list(world))];

const OF_BUCKETS: &[Operation] = &[
    ("GET", "versioning", "get-bucket-versioning", bucket::get_versioning),
    ("PUT", "versioning", "put-bucket-versioning", bucket::put_versioning),
    ("GET", "versions", "list-object-versions", object::list_versions),
    ("GET", "uploads", "list-multipart-uploads", upload::list),
    ("GET", "location", "get-bucket-location", bucket::location),
    ("GET", "acl", "get-bucket-acl", bucket::get_acl),
    ("PUT", "acl", "put-bucket-acl", |world, call| bucket::put_setting(world, call, "acl")),
    ("GET", "policy", "get-bucket-policy", bucket::get_policy),
    ("PUT", "policy", "put-bucket-policy", |world, call| bucket::put_setting(world, call, "policy")),
    ("DELETE", "policy", "delete-bucket-policy", |world, call| bucket::delete_setting(world, call, "policy")),
    ("GET", "lifecycle", "get-bucket-lifecycle-configuration", bucket::get_lifecycle),
    ("PUT", "lifecycle", "put-bucket-lifecycle-configuration", |world, call| {
        bucket::put_setting(world, call, "lifecycle")
    }),
    ("DELETE", "lifecycle", "delete-bucket-lifecycle", |world, call| {
        bucket::delete_setting(world, call, "lifecycle")
    }),
    ("POST", "delete", "delete-objects", object::delete_many),
    ("GET", "", "list-objects", object::list),
    ("HEAD", "", "head-bucket", bucket::head),
    ("PUT", "", "create-bucket", bucket::create),
    ("DELETE", "", "delete-bucket", bucket::delete),
];

const OF_OBJECTS: &[Operation] = &[
    ("POST", "uploads", "create-multipart-upload", upload::create),
    ("POST", "uploadId", "complete-multipart-upload", upload::complete),
    ("PUT", "uploadId", "upload-part", upload::part),
    ("GET", "uploadId", "list-parts", upload::list_parts),
    ("DELETE", "uploadId", "abort-multipart-upload", upload::abort),
    ("PUT", "", "put-object", object::put),
    ("GET", "", "get-object", |world, call| object::get(world, call, true)),
    ("HEAD", "", "head-object", |world, call| object::get(world, call, false)),
    ("DELETE", "", "delete-object", object::delete),
];

/// Parameters of a query that ask for operations of buckets and of objects
/// which are not simulated.
const NOT_SIMULATED: [&[&str]; 2] = [
    &[
        "tagging",
        "cors",
        "website",
        "encryption",
        "object-lock",
        "replication",
        "logging",
        "notification",
        "publicAccessBlock",
    ],
    &["tagging", "acl", "retention", "legal-hold"],
];

const UNKNOWN: Operation = ("", "", "sos-unknown", |_, _| {
    tracing::warn!("this S3 request is not simulated: answering 501");
    Err(S3Error::new(501, "NotImplemented", "not simulated"))
});

fn find<B>(request: &Request<B>) -> &'static Operation {
    let (bucket, key) = split_path(request.uri().path());
    let query: BTreeMap<String, String> = storage_query_pairs(request.uri().query()).into_iter().collect();
    let (operations, not_simulated) = match (bucket.as_str(), key.as_str()) {
        ("", _) => (OF_ACCOUNT, &[][..]),
        (_, "") => (OF_BUCKETS, NOT_SIMULATED[0]),
        _ => (OF_OBJECTS, NOT_SIMULATED[1]),
    };
    let asked = |(method, name, ..): &&Operation| {
        *method == request.method().as_str() && (name.is_empty() || query.contains_key(*name))
    };
    let found = operations.iter().find(asked).unwrap_or(&UNKNOWN);
    // A parameter that names an operation on a bucket goes before the others.
    let is_named = key.is_empty() && !found.1.is_empty();
    match !is_named && not_simulated.iter().any(|name| query.contains_key(*name)) {
        true => &UNKNOWN,
        false => found,
    }
}

/// The name of the operation, as IAM policies know it.
pub(crate) fn operation_of<B>(request: &Request<B>) -> &'static str {
    find(request).2
}

/// Executes one S3 request.
pub(crate) fn execute(world: &mut World, request: &Request<Bytes>) -> Executed {
    let claim = Claim::of(request);
    let (key, expires_ms) = match &claim {
        Ok(Some(claim)) => (Some(claim.key.clone()), claim.expires_ms()),
        _ => (None, None),
    };
    let result = authenticated(world, request, claim);
    let (mut response, effect) =
        result.unwrap_or_else(|why| (why.response(request.uri().path()), Effect::None));
    if request.method() == Method::HEAD && response.status().is_client_error() {
        *response.body_mut() = Bytes::new();
    }
    let id = format!("{:016x}", world.now_ms());
    if let Ok(value) = http::HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amz-request-id", value);
    }
    Executed { response, effect, key, expires_ms, takes_ms: None }
}

fn authenticated(
    world: &mut World,
    request: &Request<Bytes>,
    claim: Result<Option<Claim>, (&'static str, &'static str)>,
) -> Reply {
    let claim = claim
        .map_err(|(code, text)| S3Error::new(400, code, text))?
        .ok_or_else(|| S3Error::new(403, "AccessDenied", "anonymous access is not allowed"))?;
    let secret = world
        .keys
        .get(&claim.key)
        .map(|record| record.secret.clone())
        .ok_or_else(|| S3Error::new(403, "InvalidAccessKeyId", "the key does not exist"))?;
    claim.verify(request, &secret, world.now_ms()).map_err(|(code, text)| S3Error::new(403, code, text))?;
    let (bucket, key) = split_path(request.uri().path());
    let mut call = S3Call {
        bucket,
        key,
        query: storage_query_pairs(request.uri().query()).into_iter().collect(),
        headers: request.headers().clone(),
        body: request.body().clone(),
        zone: zone_of(world, &claim.region),
        now: world.now_ms(),
    };
    let (.., operation, handler) = find(request);
    if !world.may(&claim.key, "sos", &bindings(&call, operation)) {
        return Err(S3Error::new(403, "AccessDenied", "not allowed for this key"));
    }
    call.body = chunked::decode(&call)?;
    handler(world, &call)
}

/// The region of the signature names the zone; clients that send another
/// region land in the default zone.
fn zone_of(world: &World, region: &str) -> String {
    let known = world.config().zones.iter().find(|zone| *zone == region);
    known.map_or_else(|| world.config().default_zone().to_owned(), Clone::clone)
}

fn bindings(call: &S3Call, operation: &str) -> Bindings {
    let mut names = Bindings::new();
    let mut bind = |name: &str, value: &str| {
        if !value.is_empty() {
            names.insert(name.to_owned(), value.to_owned());
        }
    };
    bind("operation", operation);
    bind("service", "sos");
    bind("zone", &call.zone);
    // That `resources.bucket` is bound before the bucket exists is a guess.
    bind("resources.bucket", &call.bucket);
    bind("parameters.bucket", &call.bucket);
    bind("resources.key", &call.key);
    bind("parameters.key", &call.key);
    names
}
