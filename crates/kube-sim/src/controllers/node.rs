//! Nodes: machines that join and leave.

use crate::cluster::Cluster;
use crate::controllers::conditions::is_true;
use crate::kind::Kind;
use crate::settings::Machine;
use crate::store::key_of;
use crate::time::rfc3339;
use crate::value::{object, place, text};
use serde_json::{Value, json};

impl Cluster {
    /// Adds a ready node for a machine. A node of the same name is replaced.
    pub fn join(&mut self, now_ms: i64, machine: &Machine) {
        self.advance(now_ms);
        self.cloud.machines.insert(machine.id.clone(), machine.name.clone());
        let mut node = self.node_of(machine);
        self.complete_mirrored_node(&mut node);
        if self.store.contains(Kind::Node, &machine.name) {
            self.remove_node(&machine.name);
        }
        self.create_object(Kind::Node, node);
        let csi = json!({
            "metadata": {"name": machine.name},
            "spec": {"drivers": [{
                "name": "csi.exoscale.com",
                "nodeID": format!("{}/{}", machine.zone, machine.id),
                "topologyKeys": ["topology.csi.exoscale.com/zone"],
            }]},
        });
        self.create_object(Kind::CsiNode, csi);
        self.create_object(Kind::Lease, lease_of(&machine.name));
        if self.is_mirror() {
            self.renew_lease(&machine.name);
        }
    }

    /// Removes the node of a destroyed machine, and its pods.
    pub fn leave(&mut self, now_ms: i64, machine_id: &str) {
        self.advance(now_ms);
        if let Some(name) = self.cloud.machines.remove(machine_id) {
            self.remove_node(&name);
        }
    }

    fn remove_node(&mut self, name: &str) {
        self.remove_object(Kind::Node, name);
        self.remove_object(Kind::CsiNode, name);
        self.remove_object(Kind::Lease, &crate::store::key("kube-node-lease", name));
        if self.is_mirror() {
            // The real garbage collector of pods removes them.
            return;
        }
        let pods: Vec<String> = self
            .store
            .all(Kind::Pod)
            .filter(|pod| text(pod, "spec.nodeName") == name)
            .map(|pod| key_of(pod))
            .collect();
        for pod in pods {
            self.remove_object(Kind::Pod, &pod);
        }
    }

    fn node_of(&mut self, machine: &Machine) -> Value {
        self.addresses.nodes += 1;
        let mut labels = json!({
            "kubernetes.io/hostname": machine.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": machine.zone,
            "topology.kubernetes.io/region": machine.zone,
            "topology.csi.exoscale.com/zone": machine.zone,
            "node.kubernetes.io/instance-type": machine.instance_type,
        });
        for (key, value) in &machine.labels {
            object(&mut labels).insert(key.clone(), json!(value));
        }
        let capacity = capacity(machine);
        let mut node = json!({
            "metadata": {
                "name": machine.name,
                "labels": labels,
                "annotations": {"csi.volume.kubernetes.io/nodeid":
                    json!({"csi.exoscale.com": format!("{}/{}", machine.zone, machine.id)}).to_string()},
            },
            "spec": {"providerID": format!("exoscale://{}", machine.id)},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": machine.address},
                    {"type": "ExternalIP", "address": machine.address},
                    {"type": "Hostname", "address": machine.name},
                ],
                "allocatable": allocatable(machine),
                "capacity": capacity,
                "conditions": self.node_conditions(),
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                "nodeInfo": self.node_info(machine),
            },
        });
        if !machine.taints.is_empty() {
            let taints: Vec<Value> = machine
                .taints
                .iter()
                .map(|(key, value, effect)| match value.is_empty() {
                    true => json!({"key": key, "effect": effect}),
                    false => json!({"key": key, "value": value, "effect": effect}),
                })
                .collect();
            *place(&mut node, "spec.taints") = json!(taints);
        }
        node
    }

    fn node_conditions(&self) -> Value {
        let at = rfc3339(self.now);
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": at, "lastTransitionTime": at,
            })
        };
        json!([
            condition(
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available"
            ),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition(
                "PIDPressure",
                "False",
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available"
            ),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ])
    }

    fn node_info(&self, machine: &Machine) -> Value {
        let version = format!("v{}", self.settings.version.trim_start_matches('v'));
        let short = machine.id.replace('-', "");
        json!({
            "architecture": "amd64",
            "bootID": machine.id,
            "containerRuntimeVersion": "containerd://2.1.4",
            "kernelVersion": "6.8.0-79-generic",
            "kubeProxyVersion": "",
            "kubeletVersion": version,
            "machineID": short,
            "operatingSystem": "linux",
            "osImage": "Ubuntu 24.04.3 LTS",
            "systemUUID": machine.id,
        })
    }

    /// Whether at least one node can take traffic.
    pub(crate) fn has_ready_node(&self) -> bool {
        self.store.all(Kind::Node).any(|node| is_true(node, "Ready"))
    }
}

/// The lease by which a kubelet tells that it lives.
pub(crate) fn lease_of(node: &str) -> Value {
    json!({
        "metadata": {"name": node, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": 40},
    })
}

fn capacity(machine: &Machine) -> Value {
    json!({
        "cpu": machine.cpus.to_string(),
        "memory": format!("{}Ki", machine.memory_bytes / 1024),
        "ephemeral-storage": format!("{}Ki", u64::from(machine.disk_gib) * 1024 * 1024),
        "pods": "110",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    })
}

/// The capacity without what the system reserves: 100 MiB for evictions, and a
/// tenth of the disk.
fn allocatable(machine: &Machine) -> Value {
    let memory = (machine.memory_bytes / 1024).saturating_sub(100 * 1024);
    json!({
        "cpu": machine.cpus.to_string(),
        "memory": format!("{memory}Ki"),
        "ephemeral-storage": (u64::from(machine.disk_gib) * 1024 * 1024 * 1024 / 10 * 9).to_string(),
        "pods": "110",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    })
}
