//! Managed databases, PostgreSQL and Valkey: the name is the id, and there are
//! no labels, so the name carries the mark.

use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use exokit_model::spec::DatabaseSpec;
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::simple_kind::template;
use crate::{Accepted, DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, ownership};

/// One of the two kinds.
pub struct Dbaas {
    kind: Kind,
    /// Type in listings and part of the name.
    service_type: &'static str,
    /// Path segment, which for PostgreSQL is not the service type.
    segment: &'static str,
    operations: [&'static str; 4],
}

impl Dbaas {
    /// PostgreSQL.
    pub const PG: Dbaas = Dbaas {
        kind: Kind::DbaasPg,
        service_type: "pg",
        segment: "dbaas-postgres",
        operations: [
            "create-dbaas-service-pg",
            "get-dbaas-service-pg",
            "update-dbaas-service-pg",
            "delete-dbaas-service-pg",
        ],
    };
    /// Valkey.
    pub const VALKEY: Dbaas = Dbaas {
        kind: Kind::DbaasValkey,
        service_type: "valkey",
        segment: "dbaas-valkey",
        operations: [
            "create-dbaas-service-valkey",
            "get-dbaas-service-valkey",
            "update-dbaas-service-valkey",
            "delete-dbaas-service-valkey",
        ],
    };

    /// The request that makes one, and its name.
    ///
    /// The address filter is always sent, because sources disagree on what an
    /// absent one means. It is open: the nodes' addresses change, access needs
    /// TLS and a password, and templates that must be closed have no database.
    #[must_use]
    pub fn create(
        &self,
        mark: &OwnerMark,
        environment: &str,
        database: &DatabaseSpec,
    ) -> (String, RequestTemplate) {
        let name = mark.name(&format!("{environment}-{}", self.service_type));
        let mut body = json!({
            "plan": database.plan,
            "termination-protection": database.termination_protection,
            "ip-filter": ["0.0.0.0/0"],
        });
        if let Some(version) = &database.version {
            body["version"] = json!(version);
        }
        let path = format!("/v2/{}/{name}", self.segment);
        (name, template(self.operations[0], Method::Post, &path, Some(body)))
    }

    fn observe(&self, raw: &Value) -> Result<Observed, DecodeError> {
        let name = decode::text(raw, "name")?.to_owned();
        Ok(Observed {
            kind: self.kind,
            id: decode::id(raw, "name")?,
            marks: ownership::candidates(&Value::Null, &name),
            name,
            lifecycle: match decode::text_or_empty(raw, "state") {
                "running" => Lifecycle::Ready,
                "poweroff" => Lifecycle::Failed,
                "deleting" => Lifecycle::Deleting,
                _ => Lifecycle::Pending,
            },
            created_at: decode::created_at(raw),
            parent: None,
            raw: raw.clone(),
        })
    }
}

impl ResourceKind for Dbaas {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn list(&self) -> Read {
        Read::api("list-dbaas-services", "/v2/dbaas-service")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        let services = decode::array(body, "dbaas-services")?.iter();
        services
            .filter(|raw| raw.get("type").and_then(Value::as_str) == Some(self.service_type))
            .map(|raw| self.observe(raw))
            .collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api(self.operations[1], format!("/v2/{}/{id}", self.segment))
    }

    fn parse_get(
        &self,
        _id: &ResourceId,
        _parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        self.observe(body).map(Some)
    }

    fn accepted(&self, node: &Node, reply: &Value) -> Result<Accepted, DecodeError> {
        let id = node.name.parse().map_err(|_| DecodeError { field: "name".to_owned() })?;
        Ok(Accepted { id: Some(id), cloud_operation: Some(decode::operation_id(reply)?), secret: None })
    }

    fn delete(&self, _parent: Option<&str>, protected: bool) -> Vec<RequestTemplate> {
        let path = format!("/v2/{}/{{self}}", self.segment);
        let unprotect = json!({"termination-protection": false});
        let unprotect = template(self.operations[2], Method::Put, &path, Some(unprotect));
        let delete = template(self.operations[3], Method::Delete, &path, None);
        protected.then_some(unprotect).into_iter().chain([delete]).collect()
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/plan", "/termination-protection", "/ip-filter"]
    }

    fn watch_resource(&self) -> bool {
        true
    }

    fn predicted(&self) -> Predicted {
        // Measured in ch-dk-2 for startup-4: 120 to 212 s.
        Predicted { create_seconds: 166, delete_seconds: 5, gone_seconds: 5 }
    }
}
