//! Object storage buckets. Made and removed through S3; listed through the
//! API, which shows those of all zones. Names are global, so the name carries
//! the mark.

use exokit_model::kind::Kind;
use exokit_model::request::{Api, Method, RequestTemplate};
use exokit_model::spec::BucketSpec;
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::resource_kind::{MarkPlace, ResourceKind, template};
use crate::{Accepted, Predicted, decode};

/// The kind. Before a bucket is deleted, one approved step takes every object,
/// version and unfinished upload out of it, by as many S3 calls as it needs.
pub(crate) const KIND: ResourceKind = ResourceKind {
    api: Api::Storage,
    list: ("/v2/sos-buckets-usage", "sos-buckets-usage"),
    id_field: "name",
    mark: MarkPlace::Name,
    compared: &[],
    accepted: |node, _| Ok(Accepted { id: Some(decode::own_name(node)?), ..Accepted::default() }),
    before_delete: |path, _| Some(storage("empty-bucket", Method::Post, path, None)),
    watch_resource: true,
    ..ResourceKind::new(
        Kind::SosBucket,
        "",
        "",
        ["list-sos-buckets-usage", "head-bucket", "delete-bucket"],
        Predicted { create_seconds: 1, delete_seconds: 1, gone_seconds: 1 },
    )
};

/// The request that makes one, and its name. The body is not sent as such:
/// its `acl` becomes the header `x-amz-acl`.
#[must_use]
pub fn create(mark: &OwnerMark, environment: &str, bucket: &BucketSpec) -> (String, RequestTemplate) {
    let name = mark.name(&format!("{environment}-{}", bucket.suffix));
    let body = json!({"acl": bucket.acl});
    let request = storage("create-bucket", Method::Put, &format!("/{name}"), Some(body));
    (name, request)
}

fn storage(operation: &str, method: Method, path: &str, body: Option<Value>) -> RequestTemplate {
    RequestTemplate { api: Api::Storage, ..template(operation, method, path, body) }
}
