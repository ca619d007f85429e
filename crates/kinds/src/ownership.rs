//! The mark of ownership: how a resource carries its owner token.
//!
//! Kinds that accept labels carry it there; security groups, anti-affinity
//! groups and rules in their description; databases, buckets and keys, which
//! have a name and nothing else, at the end of the name.

use std::collections::BTreeMap;

use exokit_model::ids::{NodeKey, OwnerToken, PlanId};
use serde_json::Value;

/// Label that holds the owner token.
const TOKEN_LABEL: &str = "exokit-token";
/// Label that holds the plan.
const PLAN_LABEL: &str = "exokit-plan";
/// Label that holds the key of the node.
const NODE_LABEL: &str = "exokit-node";
/// First word of a description that carries a mark.
const DESCRIPTION_WORD: &str = "exokit";

/// What a created resource says about its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerMark {
    /// The plan that made it.
    pub plan: PlanId,
    /// The node that it is.
    pub node: NodeKey,
    /// The owner token.
    pub token: OwnerToken,
}

impl OwnerMark {
    /// The mark as labels.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        [
            (TOKEN_LABEL, self.token.to_string()),
            (PLAN_LABEL, self.plan.to_string()),
            (NODE_LABEL, self.node.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// The mark as a description.
    pub(crate) fn description(&self) -> String {
        format!("{DESCRIPTION_WORD} {} {} {}", self.plan, self.node, self.token)
    }

    /// A name that ends with the short form of the token.
    #[must_use]
    pub fn name(&self, stem: &str) -> String {
        format!("{stem}-{}", self.token.short())
    }
}

/// What an observed resource claims about its origin, verified or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The plan, where it says one.
    pub plan: Option<PlanId>,
    /// The node, where it says one.
    pub node: Option<NodeKey>,
    /// The text in the token's place.
    pub token: String,
}

/// The claim in labels or description of a raw resource, if there is one.
#[must_use]
pub fn claim(raw: &Value) -> Option<Claim> {
    let label = |key: &str| raw.get("labels").and_then(|labels| labels.get(key)).and_then(Value::as_str);
    if let Some(token) = label(TOKEN_LABEL) {
        return Some(Claim {
            plan: label(PLAN_LABEL).and_then(|text| text.parse().ok()),
            node: label(NODE_LABEL).and_then(|text| text.parse().ok()),
            token: token.to_owned(),
        });
    }
    let mut words = raw.get("description").and_then(Value::as_str)?.split(' ');
    match (words.next(), words.next(), words.next(), words.next(), words.next()) {
        (Some(DESCRIPTION_WORD), Some(plan), Some(node), Some(token), None) => {
            Some(Claim { plan: plan.parse().ok(), node: node.parse().ok(), token: token.to_owned() })
        }
        _ => None,
    }
}

/// Texts in a raw resource that may be an owner token.
pub(crate) fn candidates(raw: &Value, name: &str) -> Vec<String> {
    let from_claim = claim(raw).map(|claim| claim.token);
    let from_name = name.rsplit_once('-').map(|(_, end)| end.to_owned()).filter(|end| end.len() == 10);
    from_claim.into_iter().chain(from_name).collect()
}

/// Whether one of the candidate texts is this token, whole or in short form.
#[must_use]
pub fn carries(marks: &[String], token: &OwnerToken) -> bool {
    marks.iter().any(|mark| mark == token.as_str() || mark == token.short())
}
