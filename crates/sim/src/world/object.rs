//! Resources: one record type for all kinds, holding the reply document.

use super::{Refusal, World};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The kinds of resource the simulated cloud has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// SKS cluster.
    SksCluster,
    /// SKS nodepool; its parent is the cluster.
    SksNodepool,
    /// Security group.
    SecurityGroup,
    /// Rule of a security group.
    SecurityGroupRule,
    /// Anti-affinity group.
    AntiAffinityGroup,
    /// Private network.
    PrivateNetwork,
    /// Network load balancer.
    LoadBalancer,
    /// Service of a load balancer.
    LoadBalancerService,
    /// Instance pool.
    InstancePool,
    /// Instance.
    Instance,
    /// Block storage volume.
    BlockStorageVolume,
    /// Block storage snapshot; its parent is the volume.
    BlockStorageSnapshot,
    /// Database service of any type; its id is its name.
    DbaasService,
    /// IAM role.
    IamRole,
    /// API key; its id is the key.
    ApiKey,
    /// SOS bucket; its id is its name.
    Bucket,
    /// An object inside a Kubernetes cluster; its id is its UID. It is in no
    /// list of the cloud.
    KubernetesObject,
}

impl Kind {
    /// The path of one resource, as operation links show it.
    pub(crate) fn link(self, id: &str, parent: Option<&str>) -> String {
        match (self, parent) {
            (Self::SksNodepool, Some(cluster)) => {
                format!("/v2/sks-cluster/{cluster}/nodepool/{id}")
            }
            (Self::BlockStorageVolume, _) => format!("/v2/block-storage/{id}"),
            _ => format!("/v2/{self}/{id}"),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its serialised form: the name in kebab case.
        self.serialize(f)
    }
}

/// One resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// `None`: organisation-wide.
    pub(crate) zone: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) created_ms: i64,
    seq: u64,
    /// Belongs to every organisation or to the cloud itself.
    pub(crate) builtin: bool,
    listed_from_ms: i64,
    /// Gone, but still shown by lists until this time.
    pub(crate) ghost_until_ms: Option<i64>,
    /// The document that replies show.
    pub(crate) doc: Map<String, Value>,
    /// Texts that no reply shows.
    pub(crate) hidden: BTreeMap<String, String>,
}

impl Object {
    /// A text field of the document, empty when absent.
    pub(crate) fn text(&self, key: &str) -> &str {
        text(&self.doc, key)
    }

    pub(crate) fn number(&self, key: &str) -> i64 {
        self.doc.get(key).and_then(Value::as_i64).unwrap_or(0)
    }

    pub(crate) fn state(&self) -> &str {
        self.text("state")
    }

    /// The id inside a reference field such as `instance: {id}`.
    pub(crate) fn reference(&self, key: &str) -> Option<&str> {
        self.doc.get(key)?.get("id")?.as_str()
    }

    /// The items of a list field, none when absent.
    pub(crate) fn items(&self, key: &str) -> &[Value] {
        self.doc.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Whether the reference list `key` (`[{"id": …}]`) names `id`.
    pub(crate) fn refers(&self, key: &str, id: &str) -> bool {
        self.doc.get(key).is_some_and(|list| ids_in(list).contains(&id))
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.doc.insert(key.to_owned(), value.into());
    }

    /// Copies fields into another document, null when absent.
    pub(crate) fn copy_to(&self, doc: &mut Value, keys: &[&str]) {
        for key in keys {
            doc[*key] = self.doc.get(*key).cloned().unwrap_or(Value::Null);
        }
    }

    pub(crate) fn value(&self) -> Value {
        Value::Object(self.doc.clone())
    }
}

/// A text field of a document, empty when absent.
pub(crate) fn text<'a>(doc: &'a Map<String, Value>, key: &str) -> &'a str {
    doc.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The ids of a list of references.
pub(crate) fn ids_in(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item.get("id").and_then(Value::as_str)).collect()
}

/// A list of references to these ids.
pub(crate) fn references<'a>(ids: impl IntoIterator<Item = &'a str>) -> Value {
    ids.into_iter().map(|id| json!({"id": id})).collect()
}

/// What a new resource is made of.
pub(crate) struct NewObject<'a> {
    pub(crate) kind: Kind,
    pub(crate) zone: Option<&'a str>,
    pub(crate) parent: Option<&'a str>,
    pub(crate) doc: Value,
}

