//! Delete, delete of collections, and eviction.

use super::body::{self, Answer};
use super::call::Call;
use super::options;
use super::read::Selection;
use super::route::Target;
use super::table;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::objects::{Deletion, Propagation};
use crate::refusal::{Cause, Refusal};
use crate::schema::Schema;
use crate::value::{at, items, name, namespace, number, text, uid};
use serde_json::{Value, json};
use std::sync::Arc;

/// The kinds whose deletion is answered with the object.
const SHOWN: [Kind; 10] = [
    Kind::Pod,
    Kind::Service,
    Kind::ServiceAccount,
    Kind::ResourceQuota,
    Kind::PersistentVolume,
    Kind::PersistentVolumeClaim,
    Kind::StorageClass,
    Kind::CsiDriver,
    Kind::CsiNode,
    Kind::VolumeAttachment,
];

/// The options of a deletion.
struct Options {
    deletion: Deletion,
    dry_run: bool,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Options {
    /// Reads the options from the body and the parameters.
    fn of(call: &Call<'_>, schema: &Schema) -> Result<Self, Refusal> {
        let body = match call.request.body().is_empty() {
            true => Value::Null,
            false => body::read(call, schema, "DeleteOptions")?,
        };
        check_kind(&body)?;
        let invalid = |cause: Cause| Refusal::invalid_options("DeleteOptions", &cause);
        // Parameters count only where there is no body.
        let parameter = |field: &str| call.query.get(field).filter(|_| body.is_null());
        let from = |field: &str| parameter(field).or_else(|| at(&body, field).as_str()).map(str::to_owned);
        let propagation = match from("propagationPolicy").as_deref() {
            None | Some("Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            Some("Orphan") => Propagation::Orphan,
            Some(other) => {
                let choices = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
                return Err(invalid(Cause::unsupported("propagationPolicy", &json!(other), &choices)));
            }
        };
        if let (Some(policy), false) = (from("propagationPolicy"), at(&body, "orphanDependents").is_null()) {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            return Err(invalid(Cause::invalid("propagationPolicy", &json!(policy), why)));
        }
        let dry_run = items(&body, "dryRun").first().and_then(Value::as_str).or_else(|| parameter("dryRun"));
        options::check_dry_run(dry_run, "DeleteOptions")?;
        let is_orphaning = at(&body, "orphanDependents") == true;
        let grace = parameter("gracePeriodSeconds").and_then(|text| text.parse().ok());
        Ok(Self {
            deletion: Deletion {
                propagation: if is_orphaning { Propagation::Orphan } else { propagation },
                grace_seconds: grace.or_else(|| at(&body, "gracePeriodSeconds").as_i64()),
            },
            dry_run: dry_run.is_some(),
            uid: at(&body, "preconditions.uid").as_str().map(str::to_owned),
            resource_version: at(&body, "preconditions.resourceVersion").as_str().map(str::to_owned),
        })
    }

    fn check(&self, kind: Kind, object: &Value) -> Result<(), Refusal> {
        let version = text(object, "metadata.resourceVersion");
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid(object)) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({}). \
                 The object might have been deleted and then recreated",
                uid(object)
            );
            return Err(Refusal::precondition(kind.info(), name(object), &why));
        }
        if let Some(wanted) = self.resource_version.as_deref().filter(|wanted| *wanted != version) {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
                 ({version}). The object might have been modified"
            );
            return Err(Refusal::precondition(kind.info(), name(object), &why));
        }
        Ok(())
    }
}

