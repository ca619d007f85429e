//! Environments under test, and ways to look into their objects.

use exokit_model::kind::Kind;
use exokit_model::spec::{AutoscalingSpec, EnvironmentSpec};
use exokit_templates::{InstantiateOptions, TemplateSet};
use exokit_workload::{WorkloadObject, objects};
use jiff::civil::date;
use serde_json::Value;

/// The seven templates.
pub(crate) const TEMPLATES: [&str; 7] = ["T1", "T2", "T3", "T4", "T5", "T6", "T7"];

/// An environment and its objects.
pub(crate) struct Environment {
    pub(crate) name: String,
    pub(crate) spec: EnvironmentSpec,
    pub(crate) objects: Vec<WorkloadObject>,
}

impl Environment {
    pub(crate) fn new(name: &str, spec: EnvironmentSpec) -> Self {
        let objects = objects(&spec);
        Self { name: name.to_owned(), spec, objects }
    }

    /// The object with a key.
    pub(crate) fn get(&self, key: &str) -> Option<&WorkloadObject> {
        self.objects.iter().find(|object| object.key.as_str() == key)
    }

    /// The value at a pointer into the body of the object with a key.
    #[track_caller]
    pub(crate) fn at(&self, key: &str, pointer: &str) -> &Value {
        let object = self.get(key).unwrap_or_else(|| panic!("{}: no {key}", self.name));
        let found = object.body.pointer(pointer);
        found.unwrap_or_else(|| panic!("{}: {key} has no {pointer}: {:#}", self.name, object.body))
    }

    /// The objects of a kind.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &WorkloadObject> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// The object of a kind with a name.
    pub(crate) fn named(&self, kind: Kind, name: &str) -> Option<&WorkloadObject> {
        self.of(kind).find(|object| object.name == name)
    }

    /// Deployments whose pods a selector finds.
    pub(crate) fn selected(&self, selector: &Value) -> Vec<&WorkloadObject> {
        let matches = |object: &&WorkloadObject| is_subset(selector, &pod(object)["metadata"]["labels"]);
        self.of(Kind::Deployment).filter(matches).collect()
    }
}

/// The template of the pods of a deployment.
pub(crate) fn pod(deployment: &WorkloadObject) -> &Value {
    &deployment.body["spec"]["template"]
}

/// The one container of the pods of a deployment.
pub(crate) fn container(deployment: &WorkloadObject) -> &Value {
    let containers = list(&pod(deployment)["spec"]["containers"]);
    assert_eq!(containers.len(), 1, "{}", deployment.key);
    &containers[0]
}

/// The items of a list; none when it is absent.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether every label of the first is a label of the second.
pub(crate) fn is_subset(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("a map of labels");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The environment that a template makes.
pub(crate) fn template(id: &str) -> EnvironmentSpec {
    let set = TemplateSet::embedded().unwrap();
    let options = InstantiateOptions::new(date(2026, 11, 23));
    set.get(id.parse().unwrap()).unwrap().instantiate(&options).unwrap()
}

/// The environment that a template makes, changed.
pub(crate) fn changed(name: &str, id: &str, change: impl FnOnce(&mut EnvironmentSpec)) -> Environment {
    let mut spec = template(id);
    change(&mut spec);
    Environment::new(name, spec)
}

/// The environments of the templates.
pub(crate) fn shipped() -> Vec<Environment> {
    TEMPLATES.iter().map(|id| Environment::new(id, template(id))).collect()
}

/// The environments of the templates, and others.
pub(crate) fn all() -> Vec<Environment> {
    let certified = |spec: &mut EnvironmentSpec| {
        let ingress = spec.workload.ingress.as_mut().unwrap();
        ingress.domain = Some("app.example.org".to_owned());
        ingress.cert_email = Some("ops@example.org".to_owned());
    };
    let mut all = shipped();
    all.push(changed("T2 certified", "T2", certified));
    all.push(changed("T7 certified", "T7", certified));
    all.push(changed("T5 certified", "T5", certified));
    all.push(changed("T7 hardened", "T7", |spec| spec.hardened = true));
    all.push(changed("T2 of a private registry", "T2", |spec| {
        spec.workload.registry_login = Some("corp".to_owned());
    }));
    all.push(changed("T7 observed", "T7", |spec| spec.observability = true));
    all.push(changed("T7 observed and hardened", "T7", |spec| {
        spec.observability = true;
        spec.hardened = true;
    }));
    all.push(changed("T6 hardened", "T6", |spec| spec.hardened = true));
    all.push(changed("T5 with a bucket", "T5", |spec| spec.bucket = template("T3").bucket));
    all.push(changed("T3 for one pod", "T3", |spec| {
        spec.block_storage.as_mut().unwrap().access_mode = "ReadWriteOncePod".to_owned();
    }));
    all.push(changed("T3 with its volume at /tmp", "T3", |spec| {
        spec.block_storage.as_mut().unwrap().mount_path = "/tmp".to_owned();
    }));
    all.push(changed("T2 without ingress", "T2", |spec| spec.workload.ingress = None));
    all.push(changed("T2 without load balancer", "T2", |spec| spec.workload.load_balancer = false));
    all.push(changed("T2 without TLS", "T2", |spec| spec.workload.ingress.as_mut().unwrap().tls = false));
    all.push(changed("T2 on port 443", "T2", |spec| spec.workload.service_port = 443));
    all.push(changed("T5 on port 80", "T5", |spec| spec.workload.port = 80));
    all.push(changed("T1 observed", "T1", |spec| spec.observability = true));
    all.push(changed("T1 of a long name", "T1", |spec| {
        spec.workload.service = "s".repeat(63);
        spec.project = "Ä project / of ours".to_owned();
        spec.workload.ingress = template("T2").workload.ingress;
    }));
    all.push(changed("T1 with a name of a bundled program", "T1", |spec| {
        spec.workload.service = "grafana".to_owned();
        spec.observability = true;
        let (min_replicas, max_replicas, cpu_percent, memory_percent) = (1, 3, 50, 60);
        spec.workload.autoscaling =
            Some(AutoscalingSpec { min_replicas, max_replicas, cpu_percent, memory_percent });
    }));
    all
}
