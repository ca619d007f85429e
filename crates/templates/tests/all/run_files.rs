//! Run files of the earlier kit are read as they were meant, and every change
//! is reported.

use exokit_model::ids::TemplateId;
use exokit_templates::{DecodeError, RunFile, TemplateSet};

fn decode(text: &str, lenient: bool) -> Result<RunFile, DecodeError> {
    let set = TemplateSet::embedded().expect("the embedded templates are good");
    RunFile::decode("run.yaml", text, &set, lenient)
}

/// The corrections as `field: from -> to`.
fn corrections(run: &RunFile) -> Vec<String> {
    run.corrections.iter().map(|c| format!("{}: {} -> {}", c.field, c.from, c.to)).collect()
}

const MANAGED_BY: &str = "node_labels.labels.app.kubernetes.io/managed-by: exoscale-deploy-kit -> left out";
const CLASS: &str = "block_storage.storage_class: exoscale-ssd -> exoscale-sbs";
const INGRESS: &str = "ingress.provider: nginx -> traefik";
const CSI: &str = "sks_addons: exoscale-cloud-controller, metrics-server -> exoscale-cloud-controller, metrics-server, exoscale-container-storage-interface";

#[test]
fn the_seven_runs_equal_their_templates_after_correction() {
    #[track_caller]
    fn check(number: u16, text: &str, expected: &[&str]) {
        let run = decode(text, false).unwrap();
        assert_eq!(run.nearest, TemplateId(number));
        assert_eq!(run.spec.template, TemplateId(number));
        assert_eq!(run.differs, []);
        assert_eq!(run.ignored, []);
        let name = format!("stargate-t{number}-20260223");
        assert_eq!(run.spec.environment.as_str(), name);
        assert_eq!(corrections(&run), expected);
    }
    check(
        1,
        include_str!("../../../../runs/T1-20260223.yaml"),
        &[
            "sks_addons: metrics-server -> metrics-server, exoscale-cloud-controller",
            MANAGED_BY,
            "node_type_size: tiny -> small",
        ],
    );
    check(
        2,
        include_str!("../../../../runs/T2-20260223.yaml"),
        &[MANAGED_BY, "database.type: redis -> valkey", "database.version: 7 -> left out", INGRESS],
    );
    check(
        3,
        include_str!("../../../../runs/T3-20260223.yaml"),
        &[
            CLASS,
            CSI,
            "node_labels.labels.stargate.io/agents: librarian,performance-manager -> librarian-performance-manager",
            MANAGED_BY,
            INGRESS,
        ],
    );
    check(4, include_str!("../../../../runs/T4-20260223.yaml"), &[CLASS, CSI, MANAGED_BY, INGRESS]);
    check(5, include_str!("../../../../runs/T5-20260223.yaml"), &[MANAGED_BY, INGRESS]);
    check(
        6,
        include_str!("../../../../runs/T6-20260223.yaml"),
        &[
            CLASS,
            CSI,
            MANAGED_BY,
            INGRESS,
            "node_labels.labels.stargate.io/template: room for monitoring -> monitoring that runs",
        ],
    );
    check(7, include_str!("../../../../runs/T7-20260223.yaml"), &[CLASS, CSI, MANAGED_BY, INGRESS]);
}

#[test]
fn what_is_left_out_has_a_default() {
    let run = decode("project_name: My Project", false).unwrap();
    assert_eq!(run.spec.environment.as_str(), "my-project");
    assert_eq!(run.spec.project, "My Project");
    assert_eq!(run.nearest, TemplateId(1));
    assert_eq!(corrections(&run), ["project_name: My Project -> my-project"]);
    let differs: Vec<&str> = run.differs.iter().map(|d| d.field.as_str()).collect();
    assert_eq!(differs, ["k8s_namespace"]);
    assert_eq!(run.spec.workload.namespace, "exo-my-project");
    let labels: Vec<&str> = run.spec.nodes.labels.keys().map(String::as_str).collect();
    assert_eq!(
        labels,
        ["stargate.io/project", "stargate.io/role", "stargate.io/template", "stargate.io/zone"]
    );
}

#[test]
fn values_are_read_as_the_kit_meant_them() {
    #[track_caller]
    fn check(yaml: &str, found: impl FnOnce(RunFile) -> String, expected: &str) {
        let run = decode(&format!("project_name: p\n{yaml}"), false).unwrap();
        assert_eq!(found(run), expected, "{yaml}");
    }
    let cpu = |run: RunFile| run.spec.workload.resources.limits.cpu;
    let memory = |run: RunFile| run.spec.workload.resources.limits.memory;
    let image = |run: RunFile| run.spec.workload.image;
    let database = |run: RunFile| format!("{:?}", run.spec.database.map(|d| (d.engine, d.version)));
    check("resources: {limits: {cpu: '200'}}", cpu, "200m");
    check("resources: {limits: {cpu: 200}}", cpu, "200m");
    check("resources: {limits: {memory: '256'}}", memory, "256Mi");
    check("resources: {limits: {memory: 1024}}", memory, "1Gi");
    check("docker_hub_user: u\nservice_name: s\nservice_version: '1'", image, "u/s:1");
    check("docker_hub_user: u\nservice_name: s\nservice_version: 1.10", image, "u/s:1.10");
    check("database: {type: postgres, version: 16}", database, "Some((Pg, Some(\"16\")))");
    check("database: {enabled: false, type: mysql}", database, "None");
    check("database: {type: redis, version: 7}", database, "Some((Valkey, None))");
    check("node_labels: {enabled: true, labels: {agents: 'a, b'}}", |run| run.spec.agents.join("+"), "a+b");
    check("sks_level: pro", |run| run.spec.cluster.level.to_string(), "pro");
}

