//! Items of a world for tests only: its resources and requests, and changes by
//! people and by the cloud's own controllers.

use super::object::text;
use super::{JournalEntry, Kind, LiveResource, NewObject, Object, World, kinds};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    /// All mutating requests so far.
    pub fn journal(&self) -> &[Arc<JournalEntry>] {
        &self.journal
    }

    /// Requests by operation id, reads included.
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    /// Faults that took effect (not merely injected), by name.
    pub fn effects(&self) -> &BTreeMap<String, u64> {
        &self.effects
    }

    /// Everything that exists, except what every organisation has: the root
    /// key, the default and the public security groups, the owner role.
    pub fn live(&self) -> Vec<LiveResource> {
        let mut found = Vec::new();
        for object in self.objects.keys().flat_map(|kind| self.all(*kind)) {
            if !object.builtin {
                found.push(LiveResource {
                    kind: object.kind,
                    id: object.id.clone(),
                    name: owned(&object.doc, "name"),
                    labels: labels_of(&object.doc),
                    description: owned(&object.doc, "description"),
                    zone: object.zone.clone(),
                    created_at_ms: object.created_ms,
                    parent: object.parent.clone(),
                    state: object.doc.get("state").and_then(Value::as_str).map(str::to_owned),
                });
            }
            let embedded = [("rules", Kind::SecurityGroupRule), ("services", Kind::LoadBalancerService)];
            for (key, kind) in embedded {
                found.extend(embedded_in(object, key, kind));
            }
        }
        found.extend(self.sos.live());
        found.extend(
            self.clusters
                .iter()
                .flat_map(|(id, cluster)| cluster.objects().filter_map(|object| applied(id, object))),
        );
        found
    }

    /// The simulated cluster behind an SKS cluster, for changes from inside.
    pub fn cluster_mut(&mut self, id: &str) -> Option<&mut exokit_kube_sim::Cluster> {
        self.touch();
        self.clusters.get_mut(id).map(Arc::make_mut)
    }

    /// Everything inside the clusters.
    pub fn objects_in_clusters(&self) -> impl Iterator<Item = &Value> {
        self.clusters.values().flat_map(|cluster| cluster.objects())
    }

    /// Someone deletes a resource in the console: at once, with what cannot
    /// outlive it. False when it does not exist.
    pub fn human_delete(&mut self, kind: Kind, id: &str) -> bool {
        match kind {
            Kind::Bucket => return self.sos.remove_bucket(id),
            Kind::SecurityGroupRule => return self.drop_embedded(Kind::SecurityGroup, "rules", id),
            Kind::LoadBalancerService => {
                return self.drop_embedded(Kind::LoadBalancer, "services", id);
            }
            _ => {}
        }
        let exists = self.find(kind, id).is_some();
        self.remove(kind, id, 0);
        exists
    }

    fn drop_embedded(&mut self, kind: Kind, key: &str, id: &str) -> bool {
        self.touch();
        let lists = self
            .objects
            .get_mut(&kind)
            .into_iter()
            .flat_map(BTreeMap::values_mut)
            .filter_map(|parent| parent.doc.get_mut(key).and_then(Value::as_array_mut));
        for list in lists {
            let before = list.len();
            list.retain(|item| item["id"] != id);
            if list.len() < before {
                return true;
            }
        }
        false
    }

    /// Someone replaces the labels of a resource.
    pub fn human_relabel(&mut self, kind: Kind, id: &str, labels: &BTreeMap<String, String>) -> bool {
        self.edit(kind, id, "labels", json!(labels))
    }

    /// Someone changes a field of a resource's document.
    pub fn human_change(&mut self, kind: Kind, id: &str, field: &str, value: Value) -> bool {
        self.edit(kind, id, field, value)
    }

    /// Someone renames a resource.
    pub fn human_rename(&mut self, kind: Kind, id: &str, name: &str) -> bool {
        self.edit(kind, id, "name", json!(name))
    }

    /// Someone protects a database against termination, or no longer.
    pub fn human_protect(&mut self, name: &str, protected: bool) -> bool {
        self.edit(Kind::DbaasService, name, "termination-protection", json!(protected))
    }

    /// Someone puts an object into a bucket. False when there is no such
    /// bucket of ours.
    pub fn human_put_object(&mut self, bucket: &str, key: &str, data: &'static [u8]) -> bool {
        let (modified_ms, fresh) = (self.now, self.ids.uuid());
        self.touch();
        self.sos.put_plain(bucket, key, data, (modified_ms, fresh))
    }

    /// A field of a resource's document.
    pub fn field(&self, kind: Kind, id: &str, field: &str) -> Option<&Value> {
        self.find(kind, id)?.doc.get(field)
    }

    /// Someone lets everyone read a bucket. False when there is no such bucket.
    pub fn human_publish(&mut self, bucket: &str) -> bool {
        self.sos.change_setting(bucket, "acl", "public-read")
    }

    fn edit(&mut self, kind: Kind, id: &str, key: &str, value: Value) -> bool {
        match self.find_mut(kind, id) {
            Some(object) => {
                object.set(key, value);
                true
            }
            None => false,
        }
    }

    /// The cloud controller makes a balancer that targets `pool_id`: named as
    /// given (`k8s-<service uid>` by custom), without labels, running.
    pub fn plant_load_balancer(&mut self, name: &str, pool_id: &str, zone: &str) -> String {
        let id = kinds::load_balancer::new_balancer(self, name, zone, &Value::Null);
        self.set(Kind::LoadBalancer, &id, "state", "running");
        let uid = name.strip_prefix("k8s-").unwrap_or(name);
        let service = json!({
            "id": self.ids.uuid(), "name": format!("{uid}-80"), "state": "running",
            "protocol": "tcp", "strategy": "round-robin", "port": 80, "target-port": 30080,
            "instance-pool": {"id": pool_id}, "healthcheck-status": [],
            "healthcheck": {"mode": "tcp", "port": 30080, "interval": 10, "timeout": 5, "retries": 1},
        });
        self.set(Kind::LoadBalancer, &id, "services", json!([service]));
        id
    }

    /// The storage driver makes a volume, attached when `instance` is given.
    pub fn plant_volume(&mut self, name: &str, size_gib: i64, zone: &str, instance: Option<&str>) -> String {
        let id = kinds::block_storage::new_volume(self, zone, &json!({"name": name}), size_gib);
        let state = if instance.is_some() { "attached" } else { "detached" };
        self.set(Kind::BlockStorageVolume, &id, "state", state);
        if let Some(instance) = instance {
            self.set(Kind::BlockStorageVolume, &id, "instance", json!({"id": instance}));
        }
        id
    }

    /// A stranger's resource of any kind appears, with these fields in its
    /// document (`name`, `labels`, `description` and so on). A bucket belongs
    /// to another organisation: its name is taken, and it is not listed.
    pub fn plant_foreign(&mut self, kind: Kind, zone: Option<&str>, doc: Value) -> String {
        let mut doc = doc;
        if doc.get("state").is_none() && zone.is_some() {
            doc["state"] = json!("running");
        }
        if kind == Kind::Bucket {
            let name = doc["name"].as_str().unwrap_or_default().to_owned();
            self.sos.plant_foreign(&name, zone.unwrap_or_default(), self.now);
            self.touch();
            return name;
        }
        if kind == Kind::DbaasService {
            let name = doc["name"].as_str().unwrap_or_default().to_owned();
            self.create_as(&name, NewObject { kind, zone, parent: None, doc });
            return name;
        }
        self.create(NewObject { kind, zone, parent: None, doc })
    }
}

