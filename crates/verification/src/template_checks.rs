//! What the template promises: one check for each row of its table.

use std::collections::BTreeSet;

use exokit_model::cost::ApprovalLevel;
use exokit_model::quantity::{read_cpu, read_memory, write_cpu, write_memory};
use exokit_model::spec::{BucketAcl, DatabaseSpec, EnvironmentSpec};
use exokit_model::verification::Check;
use serde_json::Value;

use crate::evidence::{Evidence, list, name, number, text};
use crate::universal_checks::{SPECIAL_LABELS, joined, label};

const NONE: &str = "none";
const HINT: &str = "`exokit drift` shows what else differs";

/// The claim in which Traefik keeps certificates.
const CERTIFICATES: &str = "exokit-traefik-acme";

/// Applications that a template with observability runs.
const OBSERVABILITY: [&str; 3] = ["alloy", "loki", "prometheus"];

pub(crate) fn checks(
    spec: &EnvironmentSpec,
    default_level: ApprovalLevel,
    evidence: &Evidence,
) -> Vec<Check> {
    let rows = [
        ("nodes in the nodepool", nodes(spec), seen_nodes(evidence)),
        ("local disk of the nodes", format!("{} GiB", spec.nodes.disk_gb), seen_disk(evidence)),
        ("the database", database(spec), seen_database(spec, evidence)),
        ("the bucket", bucket(spec), seen_bucket(evidence)),
        ("block storage", volume(spec), seen_volume(evidence)),
        ("Pod Security of the namespace", pod_security(spec), seen_pod_security(spec, evidence)),
        ("port and node port", ports(spec), seen_ports(spec, evidence)),
        ("replicas and autoscaling", replicas(spec), seen_replicas(spec, evidence)),
        ("targets of the autoscaler", targets(spec), seen_targets(spec, evidence)),
        ("limits of a replica", limits(spec), seen_amounts(spec, evidence, "limits")),
        ("requests of a replica", requests(spec), seen_amounts(spec, evidence, "requests")),
        ("the disruption budget", budget(spec), seen_budget(spec, evidence)),
        ("load balancer, ingress and TLS", entry(spec), seen_entry(spec, evidence)),
        ("agents, clearance and observability", special(spec), seen_special(evidence)),
        ("approval", approval(default_level), seen_approval(default_level, evidence)),
        ("ports that are open to the world", exposure(spec), seen_exposure(evidence)),
        ("rights to change the namespace", "exokit-editors: edit".to_owned(), seen_rights(spec, evidence)),
        ("isolation of the pods", isolation(spec), seen_isolation(spec, evidence)),
    ];
    rows.into_iter()
        .zip(1..)
        .map(|((title, expected, observed), number): (_, u32)| {
            Check::new(format!("{}-{number:02}", spec.template), title, expected, observed, HINT)
        })
        .collect()
}

fn nodes(spec: &EnvironmentSpec) -> String {
    spec.nodes.count.to_string()
}

fn seen_nodes(evidence: &Evidence) -> String {
    listed(evidence.nodepools.iter().map(|pool| number(pool, "/size")).collect())
}

fn seen_disk(evidence: &Evidence) -> String {
    listed(evidence.nodepools.iter().map(|pool| format!("{} GiB", number(pool, "/disk-size"))).collect())
}

/// A list on one line; `none` when it is empty.
fn listed(mut texts: Vec<String>) -> String {
    texts.sort();
    if texts.is_empty() { NONE.to_owned() } else { texts.join(", ") }
}

fn database(spec: &EnvironmentSpec) -> String {
    let shown = |database: &DatabaseSpec| {
        let version = database.version.as_deref().unwrap_or("any");
        format!("{} {version}, {}", database.engine, database.plan)
    };
    spec.database.as_ref().map_or(NONE.to_owned(), shown)
}

fn seen_database(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let wanted = spec.database.as_ref().and_then(|database| database.version.as_deref());
    let shown = evidence.databases.iter().map(|database| {
        // The cloud tells 16.4 where 16 was asked for.
        let version = text(database, "/version");
        let version = match wanted {
            None => "any",
            Some(wanted) if version.split('.').next() == Some(wanted) => wanted,
            Some(_) => version,
        };
        format!("{} {version}, {}", text(database, "/type"), text(database, "/plan"))
    });
    listed(shown.collect())
}

