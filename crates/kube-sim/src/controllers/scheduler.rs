//! The scheduler: finds nodes for pending pods.

use crate::cluster::Cluster;
use crate::controllers::conditions::{is_true, set_condition};
use crate::controllers::pods::{is_finished, requests};
use crate::controllers::scheduling_rules::{accepts_neighbors, accepts_node, repelling_taint};
use crate::kind::Kind;
use crate::objects::controller_of;
use crate::quantity;
use crate::queue::Task;
use crate::store::{key, key_of};
use crate::triggers::claims_of;
use crate::value::{at, is_deleting, name, namespace, set, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kubelet needs this long to notice a pod.
const KUBELET_MS: i64 = 20;
/// Resources that must fit on a node.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// A node, and what its pods request.
struct Candidate {
    node: Arc<Value>,
    used: [i128; 3],
    pods: Vec<Arc<Value>>,
}

/// What scheduling decided about a pod.
enum Decision {
    /// Bind it to this node.
    Bind(String),
    /// Have its volumes provisioned for this node first.
    Provision(String),
    /// No node fits, with the reason.
    Unschedulable(String),
}

impl Cluster {
    /// Finds a node for each pending pod, oldest first.
    pub(crate) fn schedule_pods(&mut self) {
        let is_pending = |pod: &&Arc<Value>| {
            text(pod, "spec.nodeName").is_empty() && !is_deleting(pod) && !is_finished(pod)
        };
        let mut pending: Vec<Arc<Value>> = self.store.all(Kind::Pod).filter(is_pending).cloned().collect();
        if pending.is_empty() {
            return;
        }
        pending.sort_by(|a, b| {
            let created = |pod: &Value| text(pod, "metadata.creationTimestamp").to_owned();
            created(a).cmp(&created(b))
        });
        let mut candidates = self.candidates();
        for pod in pending {
            let decision = self.decide(&pod, &candidates);
            self.carry_out(&pod, decision, &mut candidates);
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let mut by_node: BTreeMap<&str, Vec<Arc<Value>>> = BTreeMap::new();
        for pod in self.store.all(Kind::Pod) {
            let node = text(pod, "spec.nodeName");
            if !node.is_empty() && !is_finished(pod) {
                by_node.entry(node).or_default().push(Arc::clone(pod));
            }
        }
        self.store
            .all(Kind::Node)
            .filter(|node| is_true(node, "Ready") && !is_deleting(node))
            .map(|node| {
                let pods = by_node.remove(name(node)).unwrap_or_default();
                let used = RESOURCES
                    .map(|resource| pods.iter().map(|pod| requests(pod, "requests", resource)).sum());
                Candidate { node: Arc::clone(node), used, pods }
            })
            .collect()
    }

    fn decide(&self, pod: &Value, candidates: &[Candidate]) -> Decision {
        if candidates.is_empty() {
            return Decision::Unschedulable("no nodes available to schedule pods".to_owned());
        }
        let claims = claims_of(pod);
        if let Some(missing) = claims
            .iter()
            .find(|claim| !self.store.contains(Kind::PersistentVolumeClaim, &key(namespace(pod), claim)))
        {
            let message = format!(
                "0/{} nodes are available: persistentvolumeclaim \"{missing}\" not found.",
                candidates.len()
            );
            return Decision::Unschedulable(message);
        }
        // Other pods matter only if somebody has an affinity.
        let has_affinity = |pod: &Value| {
            let affinity = at(pod, "spec.affinity");
            ["podAffinity", "podAntiAffinity"].iter().any(|kind| affinity.get(kind).is_some())
        };
        let placed = || candidates.iter().flat_map(|c| c.pods.iter().map(|pod| (&**pod, &*c.node)));
        let others: Vec<(&Value, &Value)> = match has_affinity(pod) {
            true => placed().collect(),
            false => placed().filter(|(pod, _)| has_affinity(pod)).collect(),
        };
        let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
        let mut best: Option<((usize, i128, usize), &Candidate)> = None;
        for candidate in candidates {
            match self.obstacle_on(pod, candidate, &claims, &others) {
                Some(reason) => *reasons.entry(reason).or_default() += 1,
                None => {
                    let rank = rank(pod, candidate);
                    if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                        best = Some((rank, candidate));
                    }
                }
            }
        }
        let Some((_, candidate)) = best else {
            return Decision::Unschedulable(unschedulable_message(candidates.len(), &reasons));
        };
        let node = name(&candidate.node).to_owned();
        let is_bound = |claim: &String| self.is_claim_bound(namespace(pod), claim);
        if claims.iter().all(is_bound) { Decision::Bind(node) } else { Decision::Provision(node) }
    }

    /// Why a pod cannot run on a node.
    fn obstacle_on(
        &self,
        pod: &Value,
        candidate: &Candidate,
        claims: &[String],
        others: &[(&Value, &Value)],
    ) -> Option<String> {
        let node = &candidate.node;
        if let Some(taint) = repelling_taint(pod, node) {
            return Some(format!("node(s) had untolerated taint(s) {{{taint}}}"));
        }
        if !accepts_node(pod, node) {
            return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
        }
        let most = quantity::units(at(node, "status.allocatable.pods"));
        if candidate.pods.len() >= usize::try_from(most).unwrap_or(0) {
            return Some("Too many pods".to_owned());
        }
        for (resource, used) in RESOURCES.iter().zip(candidate.used) {
            let wanted = requests(pod, "requests", resource);
            let room = at(node, "status.allocatable").get(*resource).map_or(0, quantity::milli) - used;
            if wanted > 0 && wanted > room {
                return Some(format!("Insufficient {resource}"));
            }
        }
        if !accepts_neighbors(pod, node, others) {
            return Some("node(s) didn't match pod affinity/anti-affinity rules".to_owned());
        }
        let is_reachable = |claim: &String| self.is_claim_reachable(namespace(pod), claim, node);
        if !claims.iter().all(is_reachable) {
            return Some("node(s) had volume node affinity conflict".to_owned());
        }
        None
    }

    fn carry_out(&mut self, pod: &Arc<Value>, decision: Decision, candidates: &mut [Candidate]) {
        let (own, now) = (key_of(pod), self.now);
        match decision {
            Decision::Bind(node) => {
                self.change_object(Kind::Pod, &own, |pod| {
                    set(pod, "spec.nodeName", node.clone());
                    set_condition(pod, now, "PodScheduled", true, "", "");
                });
                self.schedule(KUBELET_MS, Task::StartPod(own.clone()));
                let candidate = candidates.iter_mut().find(|candidate| name(&candidate.node) == node);
                if let (Some(candidate), Some(pod)) = (candidate, self.store.get(Kind::Pod, &own)) {
                    for (used, resource) in candidate.used.iter_mut().zip(RESOURCES) {
                        *used += requests(pod, "requests", resource);
                    }
                    candidate.pods.push(Arc::clone(pod));
                }
            }
            Decision::Provision(node) => {
                for claim in claims_of(pod) {
                    if !self.is_claim_bound(namespace(pod), &claim) {
                        let claim = key(namespace(pod), &claim);
                        self.change_object(Kind::PersistentVolumeClaim, &claim, |claim| {
                            let annotations =
                                crate::value::object(crate::value::place(claim, "metadata.annotations"));
                            annotations
                                .entry("volume.kubernetes.io/selected-node")
                                .or_insert_with(|| json!(node));
                        });
                    }
                }
            }
            Decision::Unschedulable(message) => self.change_object(Kind::Pod, &own, |pod| {
                set_condition(pod, now, "PodScheduled", false, "Unschedulable", &message);
            }),
        }
    }
}

/// Nodes with fewer pods of the same controller come first, then those with
/// less requested CPU, then those with fewer pods.
fn rank(pod: &Value, candidate: &Candidate) -> (usize, i128, usize) {
    let owner = controller_of(pod).map_or("", |owner| text(owner, "uid"));
    let siblings = candidate
        .pods
        .iter()
        .filter(|other| !owner.is_empty() && controller_of(other).is_some_and(|o| text(o, "uid") == owner))
        .count();
    let room = quantity::milli(at(&candidate.node, "status.allocatable.cpu")).max(1);
    let [cpu, ..] = candidate.used;
    (siblings, cpu * 1_000_000 / room, candidate.pods.len())
}

fn unschedulable_message(nodes: usize, reasons: &BTreeMap<String, u32>) -> String {
    let mut parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    format!(
        "0/{nodes} nodes are available: {}. preemption: 0/{nodes} nodes are available: \
         {nodes} Preemption is not helpful for scheduling.",
        parts.join(", ")
    )
}
