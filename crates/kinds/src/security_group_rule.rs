//! Rules of security groups. They are immutable and have no name: the
//! description carries the mark, and a new rule is found by reading its group,
//! because the reply to the request refers to the group.

use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::json;

use crate::ownership::OwnerMark;
use crate::resource_kind::{ResourceKind, template};
use crate::{Accepted, Predicted, decode, security_group};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    list: (security_group::KIND.path, "security-groups"),
    compared: &[
        "/flow-direction",
        "/protocol",
        "/start-port",
        "/end-port",
        "/icmp",
        "/network",
        "/security-group",
    ],
    parent: Some(Kind::SecurityGroup),
    parts_field: "rules",
    is_read_with_whole: true,
    // The reference is the group, so the rule's own id is not known yet.
    accepted: |_, reply| {
        Ok(Accepted { cloud_operation: Some(decode::operation_id(reply)?), ..Accepted::default() })
    },
    ..ResourceKind::new(
        Kind::SecurityGroupRule,
        "/v2/security-group/{parent}/rules",
        "",
        ["list-security-groups", "get-security-group", "delete-rule-from-security-group"],
        Predicted { create_seconds: 2, delete_seconds: 2, gone_seconds: 2 },
    )
};

/// From where traffic may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Members of the same group.
    SameGroup,
    /// Every IPv4 address.
    Everywhere,
}

/// An ingress rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSpec {
    /// Key of the node, such as `rule-kubelet`.
    pub key: &'static str,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: &'static str,
    /// First and last port; for ICMP type and code.
    pub range: (u16, u16),
    /// From where.
    pub peer: Peer,
}

/// The request that makes one in the group of node `group`.
#[must_use]
pub fn create(mark: &OwnerMark, rule: RuleSpec, group: &NodeKey) -> RequestTemplate {
    let mut body = json!({
        "flow-direction": "ingress",
        "protocol": rule.protocol,
        "description": mark.description(),
    });
    match rule.protocol {
        "icmp" => body["icmp"] = json!({"type": rule.range.0, "code": rule.range.1}),
        _ => {
            body["start-port"] = json!(rule.range.0);
            body["end-port"] = json!(rule.range.1);
        }
    }
    match rule.peer {
        Peer::SameGroup => body["security-group"] = json!({"id": null}),
        Peer::Everywhere => body["network"] = json!("0.0.0.0/0"),
    }
    let path = format!("/v2/security-group/{{{group}}}/rules");
    let mut request = template("add-rule-to-security-group", Method::Post, &path, Some(body));
    if rule.peer == Peer::SameGroup {
        request.slots.insert("/security-group/id".to_owned(), group.clone());
    }
    request
}