fn bucket(spec: &EnvironmentSpec) -> String {
    let shown = |acl: BucketAcl| match acl {
        BucketAcl::Private => "private",
        BucketAcl::PublicRead => "public",
    };
    spec.bucket.as_ref().map_or(NONE.to_owned(), |bucket| {
        format!("{}-{}, {}", spec.environment, bucket.suffix, shown(bucket.acl))
    })
}

fn seen_bucket(evidence: &Evidence) -> String {
    let shown = evidence.buckets.iter().map(|bucket| {
        // Its name ends with a mark that nobody can foresee.
        let name = bucket.name.rsplit_once('-').map_or(bucket.name.as_str(), |(name, _)| name);
        format!("{name}, {}", if bucket.is_public { "public" } else { "private" })
    });
    listed(shown.collect())
}

fn volume(spec: &EnvironmentSpec) -> String {
    let shown = spec.block_storage.as_ref();
    shown.map_or(NONE.to_owned(), |block| format!("{} GiB, {}", block.size_gb, block.access_mode))
}

/// The volumes that hold data of the workload: all but that of certificates.
fn seen_volume(evidence: &Evidence) -> String {
    let claims = evidence.of_kind("PersistentVolumeClaim");
    let of_certificates = claims.iter().filter(|claim| name(claim) == CERTIFICATES);
    let apart: BTreeSet<String> =
        of_certificates.map(|claim| format!("pvc-{}", text(claim, "/metadata/uid"))).collect();
    let mode = |volume: &Value| {
        let claim = claims
            .iter()
            .find(|claim| text(volume, "/name") == format!("pvc-{}", text(claim, "/metadata/uid")));
        claim.map_or("no claim", |claim| text(claim, "/spec/accessModes/0")).to_owned()
    };
    let volumes = evidence.volumes.iter().filter(|volume| !apart.contains(text(volume, "/name")));
    listed(volumes.map(|volume| format!("{} GiB, {}", number(volume, "/size"), mode(volume))).collect())
}

fn pod_security(spec: &EnvironmentSpec) -> String {
    if spec.hardened { "restricted" } else { "baseline" }.to_owned()
}

fn seen_pod_security(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let namespace = evidence.object("Namespace", &spec.workload.namespace);
    let level = namespace.map(|found| label(found, "pod-security.kubernetes.io/enforce"));
    level.filter(|level| !level.is_empty()).unwrap_or(NONE).to_owned()
}

fn ports(spec: &EnvironmentSpec) -> String {
    format!("{} / {}", spec.workload.port, spec.workload.node_port)
}

fn seen_ports(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let service = &spec.workload.service;
    let port = main_container(spec, evidence).map(|container| number(container, "/ports/0/containerPort"));
    let node_port = evidence.object("Service", service).map(|found| number(found, "/spec/ports/0/nodePort"));
    format!("{} / {}", port.unwrap_or("-".to_owned()), node_port.unwrap_or("-".to_owned()))
}

fn main_container<'e>(spec: &EnvironmentSpec, evidence: &'e Evidence) -> Option<&'e Value> {
    let deployment = evidence.object("Deployment", &spec.workload.service)?;
    list(deployment, "/spec/template/spec/containers").first()
}

fn replicas(spec: &EnvironmentSpec) -> String {
    let workload = &spec.workload;
    match &workload.autoscaling {
        None => format!("{} available, no autoscaler", workload.replicas),
        Some(scaling) => {
            let (least, most) = (scaling.min_replicas, scaling.max_replicas);
            format!("{least} or more available, {least} to {most}")
        }
    }
}

fn seen_replicas(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let service = &spec.workload.service;
    let deployment = evidence.object("Deployment", service);
    let available =
        deployment.and_then(|found| found.pointer("/status/availableReplicas")?.as_u64()).unwrap_or(0);
    let least = spec.workload.autoscaling.as_ref().map(|scaling| u64::from(scaling.min_replicas));
    let available = match least {
        Some(least) if available >= least => format!("{least} or more available"),
        _ => format!("{available} available"),
    };
    match evidence.object("HorizontalPodAutoscaler", service) {
        None => format!("{available}, no autoscaler"),
        Some(scaler) => {
            let (least, most) = (number(scaler, "/spec/minReplicas"), number(scaler, "/spec/maxReplicas"));
            format!("{available}, {least} to {most}")
        }
    }
}

fn targets(spec: &EnvironmentSpec) -> String {
    let shown = spec.workload.autoscaling.as_ref();
    shown.map_or(NONE.to_owned(), |scaling| {
        format!("cpu {} %, memory {} %", scaling.cpu_percent, scaling.memory_percent)
    })
}

