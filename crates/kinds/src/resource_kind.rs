//! A kind of resource as data: paths, fields, operation ids, and
//! functions for the few things that no data describes.

use std::collections::BTreeMap;

use exokit_model::event::Difference;
use exokit_model::graph::Node;
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::request::{Api, Method, RequestTemplate};
use serde_json::Value;

use crate::kubernetes::compare::differences as object_differences;
use crate::kubernetes::observe::observe as observe_object;
use crate::{Accepted, DecodeError, Lifecycle, Observed, Predicted, Read, compare, decode, ownership};

/// Where a resource may carry an owner token.
pub(crate) enum MarkPlace {
    /// In a label or the description.
    Text,
    /// There too, and the resource always has a name.
    NamedText,
    /// At the end of the name.
    Name,
    /// In either.
    Both,
}

/// The behaviour of a kind.
pub struct ResourceKind {
    pub(crate) kind: Kind,
    pub(crate) api: Api,
    /// Operation ids of list, get and delete.
    pub(crate) operations: [&'static str; 3],
    /// Path of the list, and field of its reply that holds the resources or,
    /// for parts, what they are parts of.
    pub(crate) list: (&'static str, &'static str),
    /// The list holds several kinds; this one has this `type`.
    pub(crate) listed_type: Option<&'static str>,
    /// Path that the id is appended to, with `{parent}` for the id of the whole.
    pub(crate) path: &'static str,
    pub(crate) id_field: &'static str,
    pub(crate) mark: MarkPlace,
    /// Where a resource stands that looks like this.
    pub(crate) lifecycle: fn(&Value) -> Lifecycle,
    /// Fields of the create body that the cloud shows again and that may
    /// drift, as JSON pointers.
    pub(crate) compared: &'static [&'static str],
    /// The kind of the resource that this one is part of.
    pub parent: Option<Kind>,
    /// Field of the whole that holds its parts.
    pub(crate) parts_field: &'static str,
    /// A part that cannot be read alone is read with the whole.
    pub(crate) is_read_with_whole: bool,
    /// Reads the reply to the create request.
    pub(crate) accepted: fn(&Node, &Value) -> Result<Accepted, DecodeError>,
    /// The request that must come before the delete request at a path, for a
    /// protected resource or not.
    pub(crate) before_delete: fn(&str, bool) -> Option<RequestTemplate>,
    /// Whether a resource found by its mark after a lost reply can be used.
    /// One whose secret was in the lost reply cannot.
    pub adoptable: bool,
    /// Whether the cloud's operation may be ignored and only the resource
    /// watched, because the reply has no usable operation.
    pub watch_resource: bool,
    /// Expected durations.
    pub predicted: Predicted,
}

impl ResourceKind {
    /// A kind with one path, a reply with `id`, and an operation that refers to
    /// the resource; usable as soon as it is there.
    pub(crate) const fn new(
        kind: Kind,
        path: &'static str,
        list_field: &'static str,
        operations: [&'static str; 3],
        predicted: Predicted,
    ) -> Self {
        Self {
            kind,
            api: Api::Exoscale,
            operations,
            list: (path, list_field),
            listed_type: None,
            path,
            id_field: "id",
            mark: MarkPlace::Text,
            lifecycle: |_| Lifecycle::Ready,
            compared: &["/name"],
            parent: None,
            parts_field: "",
            is_read_with_whole: false,
            accepted: |_, reply| decode::operation_with_reference(reply),
            before_delete: |_, _| None,
            adoptable: true,
            watch_resource: false,
            predicted,
        }
    }

    /// The request that lists all resources of the kind in a zone.
    #[must_use]
    pub fn list(&self) -> Read {
        Read { operation: self.operations[0], api: Api::Exoscale, path: self.list.0.to_owned() }
    }

    /// Reads the reply to [`ResourceKind::list`].
    ///
    /// # Errors
    /// When the reply is not what the API promises.
    pub fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        let listed = decode::array(body, self.list.1)?.iter();
        if self.parent.is_some() {
            let parts = listed.map(|whole| self.parse_list_in(whole));
            return parts.collect::<Result<Vec<_>, _>>().map(|parts| parts.concat());
        }
        let is_ours = |raw: &&Value| self.listed_type.is_none_or(|ours| raw["type"] == *ours);
        listed.filter(is_ours).map(|raw| self.observe(raw, None)).collect()
    }

    /// The request that lists the resources of the kind that are parts of
    /// `parent`, where that is less than [`ResourceKind::list`].
    #[must_use]
    pub fn list_in(&self, parent: &ResourceId) -> Option<Read> {
        self.is_read_with_whole.then(|| Read {
            operation: self.operations[1],
            api: self.api,
            path: format!("{}/{parent}", self.list.0),
        })
    }

