//! What environments ask of their nodes, and what their quotas admit.

use exokit_model::candidate::NodeShape;
use exokit_model::kind::Kind;
use exokit_templates::TemplateSet;
use exokit_workload::WorkloadObject;
use serde_json::Value;

use crate::environments::{Environment, all, container, list, pod, shipped};
use crate::quantities::{assert_canonical, cpu, memory};

/// CPU in thousandths of a core and memory in bytes of a number of pods.
fn demand(deployment: &WorkloadObject, sort: &str, count: u64) -> (u64, u64) {
    let amounts = &container(deployment)["resources"][sort];
    (cpu(&amounts["cpu"]) * count, memory(&amounts["memory"]) * count)
}

fn sum(demands: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    demands.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Pods of a deployment when nothing happens yet, or at the most.
fn replicas(environment: &Environment, deployment: &WorkloadObject, most: bool) -> u64 {
    let workload = &environment.spec.workload;
    match (&workload.autoscaling, deployment.key.as_str()) {
        (Some(scaling), "workload") if most => scaling.max_replicas.max(workload.replicas).into(),
        (Some(scaling), "workload") => scaling.min_replicas.max(workload.replicas).into(),
        _ => deployment.body["spec"]["replicas"].as_u64().unwrap(),
    }
}

/// What pods can use of one node: some CPU and 1 GiB belong to the system and
/// to the add-ons.
fn allocatable(node: NodeShape) -> (u64, u64) {
    (u64::from(node.cpus) * 1000 - 200, (u64::from(node.memory_gib) - 1) << 30)
}

#[test]
fn environments_fit_their_nodes_even_while_the_workload_is_replaced() {
    let set = TemplateSet::embedded().unwrap();
    for environment in shipped() {
        let node = set.get(environment.spec.template).unwrap().candidate().node;
        let (cpu_each, memory_each) = allocatable(node);
        let nodes = u64::from(environment.spec.nodes.count);
        let asked = sum(environment.of(Kind::Deployment).map(|deployment| {
            let surge = u64::from(deployment.key.as_str() == "workload");
            demand(deployment, "requests", replicas(&environment, deployment, false) + surge)
        }));
        let name = &environment.name;
        println!(
            "{name}: {}m of {}m, {} Mi of {} Mi",
            asked.0,
            cpu_each * nodes,
            asked.1 >> 20,
            (memory_each * nodes) >> 20
        );
        assert!(asked.0 <= cpu_each * nodes && asked.1 <= memory_each * nodes, "{name}: {asked:?}");
        // Pods that share a volume are all on one node.
        let workload = environment.get("workload").unwrap();
        if pod(workload)["spec"].get("affinity").is_some() {
            let count = replicas(&environment, workload, false) + 1;
            let asked = demand(workload, "requests", count);
            assert!(asked.0 <= cpu_each && asked.1 <= memory_each, "{name}: {asked:?}");
        }
    }
}

#[test]
fn the_quota_admits_the_environment_at_its_largest() {
    for environment in all() {
        let hard = environment.at("quota", "/spec/hard");
        for (sort, cpu_key, memory_key) in
            [("requests", "requests.cpu", "requests.memory"), ("limits", "limits.cpu", "limits.memory")]
        {
            let asked = sum(environment
                .of(Kind::Deployment)
                .map(|deployment| demand(deployment, sort, replicas(&environment, deployment, true) + 1)));
            assert!(asked.0 <= cpu(&hard[cpu_key]), "{}: {sort} {asked:?}", environment.name);
            assert!(asked.1 <= memory(&hard[memory_key]), "{}: {sort} {asked:?}", environment.name);
        }
        let count = |key: &str| hard[key].as_str().unwrap().parse::<usize>().unwrap();
        let pods: u64 = environment.of(Kind::Deployment).map(|d| replicas(&environment, d, true) + 1).sum();
        assert!(u64::try_from(count("pods")).unwrap() >= pods);
        assert_eq!(count("persistentvolumeclaims"), environment.of(Kind::PersistentVolumeClaim).count());
        let typed = |name: &'static str| {
            environment.of(Kind::Service).filter(move |service| service.body["spec"]["type"] == name)
        };
        assert_eq!(count("services.loadbalancers"), typed("LoadBalancer").count());
        let with_node_ports = typed("LoadBalancer").chain(typed("NodePort"));
        let node_ports: usize = with_node_ports.map(|s| list(&s.body["spec"]["ports"]).len()).sum();
        assert_eq!(count("services.nodeports"), node_ports);
    }
}

#[test]
fn limits_of_the_namespace_admit_every_container() {
    for environment in all() {
        let item = environment.at("limits", "/spec/limits/0");
        for deployment in environment.of(Kind::Deployment) {
            let (cpu_asked, memory_asked) = demand(deployment, "limits", 1);
            assert!(cpu_asked <= cpu(&item["max"]["cpu"]), "{}", deployment.key);
            assert!(memory_asked <= memory(&item["max"]["memory"]), "{}", deployment.key);
        }
        let workload = &container(environment.get("workload").unwrap())["resources"];
        assert_eq!(item["default"], workload["limits"]);
        assert_eq!(item["defaultRequest"], workload["requests"]);
    }
}

#[test]
fn quantities_are_in_the_form_that_kubernetes_shows() {
    for environment in all() {
        for object in &environment.objects {
            walk(&object.body);
        }
    }
}

/// Checks the quantities below the fields that hold some.
fn walk(value: &Value) {
    const FIELDS: [&str; 6] = ["requests", "limits", "hard", "default", "defaultRequest", "max"];
    match value {
        Value::Array(items) => items.iter().for_each(walk),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::Object(amounts) if FIELDS.contains(&name.as_str()) => {
                        amounts.values().for_each(|amount| assert_canonical(amount.as_str().unwrap()));
                    }
                    Value::String(size) if name == "sizeLimit" => assert_canonical(size),
                    _ => walk(field),
                }
            }
        }
        _ => {}
    }
}
