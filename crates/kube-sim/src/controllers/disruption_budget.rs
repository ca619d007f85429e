//! The status of disruption budgets.

use crate::cluster::Cluster;
use crate::controllers::conditions::set_condition;
use crate::controllers::deployment::share;
use crate::controllers::pods::{is_active, is_ready};
use crate::kind::Kind;
use crate::objects::controller_of;
use crate::selector::{LabelSelector, labels};
use crate::value::{at, is_deleting, namespace, number, set, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Cluster {
    /// Counts the pods of a disruption budget.
    pub(crate) fn reconcile_disruption_budget(&mut self, key: &str) {
        let Some(budget) = self.store.get(Kind::PodDisruptionBudget, key).cloned() else {
            return;
        };
        if is_deleting(&budget) {
            return;
        }
        let selector = LabelSelector::of(at(&budget, "spec.selector"));
        let pods: Vec<Arc<Value>> = self
            .store
            .within(Kind::Pod, namespace(&budget))
            .filter(|pod| is_active(pod) && selector.selects(labels(pod)))
            .cloned()
            .collect();
        let present = i64::try_from(pods.len()).unwrap_or(i64::MAX);
        let healthy = i64::try_from(pods.iter().filter(|pod| is_ready(pod)).count()).unwrap_or(0);
        let least = at(&budget, "spec.minAvailable");
        let most_missing = at(&budget, "spec.maxUnavailable");
        let (expected, desired) = if least.is_number() {
            (present, share(least, present, true))
        } else {
            let scale = self.scale_of(&pods).unwrap_or(present);
            match most_missing.is_null() {
                true => (scale, share(least, scale, true)),
                false => (scale, (scale - share(most_missing, scale, true)).max(0)),
            }
        };
        let allowed = if present == 0 { 0 } else { (healthy - desired).max(0) };
        let now = self.now;
        self.change_object(Kind::PodDisruptionBudget, key, |budget| {
            let generation = number(budget, "metadata.generation");
            for (field, count) in [
                ("currentHealthy", healthy),
                ("desiredHealthy", desired),
                ("disruptionsAllowed", allowed),
                ("expectedPods", expected),
                ("observedGeneration", generation),
            ] {
                set(budget, &format!("status.{field}"), count);
            }
            let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
            set_condition(budget, now, "DisruptionAllowed", allowed > 0, reason, "");
        });
    }

    /// The replicas that the controllers of pods want together.
    fn scale_of(&self, pods: &[Arc<Value>]) -> Option<i64> {
        let mut owners: BTreeSet<(String, Kind)> = BTreeSet::new();
        for pod in pods {
            let owner = controller_of(pod)?;
            let kind = Kind::by_name(text(owner, "apiVersion"), text(owner, "kind"))?;
            let own = crate::store::key(namespace(pod), text(owner, "name"));
            let set = self.store.get(kind, &own)?;
            match controller_of(set).filter(|_| kind == Kind::ReplicaSet) {
                Some(top) => {
                    owners.insert((crate::store::key(namespace(pod), text(top, "name")), Kind::Deployment))
                }
                None => owners.insert((own, kind)),
            };
        }
        let replicas = |(own, kind): &(String, Kind)| {
            self.store.get(*kind, own).map_or(0, |object| number(object, "spec.replicas"))
        };
        Some(owners.iter().map(replicas).sum())
    }
}