    /// Reads the reply to [`ResourceKind::list_in`].
    ///
    /// # Errors
    /// When the reply is not what the API promises.
    pub fn parse_list_in(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        let whole = decode::id(body, "id")?;
        decode::array(body, self.parts_field)?.iter().map(|raw| self.observe(raw, Some(&whole))).collect()
    }

    /// The request that shows one resource. For a part whose whole is not known
    /// that is the list.
    #[must_use]
    pub fn get(&self, id: &ResourceId, parent: Option<&ResourceId>) -> Read {
        match parent.map(|whole| self.list_in(whole)) {
            None if self.parent.is_some() => self.list(),
            Some(Some(with_whole)) => with_whole,
            _ => {
                let path = self.path.replace("{parent}", parent.map_or("", ResourceId::as_str));
                Read { operation: self.operations[1], api: self.api, path: format!("{path}/{id}") }
            }
        }
    }

    /// Reads the reply to [`ResourceKind::get`]; none when the reply shows
    /// that the resource is not there.
    ///
    /// # Errors
    /// When the reply is not what the API promises.
    pub fn parse_get(
        &self,
        id: &ResourceId,
        parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        let all = match (self.parent, parent) {
            (Some(_), None) => self.parse_list(body)?,
            (Some(_), Some(_)) if self.is_read_with_whole => self.parse_list_in(body)?,
            // A HEAD request has no body: that it succeeded is the answer.
            _ if self.api == Api::Storage => vec![self.observe(&serde_json::json!({"name": id}), None)?],
            _ => return self.observe(body, parent).map(Some),
        };
        Ok(all.into_iter().find(|found| found.id == *id))
    }

    /// Reads an object inside a cluster.
    ///
    /// # Errors
    /// When the reply is not what the API promises.
    pub fn parse_object(&self, body: &Value) -> Result<Observed, DecodeError> {
        self.observe(body, None)
    }

    fn observe(&self, raw: &Value, parent: Option<&ResourceId>) -> Result<Observed, DecodeError> {
        if self.api == Api::Kubernetes {
            return observe_object(self.kind, self.lifecycle, raw);
        }
        let name = match self.mark {
            MarkPlace::Name | MarkPlace::NamedText => decode::text(raw, "name")?,
            MarkPlace::Text | MarkPlace::Both => decode::text_or_empty(raw, "name"),
        };
        let marks = match self.mark {
            MarkPlace::Text | MarkPlace::NamedText => ownership::candidates(raw, ""),
            MarkPlace::Name => ownership::candidates(&Value::Null, name),
            MarkPlace::Both => ownership::candidates(raw, name),
        };
        let mut shown = raw.clone();
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("secret");
        }
        Ok(Observed {
            kind: self.kind,
            id: decode::id(raw, self.id_field)?,
            name: name.to_owned(),
            marks,
            lifecycle: (self.lifecycle)(raw),
            created_at: decode::created_at(raw),
            parent: parent.cloned(),
            raw: shown,
        })
    }

    /// Reads the reply to the create request.
    ///
    /// # Errors
    /// When the reply says neither which resource nor which operation.
    pub fn accepted(&self, node: &Node, reply: &Value) -> Result<Accepted, DecodeError> {
        (self.accepted)(node, reply)
    }

    /// The requests that remove a resource, in order. `parent` is the key of
    /// the node that the resource is part of.
    #[must_use]
    pub fn delete(&self, parent: Option<&str>, protected: bool) -> Vec<RequestTemplate> {
        let parent = format!("{{{}}}", parent.unwrap_or("parent"));
        let path = format!("{}/{{self}}", self.path.replace("{parent}", &parent));
        let delete = template(self.operations[2], Method::Delete, &path, None);
        let delete = RequestTemplate { api: self.api, ..delete };
        (self.before_delete)(&path, protected).into_iter().chain([delete]).collect()
    }

    /// How the cloud differs from what was planned for a node.
    #[must_use]
    pub fn compare(&self, node: &NodeKey, planned: &Value, observed: &Observed) -> Vec<Difference> {
        match self.api {
            Api::Kubernetes => object_differences(node, self.kind, planned, &observed.raw),
            Api::Exoscale | Api::Storage => compare::differences(node, planned, &observed.raw, self.compared),
        }
    }
}

/// A request to the Exoscale API without slots in its body.
pub(crate) fn template(operation: &str, method: Method, path: &str, body: Option<Value>) -> RequestTemplate {
    RequestTemplate {
        operation: operation.to_owned(),
        api: Api::Exoscale,
        method,
        path: path.to_owned(),
        body,
        slots: BTreeMap::new(),
        secrets: BTreeMap::new(),
    }
}