/// Refuses a body that is no options of a deletion.
fn check_kind(body: &Value) -> Result<(), Refusal> {
    let kind = text(body, "kind");
    if !kind.is_empty() && kind != "DeleteOptions" {
        let message = format!(
            "no kind \"{kind}\" is registered for version \"{}\" in scheme \"pkg/runtime/scheme.go:111\"",
            text(body, "apiVersion")
        );
        return Err(Refusal::bad_request(message));
    }
    let grace = at(body, "gracePeriodSeconds");
    if grace.is_string() {
        let message = "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64";
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

impl Cluster {
    /// Deletes one object.
    pub(crate) fn delete(&mut self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        let options = Options::of(call, self.schema())?;
        let (kind, key) = (target.kind, target.key());
        let info = kind.info();
        let object =
            self.store.get(kind, &key).cloned().ok_or_else(|| Refusal::not_found(info, target.name()))?;
        options.check(kind, &object)?;
        let is_permanent =
            ["default", "kube-system", "kube-public", "kube-node-lease"].contains(&target.name());
        if kind == Kind::Namespace && is_permanent && target.name() != "kube-node-lease" {
            return Err(Refusal::forbidden(info, target.name(), "this namespace may not be deleted"));
        }
        if !options.dry_run {
            self.delete_with(kind, &key, &options.deletion);
        }
        match self.store.get(kind, &key) {
            // Still there: the object shows its deletion.
            Some(left) if !options.dry_run || !items(left, "metadata.finalizers").is_empty() => {
                Ok(Answer::object(200, Arc::clone(left)))
            }
            _ if SHOWN.contains(&kind) => Ok(Answer::object(200, object)),
            _ => {
                let mut details = json!({"name": target.name(), "kind": info.plural, "uid": uid(&object)});
                if !info.group.is_empty() {
                    details["group"] = json!(info.group);
                }
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
                });
                Ok(Answer::object(200, status))
            }
        }
    }

    /// Deletes all selected objects of a kind.
    pub(crate) fn delete_collection(&mut self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        let options = Options::of(call, self.schema())?;
        let selection = Selection::of(call, target)?;
        if target.kind == Kind::Namespace || (target.kind.info().namespaced && target.namespace.is_none()) {
            return Err(Refusal::method_not_allowed());
        }
        let selected: Vec<(String, Arc<Value>)> = self
            .store
            .range(target.kind, target.namespace.as_deref(), None)
            .filter(|(_, object)| selection.selects(object))
            .map(|(key, object)| (key.to_owned(), Arc::clone(object)))
            .collect();
        for (key, object) in &selected {
            if !options.dry_run && options.check(target.kind, object).is_ok() {
                self.delete_with(target.kind, key, &options.deletion);
            }
        }
        let mut items: Vec<Arc<Value>> = selected.into_iter().map(|(_, object)| object).collect();
        let metadata = json!({"resourceVersion": self.store.revision().to_string()});
        if table::is_wanted(call) {
            return Ok(Answer::object(200, table::table(target.kind, &items, metadata, self.now, call)));
        }
        let info = target.kind.info();
        for item in &mut items {
            let fields = crate::value::object(Arc::make_mut(item));
            fields.retain(|field, _| field != "kind" && field != "apiVersion");
        }
        let list = json!({
            "kind": format!("{}List", info.name), "apiVersion": info.api_version(),
            "metadata": metadata, "items": items,
        });
        Ok(Answer::object(200, list))
    }

    /// Deletes a pod, unless a disruption budget forbids it.
    pub(crate) fn evict(&mut self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        let key = target.key();
        let pod = self
            .store
            .get(Kind::Pod, &key)
            .cloned()
            .ok_or_else(|| Refusal::not_found(Kind::Pod.info(), target.name()))?;
        let budgets = self.store.within(Kind::PodDisruptionBudget, namespace(&pod));
        for budget in budgets {
            let selector = crate::selector::LabelSelector::of(at(budget, "spec.selector"));
            let is_covered = selector.selects(crate::selector::labels(&pod));
            if is_covered && number(budget, "status.disruptionsAllowed") < 1 {
                return Err(Refusal::disruption_budget(
                    name(budget),
                    number(budget, "status.desiredHealthy"),
                    number(budget, "status.currentHealthy"),
                ));
            }
        }
        let body = body::read(call, self.schema(), "Eviction").unwrap_or_default();
        let grace_seconds = at(&body, "deleteOptions.gracePeriodSeconds").as_i64();
        if !call.query.is_dry_run() {
            self.delete_with(
                Kind::Pod,
                &key,
                &Deletion { propagation: Propagation::Background, grace_seconds },
            );
        }
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
        Ok(Answer::object(201, status))
    }
}
