//! Rules of security groups. They are immutable and have no name: the
//! description carries the mark, and a new rule is found by reading its group,
//! because the reply to the request refers to the group.

use exokit_model::graph::Node;
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::simple_kind::template;
use crate::{Accepted, DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, ownership};

/// The kind.
pub struct SecurityGroupRule;

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

impl SecurityGroupRule {
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
}

impl ResourceKind for SecurityGroupRule {
    fn kind(&self) -> Kind {
        Kind::SecurityGroupRule
    }

    fn list(&self) -> Read {
        Read::api("list-security-groups", "/v2/security-group")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        let groups = decode::array(body, "security-groups")?.iter().map(rules);
        groups.collect::<Result<Vec<_>, _>>().map(|rules| rules.concat())
    }

    fn list_in(&self, parent: &ResourceId) -> Option<Read> {
        Some(Read::api("get-security-group", format!("/v2/security-group/{parent}")))
    }

    fn parse_list_in(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        rules(body)
    }

    fn get(&self, _id: &ResourceId, parent: Option<&ResourceId>) -> Read {
        parent.and_then(|group| self.list_in(group)).unwrap_or_else(|| self.list())
    }

    fn parse_get(
        &self,
        id: &ResourceId,
        parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        let all = match parent {
            Some(_) => rules(body)?,
            None => self.parse_list(body)?,
        };
        Ok(all.into_iter().find(|rule| rule.id == *id))
    }

    fn accepted(&self, _node: &Node, reply: &Value) -> Result<Accepted, DecodeError> {
        // The reference is the group, so the rule's own id is not known yet.
        Ok(Accepted { id: None, cloud_operation: Some(decode::operation_id(reply)?), secret: None })
    }

    fn delete(&self, parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        let group = parent.unwrap_or("security-group");
        let path = format!("/v2/security-group/{{{group}}}/rules/{{self}}");
        vec![template("delete-rule-from-security-group", Method::Delete, &path, None)]
    }

    fn parent(&self) -> Option<Kind> {
        Some(Kind::SecurityGroup)
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/flow-direction", "/protocol", "/start-port", "/end-port", "/icmp", "/network", "/security-group"]
    }

    fn predicted(&self) -> Predicted {
        Predicted { create_seconds: 2, delete_seconds: 2, gone_seconds: 2 }
    }
}

fn rules(group: &Value) -> Result<Vec<Observed>, DecodeError> {
    let parent = decode::id(group, "id")?;
    decode::array(group, "rules")?
        .iter()
        .map(|raw| {
            Ok(Observed {
                kind: Kind::SecurityGroupRule,
                id: decode::id(raw, "id")?,
                name: String::new(),
                marks: ownership::candidates(raw, ""),
                lifecycle: Lifecycle::Ready,
                created_at: None,
                parent: Some(parent.clone()),
                raw: raw.clone(),
            })
        })
        .collect()
}
