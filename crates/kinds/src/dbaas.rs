//! Managed databases, PostgreSQL and Valkey: the name is the id, and there are
//! no labels, so the name carries the mark.

mod connection;

use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use exokit_model::spec::{DatabaseEngine, DatabaseSpec};
use serde_json::{Value, json};

pub use connection::Connection;

use crate::ownership::OwnerMark;
use crate::resource_kind::{MarkPlace, ResourceKind, template};
use crate::{Accepted, Lifecycle, Predicted, decode};

/// PostgreSQL, whose path is not called after its type.
pub(crate) const PG: ResourceKind = ResourceKind {
    before_delete: |path, protected| protected.then(|| unprotect("update-dbaas-service-pg", path)),
    ..service(
        Kind::DbaasPg,
        "pg",
        "/v2/dbaas-postgres",
        ["list-dbaas-services", "get-dbaas-service-pg", "delete-dbaas-service-pg"],
    )
};

/// Valkey.
pub(crate) const VALKEY: ResourceKind = ResourceKind {
    before_delete: |path, protected| protected.then(|| unprotect("update-dbaas-service-valkey", path)),
    ..service(
        Kind::DbaasValkey,
        "valkey",
        "/v2/dbaas-valkey",
        ["list-dbaas-services", "get-dbaas-service-valkey", "delete-dbaas-service-valkey"],
    )
};

const fn service(
    kind: Kind,
    listed_type: &'static str,
    path: &'static str,
    operations: [&'static str; 3],
) -> ResourceKind {
    // Measured in ch-dk-2 for startup-4: 120 to 212 s.
    let predicted = Predicted { create_seconds: 166, delete_seconds: 5, gone_seconds: 5 };
    ResourceKind {
        listed_type: Some(listed_type),
        list: ("/v2/dbaas-service", "dbaas-services"),
        id_field: "name",
        mark: MarkPlace::Name,
        lifecycle,
        compared: &["/plan", "/termination-protection", "/ip-filter"],
        accepted: |node, reply| {
            let cloud_operation = Some(decode::operation_id(reply)?);
            Ok(Accepted { id: Some(decode::own_name(node)?), cloud_operation, ..Accepted::default() })
        },
        watch_resource: true,
        ..ResourceKind::new(kind, path, "", operations, predicted)
    }
}

fn lifecycle(raw: &Value) -> Lifecycle {
    match decode::state(raw) {
        "running" => Lifecycle::Ready,
        "poweroff" => Lifecycle::Failed,
        "deleting" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}

fn unprotect(operation: &str, path: &str) -> RequestTemplate {
    template(operation, Method::Put, path, Some(json!({"termination-protection": false})))
}

/// The request that makes one, and its name.
///
/// The address filter is always sent, because sources disagree on what an
/// absent one means. It is open: the nodes' addresses change, access needs
/// TLS and a password, and templates that must be closed have no database.
#[must_use]
pub fn create(mark: &OwnerMark, environment: &str, database: &DatabaseSpec) -> (String, RequestTemplate) {
    let engine = database.engine;
    let path = match engine {
        DatabaseEngine::Pg => PG.path,
        DatabaseEngine::Valkey => VALKEY.path,
    };
    let name = mark.name(&format!("{environment}-{engine}"));
    let mut body = json!({
        "plan": database.plan,
        "termination-protection": database.termination_protection,
        "ip-filter": ["0.0.0.0/0"],
    });
    if let Some(version) = &database.version {
        body["version"] = json!(version);
    }
    let operation = format!("create-dbaas-service-{engine}");
    let request = template(&operation, Method::Post, &format!("{path}/{name}"), Some(body));
    (name, request)
}
