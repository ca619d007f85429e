//! Everything that an object names is there, and among its dependencies.

use exokit_model::kind::Kind;
use exokit_workload::WorkloadObject;
use serde_json::Value;

use crate::environments::{Environment, all, container, is_subset, list, pod};

/// Asserts that there is an object and that `from` depends on it.
#[track_caller]
fn needs(environment: &Environment, from: &WorkloadObject, kind: Kind, name: &Value) {
    let name = name.as_str().unwrap();
    let found = environment.named(kind, name);
    let found = found.unwrap_or_else(|| panic!("{}: {} names {kind} {name}", environment.name, from.key));
    assert!(from.depends_on.contains(&found.key), "{}: {} -> {}", environment.name, from.key, found.key);
}

#[test]
fn what_pods_use_is_there_and_comes_first() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let spec = &pod(deployment)["spec"];
            needs(&environment, deployment, Kind::ServiceAccount, &spec["serviceAccountName"]);
            for secret in list(&spec["imagePullSecrets"]) {
                needs(&environment, deployment, Kind::Secret, &secret["name"]);
            }
            for volume in list(&spec["volumes"]) {
                if let Some(source) = volume.get("configMap") {
                    needs(&environment, deployment, Kind::ConfigMap, &source["name"]);
                    let config =
                        environment.named(Kind::ConfigMap, source["name"].as_str().unwrap()).unwrap();
                    for item in list(&source["items"]) {
                        assert!(config.body["data"].get(item["key"].as_str().unwrap()).is_some());
                    }
                }
                if let Some(source) = volume.get("persistentVolumeClaim") {
                    needs(&environment, deployment, Kind::PersistentVolumeClaim, &source["claimName"]);
                }
            }
            for variable in list(&container(deployment)["env"]) {
                if let Some(reference) = variable.pointer("/valueFrom/secretKeyRef") {
                    needs(&environment, deployment, Kind::Secret, &reference["name"]);
                    let secret =
                        environment.named(Kind::Secret, reference["name"].as_str().unwrap()).unwrap();
                    assert!(secret.body["data"].get(reference["key"].as_str().unwrap()).is_some());
                }
            }
        }
    }
}

#[test]
fn each_mount_has_its_volume() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let names = |list: &[Value]| -> Vec<String> {
                list.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
            };
            let volumes = names(list(&pod(deployment)["spec"]["volumes"]));
            let mounts = list(&container(deployment)["volumeMounts"]);
            assert_eq!(names(mounts), volumes, "{}: {}", environment.name, deployment.key);
            let mut paths: Vec<&str> = mounts.iter().map(|m| m["mountPath"].as_str().unwrap()).collect();
            paths.sort_unstable();
            assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
        }
    }
}

#[test]
fn claims_secrets_and_config_maps_are_all_used() {
    for environment in all() {
        for object in &environment.objects {
            let is_for_pods =
                matches!(object.kind, Kind::PersistentVolumeClaim | Kind::Secret | Kind::ConfigMap);
            let used = environment.of(Kind::Deployment).any(|d| d.depends_on.contains(&object.key));
            assert!(used || !is_for_pods, "{}: {} is for nothing", environment.name, object.key);
        }
    }
}

#[test]
fn selectors_find_the_pods_that_they_mean() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let selector = &deployment.body["spec"]["selector"]["matchLabels"];
            let found = environment.selected(selector);
            assert_eq!(found.len(), 1, "{}: {}", environment.name, deployment.key);
            assert_eq!(found[0].key, deployment.key);
            let spec = &pod(deployment)["spec"];
            for own in [
                spec.pointer("/topologySpreadConstraints/0/labelSelector/matchLabels"),
                spec.pointer(
                    "/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0/labelSelector/matchLabels",
                ),
            ] {
                assert!(own.is_none_or(|own| own == selector), "{}", deployment.key);
            }
        }
        for service in environment.of(Kind::Service) {
            assert_eq!(environment.selected(&service.body["spec"]["selector"]).len(), 1, "{}", service.key);
        }
        for budget in environment.of(Kind::PodDisruptionBudget) {
            let found = environment.selected(&budget.body["spec"]["selector"]["matchLabels"]);
            assert_eq!(found[0].key.as_str(), "workload");
            assert!(budget.depends_on.contains(&found[0].key));
        }
        for scaler in environment.of(Kind::HorizontalPodAutoscaler) {
            let scaled = &scaler.body["spec"]["scaleTargetRef"]["name"];
            let deployments = environment.of(Kind::Deployment);
            let found =
                deployments.into_iter().find(|deployment| deployment.body["metadata"]["name"] == *scaled);
            assert!(
                found.unwrap().depends_on.contains(&scaler.key),
                "it is ready with the autoscaler's minimum"
            );
        }
    }
}