#[track_caller]
fn check_refused(yaml: &str, expected: &str, hint: &str) {
    let Err(error) = decode(yaml, false) else { panic!("{yaml:?} is accepted") };
    assert!(error.to_string().contains(expected), "{yaml:?}: {error}");
    assert!(error.hint().contains(hint), "{yaml:?}: {}", error.hint());
}

#[test]
fn what_would_harm_or_miss_the_cluster_is_refused() {
    for of_the_cluster in ["default", "kube-system"] {
        let yaml = format!("project_name: p\nk8s_namespace: {of_the_cluster}");
        check_refused(&yaml, "run.yaml:2:16: k8s_namespace: ", "name of its own");
    }
    let issuer = "project_name: p\ningress: {enabled: true, cert_issuer: corp}";
    check_refused(issuer, "an issuer takes a domain and `tls: true`", "add them");
}

#[test]
fn what_cannot_be_used_is_refused_at_its_place() {
    let check = check_refused;
    check("{}", "project_name: this key is missing", "state it");
    check("[]", "expected a mapping, found a list", "project_name");
    check("", "expected a mapping, found nothing", "project_name");
    check("project_name: 1st", "run.yaml:1:15: project_name: \"1st\"", "starting with a letter");
    check("project_name: '!!!'", "\"\" is not a valid environment name", "1 to 40");
    check(&format!("project_name: {}", "a".repeat(41)), "not a valid environment name", "1 to 40");
    check(
        "project_name: p\nnode_cout: 2",
        "run.yaml:2:1: node_cout: unknown key; the nearest known one is node_count",
        "leniently",
    );
    check(
        "project_name: p\ndatabase: {tpye: pg}",
        "run.yaml:2:12: database.tpye: unknown key; the nearest known one is database.type",
        "type",
    );
    check(
        "project_name: p\ndatabase: {type: mysql}",
        "run.yaml:2:18: database.type: mysql is refused: no template offers it",
        "pg or valkey",
    );
    check("project_name: p\ndatabase: {enabled: true}", "database.type: this key is missing", "state it");
    check(
        "project_name: p\nnode_count: two",
        "run.yaml:2:13: node_count: expected a whole number, found the text \"two\"",
        "without quotes",
    );
    check("project_name: p\nnode_count: 2.5", "found the number 2.5", "number");
    check("project_name: p\nnode_count: -1", "found the number -1", "number");
    check("project_name: p\nnode_count: 5000", "5000 is not from 1 to 100", "number");
    check("project_name: p\nnode_disk_gb: 19", "19 is not from 20 to 51200", "number");
    check("project_name: p\nnode_type_family: gpu3", "family gpu3 are not offered", "standard");
    check("project_name: p\nnode_type_size: gigantic", "no size \"gigantic\"", "small");
    check("project_name: p\nk8s_nodeport: 8080", "8080 is not from 30000 to 32767", "number");
    check("project_name: p\nexoscale_zone: ch-dk2", "unknown value", "did you mean ch-dk-2?");
    check("project_name: p\nsks_addons: metrics-server", "expected a list", "hyphen");
    check(
        "project_name: p\nsks_addons: [metric-server]",
        "run.yaml:2:14: sks_addons: unknown value",
        "metrics-server",
    );
    check(
        "project_name: p\nload_balancer: {enabled: true, type: alb}",
        "load_balancer.type: unknown value \"alb\"",
        "nlb",
    );
    check("project_name: p\nload_balancer: true", "load_balancer: expected a mapping, found true", "enabled");
    check("project_name: p\nobject_storage: {bucket_name: much-too-long}", "13 characters", "at most 11");
    check("project_name: p\nobject_storage: {bucket_name: State}", "not a name", "lower-case");
    check(
        "project_name: p\nblock_storage: {access_mode: ReadWriteMany}",
        "several nodes",
        "one node at a time",
    );
    check("project_name: p\nservice_name: 'a b'", "not a name that Kubernetes accepts", "lower-case");
    check("project_name: p\nenvironment: prod", "unknown value \"prod\"", "production");
    check("project_name: p\nproject_name: q", "run.yaml:2:1: ", "repeated keys");
}

#[test]
fn unknown_keys_can_be_ignored_but_not_silently() {
    let text = "project_name: p\nextra: 1\ndatabase: {type: pg, persist_on_teardown: true}";
    let run = decode(text, true).unwrap();
    let ignored: Vec<String> =
        run.ignored.iter().map(|key| format!("{} {}:{}", key.key, key.line, key.column)).collect();
    assert_eq!(ignored, ["extra 2:1", "database.persist_on_teardown 3:22"]);
    assert!(decode(text, false).is_err());
}

#[test]
fn the_nearest_template_is_named_with_what_differs() {
    let text = include_str!("../../../../runs/T4-20260223.yaml")
        .replace("node_count: 3", "node_count: 5")
        .replace("size_gb: 100", "size_gb: 200");
    let run = decode(&text, false).unwrap();
    assert_eq!(run.nearest, TemplateId(4));
    let differs: Vec<String> =
        run.differs.iter().map(|d| format!("{}: {} -> {}", d.field, d.template, d.environment)).collect();
    assert_eq!(
        differs,
        [
            "node_count: 3 -> 5",
            "block_storage: 100 GiB exoscale-sbs ReadWriteOnce at /data -> 200 GiB exoscale-sbs ReadWriteOnce at /data",
        ]
    );
}
