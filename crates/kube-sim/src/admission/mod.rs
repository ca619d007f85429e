//! Admission: what may be created, and what is filled in.

pub(crate) mod limit_range;
pub(crate) mod pod_security;
pub(crate) mod quota;

use crate::cluster::Cluster;
use crate::controllers::pods::quality_of_service;
use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::store::key;
use crate::value::{at, items, list, name, namespace, place, set, text};
use serde_json::{Value, json};
use std::sync::Arc;

impl Cluster {
    /// Fills in what admission adds to a new object: limits, and the token of a
    /// pod's service account.
    pub(crate) fn admit_mutation(&mut self, kind: Kind, object: &mut Value) -> Result<(), Refusal> {
        if kind != Kind::Pod {
            return Ok(());
        }
        self.apply_limit_ranges(object)?;
        let account = self.account_of(object)?;
        if wants_token(object, &account) {
            add_token(object, &self.rng.suffix());
        }
        let class = quality_of_service(object);
        set(object, "status.qosClass", class);
        Ok(())
    }

    /// The service account of a pod. A pod is refused without one.
    fn account_of(&self, pod: &Value) -> Result<Arc<Value>, Refusal> {
        let account = text(pod, "spec.serviceAccountName");
        if let Some(found) = self.store.get(Kind::ServiceAccount, &key(namespace(pod), account)) {
            return Ok(Arc::clone(found));
        }
        let space = namespace(pod);
        let why = format!(
            "error looking up service account {space}/{account}: serviceaccount \"{account}\" not found"
        );
        Err(Refusal::forbidden(Kind::Pod.info(), name(pod), &why))
    }

    /// Admits a new object: checks pod security and quotas. Returns warnings.
    pub(crate) fn admit_creation(&self, kind: Kind, object: &mut Value) -> Result<Vec<String>, Refusal> {
        if kind == Kind::PersistentVolumeClaim {
            self.check_claim_limits(object)?;
        }
        let mut warnings = self.check_pod_security(kind, object)?;
        let annotations = at(object, "metadata.annotations");
        if kind == Kind::Ingress && annotations.get("kubernetes.io/ingress.class").is_some() {
            let warning = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use \
                           'spec.ingressClassName' instead";
            warnings.push(warning.to_owned());
        }
        self.check_quotas(kind, None, object)?;
        Ok(warnings)
    }

    /// Admits a change of an object. Returns warnings.
    pub(crate) fn admit_update(&self, kind: Kind, old: &Value, new: &Value) -> Result<Vec<String>, Refusal> {
        let warnings = if kind == Kind::Pod { Vec::new() } else { self.check_pod_security(kind, new)? };
        if kind == Kind::Service || kind == Kind::PersistentVolumeClaim {
            self.check_quotas(kind, Some(old), new)?;
        }
        Ok(warnings)
    }
}

/// Where containers find the token of their service account.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Whether a pod gets a token. The pod decides before its account does.
fn wants_token(pod: &Value, account: &Value) -> bool {
    let stated = |value: &Value| value.as_bool();
    let own = stated(at(pod, "spec.automountServiceAccountToken"));
    own.or_else(|| stated(at(account, "automountServiceAccountToken"))).unwrap_or(true)
}

/// Adds the volume with the token of the service account, and mounts it.
fn add_token(pod: &mut Value, suffix: &str) {
    let volume = format!("kube-api-access-{suffix}");
    let mut mounted = false;
    for field in ["spec.initContainers", "spec.containers"] {
        if items(pod, field).is_empty() {
            continue;
        }
        for container in list(place(pod, field)) {
            if !items(container, "volumeMounts").iter().any(|mount| text(mount, "mountPath") == TOKEN_PATH) {
                let mount = json!({"name": volume, "readOnly": true, "mountPath": TOKEN_PATH});
                list(place(container, "volumeMounts")).push(mount);
                mounted = true;
            }
        }
    }
    if mounted {
        let field =
            json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"});
        let certificate = json!({"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]});
        let sources = json!([
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": certificate},
            {"downwardAPI": {"items": [field]}},
        ]);
        let projected = json!({"sources": sources, "defaultMode": 420});
        list(place(pod, "spec.volumes")).push(json!({"name": volume, "projected": projected}));
    }
}
