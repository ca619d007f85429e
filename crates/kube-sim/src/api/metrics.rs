//! Simulated metrics of nodes and pods: half of what is requested.

use super::body::Answer;
use super::call::Call;
use super::rbac::Access;
use super::read::Selection;
use super::route::Target;
use crate::cluster::Cluster;
use crate::controllers::autoscaler::USE_PERCENT;
use crate::controllers::pods::{is_ready, requests};
use crate::kind::Kind;
use crate::quantity;
use crate::refusal::Refusal;
use crate::selector::labels;
use crate::time::rfc3339;
use crate::value::{at, items, name, namespace, set, text};
use serde_json::{Value, json};

impl Cluster {
    /// Answers a request for metrics.
    pub(crate) fn answer_metrics(
        &self,
        call: &Call<'_>,
        pods: bool,
        space: Option<&str>,
        wanted: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let kind = if pods { Kind::Pod } else { Kind::Node };
        let info = kind.info();
        let access = Access {
            verb: if wanted.is_some() { "get" } else { "list" },
            group: "metrics.k8s.io",
            resource: info.plural,
            namespace: space.unwrap_or_default(),
            ..Access::default()
        };
        if !self.is_allowed(call.user, &access) {
            let why = format!(
                "User \"{}\" cannot {} resource \"{}\" in API group \"metrics.k8s.io\"",
                call.user.name, access.verb, info.plural
            );
            return Err(Refusal::forbidden_resource("metrics.k8s.io", info.plural, &why));
        }
        let target = Target { kind, namespace: space.map(str::to_owned), name: None, subresource: None };
        let selection = Selection::of(call, &target)?;
        let metrics: Vec<Value> = self
            .store
            .range(kind, space, None)
            .map(|(_, object)| object)
            .filter(|object| wanted.is_none_or(|wanted| name(object) == wanted))
            .filter(|object| selection.selects(object) && is_ready(object))
            .map(|object| if pods { self.pod_metrics(object) } else { self.node_metrics(object) })
            .collect();
        let kind_name = if pods { "PodMetrics" } else { "NodeMetrics" };
        match wanted {
            None => Ok(Answer::object(
                200,
                json!({
                    "kind": format!("{kind_name}List"), "apiVersion": "metrics.k8s.io/v1beta1",
                    "metadata": {}, "items": metrics,
                }),
            )),
            Some(wanted) => {
                let found = metrics.into_iter().next();
                let mut found = found.ok_or_else(|| Refusal::not_found(info, wanted))?;
                set(&mut found, "kind", kind_name);
                set(&mut found, "apiVersion", "metrics.k8s.io/v1beta1");
                Ok(Answer::object(200, found))
            }
        }
    }

    fn pod_metrics(&self, pod: &Value) -> Value {
        let containers: Vec<Value> = items(pod, "spec.containers")
            .iter()
            .map(|container| {
                let of = |resource: &str| {
                    quantity::milli(at(container, &format!("resources.requests.{resource}")))
                };
                json!({"name": text(container, "name"), "usage": usage(of("cpu"), of("memory"))})
            })
            .collect();
        json!({
            "metadata": {"name": name(pod), "namespace": namespace(pod), "labels": labels(pod),
                "creationTimestamp": rfc3339(self.now)},
            "timestamp": rfc3339(self.now), "window": "15s", "containers": containers,
        })
    }

    fn node_metrics(&self, node: &Value) -> Value {
        let pods = self.store.all(Kind::Pod).filter(|pod| text(pod, "spec.nodeName") == name(node));
        let (mut cpu, mut memory) = (0, 0);
        for pod in pods {
            cpu += requests(pod, "requests", "cpu");
            memory += requests(pod, "requests", "memory");
        }
        json!({
            "metadata": {"name": name(node), "labels": labels(node), "creationTimestamp": rfc3339(self.now)},
            "timestamp": rfc3339(self.now), "window": "15s", "usage": usage(cpu, memory),
        })
    }
}

fn usage(cpu: i128, memory: i128) -> Value {
    json!({
        "cpu": quantity::format_milli(cpu * USE_PERCENT / 100),
        "memory": format!("{}Ki", memory * USE_PERCENT / 100 / 1000 / 1024),
    })
}