impl World {
    /// Adds a resource under a fresh id, which also goes into its document.
    pub(crate) fn create(&mut self, mut new: NewObject<'_>) -> String {
        let id = self.ids.uuid();
        new.doc["id"] = json!(id);
        self.create_as(&id, new);
        id
    }

    /// Adds a resource whose id is given.
    pub(crate) fn create_as(&mut self, id: &str, new: NewObject<'_>) {
        let Value::Object(mut doc) = new.doc else {
            return;
        };
        doc.retain(|_, value| !value.is_null());
        self.seq += 1;
        self.dirty = true;
        let object = Object {
            id: id.to_owned(),
            kind: new.kind,
            zone: new.zone.map(str::to_owned),
            parent: new.parent.map(str::to_owned),
            created_ms: self.now,
            seq: self.seq,
            builtin: false,
            listed_from_ms: self.now + self.lag_ms(),
            ghost_until_ms: None,
            doc,
            hidden: BTreeMap::new(),
        };
        self.objects.entry(new.kind).or_default().insert(id.to_owned(), object);
    }

    /// All resources of a kind that exist, oldest first, lists aside.
    pub(crate) fn all(&self, kind: Kind) -> Vec<&Object> {
        let mut found: Vec<&Object> = self
            .objects
            .get(&kind)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|o| o.ghost_until_ms.is_none())
            .collect();
        found.sort_by_key(|o| o.seq);
        found
    }

    /// The resources of a kind that belong to `parent`, oldest first.
    pub(crate) fn children(&self, kind: Kind, parent: &str) -> Vec<&Object> {
        self.all(kind).into_iter().filter(|object| object.parent.as_deref() == Some(parent)).collect()
    }

    /// What a list of `kind` in `zone` shows now: lagging, if a fault says so.
    pub(crate) fn listed(&mut self, kind: Kind, zone: Option<&str>) -> Vec<Object> {
        let now = self.now;
        let mut shown: Vec<Object> = Vec::new();
        let (mut missed, mut ghosts) = (0, 0);
        for object in self.objects.get(&kind).into_iter().flat_map(BTreeMap::values) {
            let here = zone.is_none() || object.zone.is_none() || object.zone.as_deref() == zone;
            if !here {
                continue;
            }
            match object.ghost_until_ms {
                Some(until) if until > now => ghosts += 1,
                Some(_) => continue,
                None if object.listed_from_ms > now => {
                    missed += 1;
                    continue;
                }
                None => {}
            }
            shown.push(object.clone());
        }
        for _ in 0..missed {
            self.count_effect("list-lag: existing missed");
        }
        for _ in 0..ghosts {
            self.count_effect("list-lag: deleted shown");
        }
        shown.sort_by_key(|o| o.seq);
        shown
    }

    /// The resource, wherever it is.
    pub(crate) fn find(&self, kind: Kind, id: &str) -> Option<&Object> {
        self.objects.get(&kind)?.get(id).filter(|o| o.ghost_until_ms.is_none())
    }

    pub(crate) fn find_mut(&mut self, kind: Kind, id: &str) -> Option<&mut Object> {
        self.dirty = true;
        self.objects.get_mut(&kind)?.get_mut(id).filter(|o| o.ghost_until_ms.is_none())
    }

    /// The resource as seen from `zone`, or 404.
    pub(crate) fn get(&self, kind: Kind, id: &str, zone: &str) -> Result<&Object, Refusal> {
        self.find(kind, id)
            .filter(|o| o.zone.as_deref().is_none_or(|z| z == zone))
            .ok_or_else(|| Refusal::not_found(kind))
    }

    /// Changes a field of a resource that may be gone by now.
    pub(crate) fn set(&mut self, kind: Kind, id: &str, key: &str, value: impl Into<Value>) {
        if let Some(object) = self.find_mut(kind, id) {
            object.set(key, value);
        }
    }

    /// Changes every field of a resource that a request's body names.
    pub(crate) fn set_all(&mut self, kind: Kind, id: &str, body: &Value) {
        for (key, value) in body.as_object().into_iter().flatten() {
            self.set(kind, id, key, value.clone());
        }
    }
}
