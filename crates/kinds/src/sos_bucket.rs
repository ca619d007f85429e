//! Object storage buckets. Made and removed through S3; listed through the
//! API, which shows those of all zones. Names are global, so the name carries
//! the mark.

use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Api, Method, RequestTemplate};
use exokit_model::spec::{BucketAcl, BucketSpec};
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::{Accepted, DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, ownership};

/// The kind.
pub struct SosBucket;

/// Operation that takes every object, version and unfinished upload out of a
/// bucket. One approved step stands for as many S3 calls as it needs.
pub const EMPTY_BUCKET: &str = "empty-bucket";

impl SosBucket {
    /// The request that makes one, and its name. The body is not sent as such:
    /// its `acl` becomes the header `x-amz-acl`.
    #[must_use]
    pub fn create(mark: &OwnerMark, environment: &str, bucket: &BucketSpec) -> (String, RequestTemplate) {
        let name = mark.name(&format!("{environment}-{}", bucket.suffix));
        let acl = match bucket.acl {
            BucketAcl::Private => "private",
            BucketAcl::PublicRead => "public-read",
        };
        let request = storage("create-bucket", Method::Put, &format!("/{name}"), Some(json!({"acl": acl})));
        (name, request)
    }
}

fn storage(operation: &str, method: Method, path: &str, body: Option<Value>) -> RequestTemplate {
    let template = crate::simple_kind::template(operation, method, path, body);
    RequestTemplate { api: Api::Storage, ..template }
}

impl ResourceKind for SosBucket {
    fn kind(&self) -> Kind {
        Kind::SosBucket
    }

    fn list(&self) -> Read {
        Read::api("list-sos-buckets-usage", "/v2/sos-buckets-usage")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "sos-buckets-usage")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read { operation: "head-bucket", api: Api::Storage, path: format!("/{id}") }
    }

    fn parse_get(
        &self,
        id: &ResourceId,
        _parent: Option<&ResourceId>,
        _body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        // A HEAD request has no body: that it succeeded is the answer.
        observe(&json!({"name": id})).map(Some)
    }

    fn accepted(&self, node: &Node, _reply: &Value) -> Result<Accepted, DecodeError> {
        let id = node.name.parse().map_err(|_| DecodeError { field: "name".to_owned() })?;
        Ok(Accepted { id: Some(id), cloud_operation: None, secret: None })
    }

    fn delete(&self, _parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        vec![
            storage(EMPTY_BUCKET, Method::Post, "/{self}", None),
            storage("delete-bucket", Method::Delete, "/{self}", None),
        ]
    }

    fn compared(&self) -> &'static [&'static str] {
        &[]
    }

    fn watch_resource(&self) -> bool {
        true
    }

    fn predicted(&self) -> Predicted {
        Predicted { create_seconds: 1, delete_seconds: 1, gone_seconds: 1 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    let name = decode::text(raw, "name")?.to_owned();
    Ok(Observed {
        kind: Kind::SosBucket,
        id: decode::id(raw, "name")?,
        marks: ownership::candidates(&Value::Null, &name),
        name,
        lifecycle: Lifecycle::Ready,
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