fn seen_targets(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    // Without an autoscaler the check of the replicas says so.
    let Some(scaler) = evidence.object("HorizontalPodAutoscaler", &spec.workload.service) else {
        return targets(spec);
    };
    let shown = list(scaler, "/spec/metrics").iter().map(|metric| {
        let percent = number(metric, "/resource/target/averageUtilization");
        format!("{} {percent} %", text(metric, "/resource/name"))
    });
    listed(shown.collect())
}

fn limits(spec: &EnvironmentSpec) -> String {
    let limits = &spec.workload.resources.limits;
    amounts(&limits.cpu, &limits.memory)
}

fn requests(spec: &EnvironmentSpec) -> String {
    let requests = &spec.workload.resources.requests;
    amounts(&requests.cpu, &requests.memory)
}

/// CPU and memory in canonical form; an API server may have changed the unit.
fn amounts(cpu: &str, memory: &str) -> String {
    let cpu = read_cpu(cpu).map_or_else(|| format!("{cpu:?}"), write_cpu);
    let memory = read_memory(memory).map_or_else(|| format!("{memory:?}"), write_memory);
    format!("{cpu} CPU, {memory} of memory")
}

fn seen_amounts(spec: &EnvironmentSpec, evidence: &Evidence, which: &str) -> String {
    let Some(container) = main_container(spec, evidence) else { return "there is no workload".to_owned() };
    let amount = |name: &str| container["resources"][which][name].as_str().unwrap_or_default();
    amounts(amount("cpu"), amount("memory"))
}

fn budget(spec: &EnvironmentSpec) -> String {
    spec.workload.min_available.map_or(NONE.to_owned(), |least| format!("{least} available"))
}

fn seen_budget(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let budget = evidence.object("PodDisruptionBudget", &spec.workload.service);
    budget.map_or(NONE.to_owned(), |budget| format!("{} available", number(budget, "/spec/minAvailable")))
}

fn entry(spec: &EnvironmentSpec) -> String {
    let workload = &spec.workload;
    let balancers = if workload.load_balancer { "1 load balancer" } else { "0 load balancers" };
    let Some(ingress) = &workload.ingress else { return format!("{balancers}, no ingress") };
    let tls = match (spec.hardened, ingress.tls) {
        (true, _) => "TLS only",
        (false, true) => "with TLS",
        (false, false) => "without TLS",
    };
    format!("{balancers}, ingress {}, {tls}", ingress.provider)
}

fn seen_entry(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let service = &spec.workload.service;
    let balancers = match evidence.load_balancers.len() {
        1 => "1 load balancer".to_owned(),
        count => format!("{count} load balancers"),
    };
    let Some(ingress) = evidence.object("Ingress", service) else {
        return format!("{balancers}, no ingress");
    };
    let class = ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"].as_str().unwrap_or("-");
    let ports: Vec<&Value> = evidence
        .object("Service", service)
        .map(|found| list(found, "/spec/ports").iter().map(|port| &port["port"]).collect())
        .unwrap_or_default();
    let tls = match (ports.contains(&&Value::from(443)), ports.len()) {
        (true, 1) => "TLS only",
        (true, _) => "with TLS",
        (false, _) => "without TLS",
    };
    format!("{balancers}, ingress {class}, {tls}")
}

fn special(spec: &EnvironmentSpec) -> String {
    let mut parts: Vec<String> = SPECIAL_LABELS
        .iter()
        .filter_map(|key| Some(format!("{key}={}", spec.nodes.labels.get(*key)?)))
        .collect();
    if spec.observability {
        parts.extend(OBSERVABILITY.iter().map(|app| format!("{app} runs")));
    }
    listed(parts)
}

fn seen_special(evidence: &Evidence) -> String {
    let nodes = evidence.of_kind("Node");
    let labels = SPECIAL_LABELS.iter().filter_map(|key| {
        let value = joined(nodes.iter().map(|node| label(node, key)).filter(|value| !value.is_empty()));
        (value != NONE).then(|| format!("{key}={value}"))
    });
    let available = |object: &&&Value| {
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let pods = number("/status/availableReplicas").max(number("/status/numberAvailable"));
        pods > 0
    };
    let apps: Vec<&Value> =
        ["DaemonSet", "Deployment"].iter().flat_map(|kind| evidence.of_kind(kind)).collect();
    let runs = |app: &&&str| apps.iter().filter(available).any(|object| name(object).ends_with(**app));
    let running = OBSERVABILITY.iter().filter(runs).map(|app| format!("{app} runs"));
    listed(labels.chain(running).collect())
}

