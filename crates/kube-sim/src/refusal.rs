//! Refusals of the API server, worded as the real one words them.

use crate::kind::KindInfo;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A `Status` object with status `Failure`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    reason: &'static str,
    pub(crate) message: String,
    details: Value,
}

/// One cause of an invalid object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    /// Such as `FieldValueInvalid`.
    pub(crate) reason: &'static str,
    /// Path of the field.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

impl Cause {
    pub(crate) fn required(field: &str, more: &str) -> Self {
        let message =
            if more.is_empty() { "Required value".to_owned() } else { format!("Required value: {more}") };
        Self { reason: "FieldValueRequired", field: field.to_owned(), message }
    }

    pub(crate) fn invalid(field: &str, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Self { reason: "FieldValueInvalid", field: field.to_owned(), message }
    }

    pub(crate) fn unsupported(field: &str, value: &Value, choices: &[String]) -> Self {
        let list: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
        let message = format!("Unsupported value: {}: supported values: {}", shown(value), list.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.to_owned(), message }
    }

    pub(crate) fn duplicate(field: &str, value: &Value) -> Self {
        let message = format!("Duplicate value: {}", shown(value));
        Self { reason: "FieldValueDuplicate", field: field.to_owned(), message }
    }

    pub(crate) fn too_long(field: &str, bytes: usize) -> Self {
        let message = format!("Too long: may not be more than {bytes} bytes");
        Self { reason: "FieldValueTooLong", field: field.to_owned(), message }
    }

    pub(crate) fn not_found(field: &str, value: &Value) -> Self {
        let message = format!("Not found: {}", shown(value));
        Self { reason: "FieldValueNotFound", field: field.to_owned(), message }
    }

    pub(crate) fn forbidden(field: &str, why: &str) -> Self {
        let message = format!("Forbidden: {why}");
        Self { reason: "FieldValueForbidden", field: field.to_owned(), message }
    }
}

