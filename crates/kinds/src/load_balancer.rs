//! Network load balancers. exokit never makes one: the cloud controller of a
//! cluster does, without labels, so they are found by the pool they target.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::Value;

use crate::security_group::template;
use crate::sks_cluster::lifecycle;
use crate::{DecodeError, Observed, Predicted, Read, ResourceKind, decode, mark};

/// The kind.
pub(crate) struct LoadBalancer;

impl ResourceKind for LoadBalancer {
    fn kind(&self) -> Kind {
        Kind::LoadBalancer
    }

    fn list(&self) -> Read {
        Read::api("list-load-balancers", "/v2/load-balancer")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "load-balancers")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-load-balancer", format!("/v2/load-balancer/{id}"))
    }

    fn parse_get(
        &self,
        _id: &ResourceId,
        _parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        observe(body).map(Some)
    }

    fn delete(&self, _parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        vec![template("delete-load-balancer", Method::Delete, "/v2/load-balancer/{self}", None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name"]
    }

    fn predicted(&self) -> Predicted {
        Predicted { create_seconds: 30, delete_seconds: 5, gone_seconds: 5 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    Ok(Observed {
        kind: Kind::LoadBalancer,
        id: decode::id(raw, "id")?,
        name: decode::text_or_empty(raw, "name").to_owned(),
        marks: mark::candidates(raw, ""),
        lifecycle: lifecycle(decode::text_or_empty(raw, "state")),
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}

/// Ids of the instance pools that a load balancer sends traffic to.
#[must_use]
pub fn target_pools(raw: &Value) -> Vec<String> {
    let services = raw.get("services").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let pool =
        |service: &Value| service.pointer("/instance-pool/id").and_then(Value::as_str).map(str::to_owned);
    services.iter().filter_map(pool).collect()
}