fn seen_approval(default: ApprovalLevel, evidence: &Evidence) -> String {
    match evidence.provision.approved_level {
        Some(level) if level >= default => approval(default),
        Some(level) => format!("level {level}"),
        None => "the votes do not verify".to_owned(),
    }
}

fn approval(default: ApprovalLevel) -> String {
    format!("level {default} or higher")
}

fn exposure(spec: &EnvironmentSpec) -> String {
    let port = spec.workload.node_port;
    match spec.hardened {
        true => format!("tcp {port}-{port}"),
        false => "tcp 30000-32767, udp 30000-32767".to_owned(),
    }
}

fn seen_exposure(evidence: &Evidence) -> String {
    let rules = evidence.security_groups.iter().flat_map(|group| list(group, "/rules"));
    let open = rules.filter(|rule| {
        rule["flow-direction"] == "ingress" && matches!(rule["network"].as_str(), Some("0.0.0.0/0" | "::/0"))
    });
    let shown: BTreeSet<String> = open
        .map(|rule| {
            let bound = |field: &str| rule[field].as_u64().map_or("any".to_owned(), |port| port.to_string());
            format!("{} {}-{}", text(rule, "/protocol"), bound("start-port"), bound("end-port"))
        })
        .collect();
    listed(shown.into_iter().collect())
}

/// Bindings that let somebody change what is in the namespace, without those
/// that every cluster has.
fn seen_rights(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let changes = |role: &str| matches!(role, "admin" | "cluster-admin" | "edit");
    let inside = evidence
        .of_kind("RoleBinding")
        .into_iter()
        .filter(|binding| text(binding, "/metadata/namespace") == spec.workload.namespace);
    let everywhere = evidence
        .of_kind("ClusterRoleBinding")
        .into_iter()
        .filter(|binding| label(binding, "kubernetes.io/bootstrapping") != "rbac-defaults");
    let shown = inside.chain(everywhere).filter_map(|binding| {
        let role = text(binding, "/roleRef/name");
        changes(role).then(|| format!("{}: {role}", name(binding)))
    });
    listed(shown.collect())
}

fn isolation(spec: &EnvironmentSpec) -> String {
    match spec.hardened {
        true => "denied by default: egress and ingress; no service account token; read-only root".to_owned(),
        false => "denied by default: ingress; no service account token".to_owned(),
    }
}

fn seen_isolation(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let policies = evidence.of_kind("NetworkPolicy");
    let denied: Vec<&str> = [("Egress", "egress"), ("Ingress", "ingress")]
        .into_iter()
        .filter(|(type_, rules)| policies.iter().any(|policy| denies_all(policy, type_, rules)))
        .map(|(_, rules)| rules)
        .collect();
    // Stricter than promised is as promised.
    let denied = match (spec.hardened, denied.as_slice()) {
        (_, []) => "nothing".to_owned(),
        (false, denied) if denied.contains(&"ingress") => "ingress".to_owned(),
        _ => denied.join(" and "),
    };
    let pod = evidence
        .object("Deployment", &spec.workload.service)
        .and_then(|found| found.pointer("/spec/template/spec"));
    let has_token = pod.is_none_or(|pod| pod["automountServiceAccountToken"] != false);
    let is_read_only = |container: &Value| container["securityContext"]["readOnlyRootFilesystem"] == true;
    let containers = pod.map_or(&[][..], |pod| list(pod, "/containers"));
    let token = if has_token { "a service account token" } else { "no service account token" };
    let shown = format!("denied by default: {denied}; {token}");
    match (spec.hardened, !containers.is_empty() && containers.iter().all(is_read_only)) {
        (false, _) => shown,
        (true, true) => format!("{shown}; read-only root"),
        (true, false) => format!("{shown}; writable root"),
    }
}

/// Whether a policy denies all traffic of a direction to or from all pods.
fn denies_all(policy: &Value, type_: &str, rules: &str) -> bool {
    let spec = &policy["spec"];
    list(spec, "/policyTypes").iter().any(|found| found == type_)
        && spec["podSelector"].as_object().is_none_or(serde_json::Map::is_empty)
        && list(spec, &format!("/{rules}")).is_empty()
}