fn labels_of(doc: &Map<String, Value>) -> BTreeMap<String, String> {
    doc.get("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn owned(doc: &Map<String, Value>, key: &str) -> String {
    text(doc, key).to_owned()
}

fn embedded_in(object: &Object, key: &str, kind: Kind) -> Vec<LiveResource> {
    let items = match (object.builtin, object.kind, object.doc.get(key)) {
        (false, Kind::SecurityGroup | Kind::LoadBalancer, Some(Value::Array(items))) => items,
        _ => return Vec::new(),
    };
    items
        .iter()
        .filter_map(Value::as_object)
        .map(|doc| LiveResource {
            kind,
            id: owned(doc, "id"),
            name: owned(doc, "name"),
            labels: BTreeMap::new(),
            description: owned(doc, "description"),
            zone: object.zone.clone(),
            created_at_ms: object.created_ms,
            parent: Some(object.id.clone()),
            state: doc.get("state").and_then(Value::as_str).map(str::to_owned),
        })
        .collect()
}

/// An object inside a cluster that somebody applied. What its controllers made,
/// with copies of its labels, is not.
fn applied(cluster: &str, object: &Value) -> Option<LiveResource> {
    let labels = labels_of(object["metadata"].as_object()?);
    let managers = object["metadata"]["managedFields"].as_array()?;
    managers.iter().any(|manager| manager["operation"] == "Apply").then(|| LiveResource {
        kind: Kind::KubernetesObject,
        id: object["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        labels,
        description: String::new(),
        zone: None,
        created_at_ms: 0,
        parent: Some(cluster.to_owned()),
        state: None,
    })
}
