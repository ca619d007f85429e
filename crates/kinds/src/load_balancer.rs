//! Network load balancers. exokit never makes one: the cloud controller of a
//! cluster does, without labels, so they are found by the pool they target.

use exokit_model::kind::Kind;
use serde_json::Value;

use crate::Predicted;
use crate::resource_kind::ResourceKind;
use crate::sks_cluster::lifecycle;

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    lifecycle,
    ..ResourceKind::new(
        Kind::LoadBalancer,
        "/v2/load-balancer",
        "load-balancers",
        ["list-load-balancers", "get-load-balancer", "delete-load-balancer"],
        Predicted { create_seconds: 30, delete_seconds: 10, gone_seconds: 10 },
    )
};

/// Ids of the instance pools that a load balancer sends traffic to.
#[must_use]
pub fn target_pools(raw: &Value) -> Vec<String> {
    let services = raw.get("services").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let pool =
        |service: &Value| service.pointer("/instance-pool/id").and_then(Value::as_str).map(str::to_owned);
    services.iter().filter_map(pool).collect()
}