#[test]
fn each_named_port_is_there() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let container = container(deployment);
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let probe = &container[probe];
                let port = probe.pointer("/tcpSocket/port").or_else(|| probe.pointer("/httpGet/port"));
                assert!(has_port(container, port.unwrap()), "{}: {probe}", deployment.key);
            }
        }
        for service in environment.of(Kind::Service) {
            let spec = &service.body["spec"];
            for target in environment.selected(&spec["selector"]) {
                for port in list(&spec["ports"]) {
                    assert!(has_port(container(target), &port["targetPort"]), "{}: {port}", service.key);
                }
            }
        }
    }
}

fn has_port(container: &Value, name: &Value) -> bool {
    list(&container["ports"]).iter().any(|port| port["name"] == *name)
}

#[test]
fn routes_lead_to_services() {
    for environment in all() {
        for ingress in environment.of(Kind::Ingress) {
            for path in list(&ingress.body["spec"]["rules"][0]["http"]["paths"]) {
                let backend = &path["backend"]["service"];
                needs(&environment, ingress, Kind::Service, &backend["name"]);
                let service = environment.named(Kind::Service, backend["name"].as_str().unwrap()).unwrap();
                let ports = list(&service.body["spec"]["ports"]);
                assert!(ports.iter().any(|port| port["name"] == backend["port"]["name"]));
            }
        }
    }
}

#[test]
fn rights_belong_to_the_accounts_that_have_tokens() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let spec = &pod(deployment)["spec"];
            let token = spec["automountServiceAccountToken"].as_bool().unwrap();
            let name = spec["serviceAccountName"].as_str().unwrap();
            let account = environment.named(Kind::ServiceAccount, name).unwrap();
            assert_eq!(account.body["automountServiceAccountToken"], token);
            assert!(deployment.key.as_str() != "workload" || !token);
            let binding = environment.named(Kind::RoleBinding, name);
            assert_eq!(binding.is_some(), token, "{}: {}", environment.name, deployment.key);
            if let Some(binding) = binding {
                needs(&environment, binding, Kind::Role, &binding.body["roleRef"]["name"]);
                needs(&environment, binding, Kind::ServiceAccount, &binding.body["subjects"][0]["name"]);
                assert!(deployment.depends_on.contains(&binding.key));
            }
        }
        for role in environment.of(Kind::Role) {
            for rule in list(&role.body["rules"]) {
                let wide = |field: &str| list(&rule[field]).iter().any(|item| item == "*");
                assert!(!wide("verbs") && !wide("resources") && !wide("apiGroups"), "{}", role.key);
            }
        }
    }
}

#[test]
fn policies_and_quota_are_in_force_before_anything_runs() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let labels = &pod(deployment)["metadata"]["labels"];
            for object in &environment.objects {
                let applies = match object.kind {
                    Kind::ResourceQuota | Kind::LimitRange => true,
                    Kind::NetworkPolicy => {
                        let selector = &object.body["spec"]["podSelector"];
                        let denies = object.key.as_str() == "deny-all";
                        denies
                            || selector
                                .get("matchLabels")
                                .is_some_and(|labels_of| is_subset(labels_of, labels))
                    }
                    _ => false,
                };
                assert!(!applies || deployment.depends_on.contains(&object.key), "{}", object.key);
            }
        }
    }
}
