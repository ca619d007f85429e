//! Kinds that are alike but for names: one path, a reply with `id`, and an
//! operation that refers to the resource. What differs is data.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Api, Method, RequestTemplate};
use serde_json::Value;

use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, ownership};

/// A kind described by data.
pub(crate) struct SimpleKind {
    pub(crate) kind: Kind,
    /// Path of the collection.
    pub(crate) path: &'static str,
    /// Field of the list reply that holds the resources.
    pub(crate) list_field: &'static str,
    /// Operation ids of list, get and delete.
    pub(crate) operations: [&'static str; 3],
    /// Whether its name may end with an owner token.
    pub(crate) marked_name: bool,
    /// What its `state` means.
    pub(crate) lifecycle: fn(&str) -> Lifecycle,
    pub(crate) compared: &'static [&'static str],
    pub(crate) predicted: Predicted,
}

impl SimpleKind {
    fn observe(&self, raw: &Value) -> Result<Observed, DecodeError> {
        let name = decode::text_or_empty(raw, "name").to_owned();
        Ok(Observed {
            kind: self.kind,
            id: decode::id(raw, "id")?,
            marks: ownership::candidates(raw, if self.marked_name { &name } else { "" }),
            name,
            lifecycle: (self.lifecycle)(decode::text_or_empty(raw, "state")),
            created_at: decode::created_at(raw),
            parent: None,
            raw: raw.clone(),
        })
    }
}

/// A kind without states is usable as soon as it is there.
pub(crate) fn always_ready(_state: &str) -> Lifecycle {
    Lifecycle::Ready
}

/// A request to the Exoscale API without slots in its body.
pub(crate) fn template(operation: &str, method: Method, path: &str, body: Option<Value>) -> RequestTemplate {
    RequestTemplate {
        operation: operation.to_owned(),
        api: Api::Exoscale,
        method,
        path: path.to_owned(),
        body,
        slots: std::collections::BTreeMap::new(),
    }
}

impl ResourceKind for SimpleKind {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn list(&self) -> Read {
        Read::api(self.operations[0], self.path)
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, self.list_field)?.iter().map(|raw| self.observe(raw)).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api(self.operations[1], format!("{}/{id}", self.path))
    }

    fn parse_get(
        &self,
        _id: &ResourceId,
        _parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        self.observe(body).map(Some)
    }

    fn delete(&self, _parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        vec![template(self.operations[2], Method::Delete, &format!("{}/{{self}}", self.path), None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        self.compared
    }

    fn predicted(&self) -> Predicted {
        self.predicted
    }
}
