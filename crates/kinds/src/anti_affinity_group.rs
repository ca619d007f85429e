//! Anti-affinity groups: keep the machines of a nodepool on different hosts.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::{Value, json};

use crate::mark::Mark;
use crate::security_group::template;
use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, mark};

/// The kind.
pub struct AntiAffinityGroup;

/// Most machines that one group can hold (measured, not in the API document).
const MEMBERS_MAX: u32 = 8;

impl AntiAffinityGroup {
    /// The request that makes one, and its name; none when the pool is too
    /// small to need one or too large for one to hold.
    #[must_use]
    pub fn create(mark: &Mark, environment: &str, nodes: u32) -> Option<(String, RequestTemplate)> {
        let name = mark.name(environment);
        let body = json!({"name": name, "description": mark.description()});
        let request =
            template("create-anti-affinity-group", Method::Post, "/v2/anti-affinity-group", Some(body));
        (2..=MEMBERS_MAX).contains(&nodes).then_some((name, request))
    }
}

impl ResourceKind for AntiAffinityGroup {
    fn kind(&self) -> Kind {
        Kind::AntiAffinityGroup
    }

    fn list(&self) -> Read {
        Read::api("list-anti-affinity-groups", "/v2/anti-affinity-group")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "anti-affinity-groups")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-anti-affinity-group", format!("/v2/anti-affinity-group/{id}"))
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
        vec![template("delete-anti-affinity-group", Method::Delete, "/v2/anti-affinity-group/{self}", None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name", "/description"]
    }

    fn predicted(&self) -> Predicted {
        // The nodes' machines linger for 5 to 10 minutes and keep it busy.
        Predicted { create_seconds: 2, delete_seconds: 450, gone_seconds: 2 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    let name = decode::text(raw, "name")?.to_owned();
    Ok(Observed {
        kind: Kind::AntiAffinityGroup,
        id: decode::id(raw, "id")?,
        marks: mark::candidates(raw, &name),
        name,
        lifecycle: Lifecycle::Ready,
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
