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
use serde::Serialize;
use std::collections::BTreeMap;

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
        let body = ErrorBody { code: self.code, message: &self.message, resource };
        xml::document(self.status, "Error", &body)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
    resource: &'a str,
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

/// The name of the operation, as IAM policies know it.
pub(crate) fn operation_of<B>(request: &Request<B>) -> &'static str {
    let (bucket, key) = split_path(request.uri().path());
    let query: BTreeMap<String, String> = storage_query_pairs(request.uri().query()).into_iter().collect();
    let asks = |name: &str| query.contains_key(name);
    let method = request.method().as_str();
    if bucket.is_empty() {
        return if method == "GET" { "list-buckets" } else { "sos-unknown" };
    }
    if key.is_empty() { bucket_operation(method, &asks) } else { object_operation(method, &asks) }
}

fn bucket_operation(method: &str, asks: &dyn Fn(&str) -> bool) -> &'static str {
    const SUB: [(&str, &str, &str); 14] = [
        ("GET", "versioning", "get-bucket-versioning"),
        ("PUT", "versioning", "put-bucket-versioning"),
        ("GET", "versions", "list-object-versions"),
        ("GET", "uploads", "list-multipart-uploads"),
        ("GET", "location", "get-bucket-location"),
        ("GET", "acl", "get-bucket-acl"),
        ("PUT", "acl", "put-bucket-acl"),
        ("GET", "policy", "get-bucket-policy"),
        ("PUT", "policy", "put-bucket-policy"),
        ("DELETE", "policy", "delete-bucket-policy"),
        ("GET", "lifecycle", "get-bucket-lifecycle-configuration"),
        ("PUT", "lifecycle", "put-bucket-lifecycle-configuration"),
        ("DELETE", "lifecycle", "delete-bucket-lifecycle"),
        ("POST", "delete", "delete-objects"),
    ];
    const OTHER: [&str; 9] = [
        "tagging",
        "cors",
        "website",
        "encryption",
        "object-lock",
        "replication",
        "logging",
        "notification",
        "publicAccessBlock",
    ];
    if let Some((_, _, name)) = SUB.iter().find(|(m, sub, _)| *m == method && asks(sub)) {
        return name;
    }
    match method {
        _ if OTHER.iter().any(|sub| asks(sub)) => "sos-unknown",
        "GET" => "list-objects",
        "HEAD" => "head-bucket",
        "PUT" => "create-bucket",
        "DELETE" => "delete-bucket",
        _ => "sos-unknown",
    }
}

fn object_operation(method: &str, asks: &dyn Fn(&str) -> bool) -> &'static str {
    if ["tagging", "acl", "retention", "legal-hold"].iter().any(|sub| asks(sub)) {
        return "sos-unknown";
    }
    match (method, asks("uploadId"), asks("uploads")) {
        ("POST", _, true) => "create-multipart-upload",
        ("POST", true, _) => "complete-multipart-upload",
        ("PUT", true, _) => "upload-part",
        ("GET", true, _) => "list-parts",
        ("DELETE", true, _) => "abort-multipart-upload",
        ("PUT", ..) => "put-object",
        ("GET", ..) => "get-object",
        ("HEAD", ..) => "head-object",
        ("DELETE", ..) => "delete-object",
        _ => "sos-unknown",
    }
}

/// Executes one S3 request.
pub(crate) fn execute(world: &mut World, request: &Request<Bytes>, operation: &str) -> Executed {
    let claim = Claim::of(request);
    let (key, expires_ms) = match &claim {
        Ok(Some(claim)) => (Some(claim.key.clone()), claim.expires_ms()),
        _ => (None, None),
    };
    let result = authenticated(world, request, claim, operation);
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
    operation: &str,
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
    if !world.may(&claim.key, "sos", &bindings(&call, operation)) {
        return Err(S3Error::new(403, "AccessDenied", "not allowed for this key"));
    }
    call.body = chunked::decode(&call)?;
    dispatch(world, &call, operation)
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

fn dispatch(world: &mut World, call: &S3Call, operation: &str) -> Reply {
    match operation {
        "list-buckets" => bucket::list(world),
        "create-bucket" => bucket::create(world, call),
        "head-bucket" => bucket::head(world, call),
        "delete-bucket" => bucket::delete(world, call),
        "get-bucket-location" => bucket::location(world, call),
        "get-bucket-versioning" => bucket::get_versioning(world, call),
        "put-bucket-versioning" => bucket::put_versioning(world, call),
        "get-bucket-acl" => bucket::get_acl(world, call),
        "put-bucket-acl" => bucket::put_setting(world, call, "acl"),
        "get-bucket-policy" => bucket::get_policy(world, call),
        "put-bucket-policy" => bucket::put_setting(world, call, "policy"),
        "delete-bucket-policy" => bucket::delete_setting(world, call, "policy"),
        "get-bucket-lifecycle-configuration" => bucket::get_lifecycle(world, call),
        "put-bucket-lifecycle-configuration" => bucket::put_setting(world, call, "lifecycle"),
        "delete-bucket-lifecycle" => bucket::delete_setting(world, call, "lifecycle"),
        "list-objects" => object::list(world, call),
        "list-object-versions" => object::list_versions(world, call),
        "delete-objects" => object::delete_many(world, call),
        "put-object" => object::put(world, call),
        "get-object" => object::get(world, call, true),
        "head-object" => object::get(world, call, false),
        "delete-object" => object::delete(world, call),
        "create-multipart-upload" => upload::create(world, call),
        "upload-part" => upload::part(world, call),
        "list-parts" => upload::list_parts(world, call),
        "list-multipart-uploads" => upload::list(world, call),
        "complete-multipart-upload" => upload::complete(world, call),
        "abort-multipart-upload" => upload::abort(world, call),
        _ => {
            tracing::warn!("this S3 request is not simulated: answering 501");
            Err(S3Error::new(501, "NotImplemented", "not simulated"))
        }
    }
}