/// A value as field errors show it: texts quoted, objects as JSON.
fn shown(value: &Value) -> String {
    value.to_string()
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>, details: Value) -> Self {
        Self { code, reason, message: message.into(), details }
    }

    pub(crate) fn not_found(info: &KindInfo, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", info.qualified());
        Self::new(404, "NotFound", message, details(info, name))
    }

    /// A path that the server does not know.
    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource", json!({}))
    }

    /// A resource or subresource of Kubernetes that this cluster leaves out.
    pub(crate) fn not_simulated(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("the simulated cluster does not serve {what}"), json!({}))
    }

    pub(crate) fn already_exists(info: &KindInfo, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", info.qualified());
        Self::new(409, "AlreadyExists", message, details(info, name))
    }

    pub(crate) fn conflict(info: &KindInfo, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", info.qualified());
        Self::new(409, "Conflict", message, details(info, name))
    }

    /// A precondition of a deletion does not hold. The real server names the
    /// kind here, not the resource.
    pub(crate) fn precondition(info: &KindInfo, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", info.qualified_kind());
        let mut details = details(info, name);
        details["kind"] = json!(info.name);
        Self::new(409, "Conflict", message, details)
    }

    /// An eviction that a disruption budget forbids.
    pub(crate) fn disruption_budget(budget: &str, desired: i64, healthy: i64) -> Self {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let why = format!(
            "The disruption budget {budget} needs {desired} healthy pods and has {healthy} currently"
        );
        let causes = json!({"causes": [{"reason": "DisruptionBudget", "message": why}]});
        Self::new(429, "TooManyRequests", message, causes)
    }

    /// The write names an old resource version.
    pub(crate) fn stale(info: &KindInfo, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(info, name, why)
    }

    /// Server-side apply found fields of other managers. A conflict is the
    /// manager as messages show it and the path of the field.
    pub(crate) fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let message = match conflicts {
            [(manager, field)] => format!("Apply failed with 1 conflict: conflict with {manager}: {field}"),
            many => {
                let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for (manager, field) in many {
                    fields.entry(manager).or_default().push(field);
                }
                let parts: Vec<String> = fields
                    .iter()
                    .map(|(manager, fields)| format!("conflicts with {manager}:\n- {}", fields.join("\n- ")))
                    .collect();
                format!("Apply failed with {} conflicts: {}", many.len(), parts.join("\n"))
            }
        };
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|(manager, field)| {
                let message = format!("conflict with {manager}");
                json!({"reason": "FieldManagerConflict", "message": message, "field": field})
            })
            .collect();
        Self::new(409, "Conflict", message, json!({"causes": causes}))
    }

    pub(crate) fn invalid(info: &KindInfo, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {list}", info.qualified_kind());
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
            .collect();
        let mut details = details(info, name);
        details["kind"] = json!(info.name);
        details["causes"] = json!(causes);
        Self::new(422, "Invalid", message, details)
    }

    pub(crate) fn forbidden(info: &KindInfo, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", info.qualified())
        } else {
            format!("{} \"{name}\" is forbidden: {why}", info.qualified())
        };
        Self::new(403, "Forbidden", message, details(info, name))
    }

    /// Options of a request that are not valid.
    pub(crate) fn invalid_options(kind: &str, cause: &Cause) -> Self {
        let message = format!("{kind}.meta.k8s.io \"\" is invalid: {}: {}", cause.field, cause.message);
        let causes = json!([{"reason": cause.reason, "message": cause.message, "field": cause.field}]);
        Self::new(422, "Invalid", message, json!({"group": "meta.k8s.io", "kind": kind, "causes": causes}))
    }

    /// A refusal about a path that is no resource, or a kind it does not know.
    pub(crate) fn forbidden_resource(group: &str, plural: &str, why: &str) -> Self {
        let qualified = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let mut details = json!({"kind": plural});
        if !group.is_empty() {
            details["group"] = json!(group);
        }
        Self::new(403, "Forbidden", format!("{qualified} is forbidden: {why}"), details)
    }

    /// A creation in a namespace that is being deleted.
    pub(crate) fn terminating(info: &KindInfo, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refusal = Self::forbidden(info, name, &why);
        refusal.details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        refusal
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message, Value::Null)
    }

    /// An error that the real server does not classify.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message, Value::Null)
    }

    /// A JSON patch does not apply. The real server does not say why.
    pub(crate) fn json_patch() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request", json!({}))
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message, json!({}))
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let message = "the body of the request was in an unknown format - accepted media types include: \
                       application/json, application/yaml, application/vnd.kubernetes.protobuf";
        Self::new(415, "UnsupportedMediaType", message, Value::Null)
    }

    /// A patch of an unknown content type.
    pub(crate) fn unsupported_patch_type() -> Self {
        Self::new(415, "UnsupportedMediaType", "415: Unsupported Media Type", json!({}))
    }

    /// A number of replicas that is not valid. The real server names the scale.
    pub(crate) fn invalid_scale(name: &str, cause: &Cause) -> Self {
        let message = format!("Scale.autoscaling \"{name}\" is invalid: {}: {}", cause.field, cause.message);
        let causes = json!([{"reason": cause.reason, "message": cause.message, "field": cause.field}]);
        let details = json!({"name": name, "group": "autoscaling", "kind": "Scale", "causes": causes});
        Self::new(422, "Invalid", message, details)
    }

    /// A patch whose result does not decode. The real server shows all of it.
    pub(crate) fn undecodable_patch(result: &Value, why: &str) -> Self {
        let why = format!("Invalid value: {:?}: {why}", result.to_string());
        let causes = json!([{"reason": "FieldValueInvalid", "message": why, "field": "patch"}]);
        let message = format!(" \"\" is invalid: patch: {why}");
        Self::new(422, "Invalid", message, json!({"causes": causes}))
    }

    /// A list continues or a watch starts at a version that is forgotten.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message, Value::Null)
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn details(info: &KindInfo, name: &str) -> Value {
    let mut details = json!({"kind": info.plural});
    if !name.is_empty() {
        details["name"] = json!(name);
    }
    if !info.group.is_empty() {
        details["group"] = json!(info.group);
    }
    details
}
