//! The seven templates have exactly the promised values, and templates from
//! outside are held to the same rules.

use exokit_model::ids::TemplateId;
use exokit_model::spec::{BucketAcl, EnvironmentClass, EnvironmentSpec};
use exokit_templates::{InstantiateOptions, Template, TemplateSet};
use jiff::civil::date;

fn set() -> TemplateSet {
    TemplateSet::embedded().expect("the embedded templates are good")
}

/// A specification as one line, in the order of the table of templates.
fn row(spec: &EnvironmentSpec) -> String {
    let workload = &spec.workload;
    let database = spec.database.as_ref().map_or("-".to_owned(), |database| {
        let version = database.version.as_deref().unwrap_or("default");
        format!("{} {version} {}", database.engine, database.plan)
    });
    let bucket = spec.bucket.as_ref().map_or("-".to_owned(), |bucket| {
        assert_eq!(bucket.acl, BucketAcl::Private);
        bucket.suffix.clone()
    });
    let block = spec.block_storage.as_ref().map_or("-".to_owned(), |block| {
        assert_eq!(block.storage_class, "exoscale-sbs");
        format!("{} at {}", block.size_gb, block.mount_path)
    });
    let scaling = workload.autoscaling.as_ref().map_or("-".to_owned(), |s| {
        format!("{}-{} {}/{}", s.min_replicas, s.max_replicas, s.cpu_percent, s.memory_percent)
    });
    let (limits, requests) = (&workload.resources.limits, &workload.resources.requests);
    let pdb = workload.min_available.map_or("-".to_owned(), |n| n.to_string());
    let ingress = match &workload.ingress {
        Some(ingress) if ingress.tls => "tls",
        Some(_) => "plain",
        None => "-",
    };
    format!(
        "{}x{} {} | {database} | {bucket} | {block} | {} | {}/{} | {} {scaling} | {}/{} {}/{} | {pdb} | {} {ingress}",
        spec.nodes.count,
        spec.nodes.size,
        spec.nodes.disk_gb,
        workload.namespace,
        workload.port,
        workload.node_port,
        workload.replicas,
        limits.cpu,
        limits.memory,
        requests.cpu,
        requests.memory,
        if workload.load_balancer { "nlb" } else { "-" },
    )
}

#[test]
fn the_seven_templates_have_the_promised_values() {
    let expected = [
        "1xsmall 20 | - | - | - | exo-stargate-test | 5000/30001 | 1 - | 500m/512Mi 100m/128Mi | - | - -",
        "2xsmall 30 | valkey default startup-4 | - | - | exo-stargate-orch | 8080/30002 | 2 2-8 65/75 | 800m/768Mi 150m/256Mi | 1 | nlb tls",
        "2xsmall 50 | pg 16 startup-4 | state | 10 at /data | exo-stargate-store | 5000/30003 | 2 2-6 70/80 | 1000m/1Gi 200m/256Mi | 1 | nlb tls",
        "3xlarge 100 | pg 16 startup-4 | analytics | 100 at /data | exo-stargate-compute | 5000/30004 | 3 2-15 60/70 | 2000m/4Gi 500m/1Gi | 2 | nlb tls",
        "2xsmall 30 | - | - | - | exo-stargate-security | 5000/30005 | 2 2-4 75/80 | 500m/512Mi 100m/128Mi | 1 | nlb tls",
        "2xmedium 50 | pg 16 startup-4 | telemetry | 50 at /data | exo-stargate-obs | 3000/30006 | 2 2-6 70/75 | 1500m/2Gi 300m/512Mi | 1 | nlb tls",
        "3xmedium 50 | pg 16 startup-4 | integration | 50 at /data | exo-stargate-integration | 5000/30007 | 3 3-20 65/75 | 1500m/2Gi 300m/512Mi | 2 | nlb tls",
    ];
    let set = set();
    let rows: Vec<String> = set.iter().map(|t| row(t.defaults())).collect();
    assert_eq!(rows, expected);
    let levels: Vec<u8> = set.iter().map(|t| t.level.into()).collect();
    assert_eq!(levels, [1, 1, 2, 3, 2, 2, 3]);
    for template in set.iter() {
        let spec = template.defaults();
        assert_eq!(spec.zone.as_str(), "ch-dk-2");
        assert_eq!(spec.cluster.level.to_string(), "starter");
        assert_eq!(spec.cluster.cni.to_string(), "calico");
        assert_eq!(spec.nodes.family, "standard");
        let csi = spec.cluster.addons.iter().any(|a| a.contains("storage"));
        assert_eq!(csi, spec.block_storage.is_some(), "{}", template.id);
        assert!(spec.cluster.addons.iter().any(|a| a == "metrics-server"));
        assert_eq!(spec.hardened, template.id == TemplateId(5));
        assert_eq!(spec.observability, template.id == TemplateId(6));
    }
}

#[test]
fn an_instance_is_named_labelled_and_overridden() {
    let set = set();
    let mut options = InstantiateOptions::new(date(2026, 2, 23));
    options.class = EnvironmentClass::Production;
    options.zone = Some("de-fra-1".parse().unwrap());
    options.node_count = Some(4);
    options.database_plan = Some("business-8".to_owned());
    (options.port, options.replicas) = (Some(8080), Some(3));
    options.domain = Some("a.example.org".to_owned());
    options.cert_issuer = Some("corp".to_owned());
    let spec = set.find("T3").unwrap().instantiate(&options).unwrap();
    assert_eq!(spec.environment.as_str(), "stargate-t3-20260223");
    let labels: Vec<String> = spec.nodes.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        labels,
        [
            "stargate.io/agents=librarian-performance-manager",
            "stargate.io/project=stargate-t3-20260223",
            "stargate.io/role=persistent-worker",
            "stargate.io/template=T3-persistent-store",
            "stargate.io/zone=de-fra-1",
        ]
    );
    assert_eq!(spec.nodes.count, 4);
    let workload = &spec.workload;
    assert_eq!((workload.port, workload.replicas), (8080, 3));
    assert_eq!(workload.autoscaling.as_ref().unwrap().min_replicas, 3);
    let ingress = workload.ingress.as_ref().unwrap();
    assert_eq!((ingress.tls, ingress.cert_issuer.as_deref()), (true, Some("corp")));
    let database = spec.database.unwrap();
    assert_eq!(database.plan, "business-8");
    assert!(database.termination_protection, "production is protected");
}

#[test]
fn options_that_cannot_be_are_refused_with_a_hint() {
    #[track_caller]
    fn check(template: &str, choose: impl FnOnce(&mut InstantiateOptions), why: &str, hint: &str) {
        let mut options = InstantiateOptions::new(date(2026, 2, 23));
        choose(&mut options);
        let set = set();
        let error = set.find(template).unwrap().instantiate(&options).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }
    check("T1", |o| o.database_plan = Some("startup-4".into()), "T1 has no database", "leave");
    check("T3", |o| o.database_plan = Some("startpu-4".into()), "unknown plan", "startup");
    check("T1", |o| o.node_size = Some("tiny".into()), "no size \"tiny\"", "small");
    check("T1", |o| o.node_count = Some(0), "0 is not from 1 to", "number");
    check("T1", |o| o.block_storage_gb = Some(5), "no block storage", "leave");
    check("T1", |o| o.domain = Some("a.example.org".into()), "no ingress", "leave");
    check("T7", |o| o.cert_issuer = Some("corp".into()), "needs a host name", "domain");
    check("T1", |o| o.port = Some(0), "0 is not from 1 to 65535", "number");
    check("T7", |o| o.replicas = Some(1), "fewer than the 2", "more");
    check("T3", |o| o.replicas = Some(900), "more than the", "fewer");
    check("T3", |o| o.image = Some("a b".into()), "not a container image", "user/service");
    check("T3", |o| o.project = Some("a\u{202e}b".into()), "not a name", "visible");
}

#[test]
fn a_directory_overrides_and_adds() {
    let t1 = include_str!("../../../../templates/T1-minimal-test.yaml");
    let changed = t1.replace("node_count: 1", "node_count: 2");
    let added = t1.replace("id: T1", "id: T8").replace("minimal-test", "mine");
    let set = TemplateSet::with_overrides([("T1.yaml", &changed), ("T8-mine.yaml", &added)]);
    let set = set.unwrap();
    assert_eq!(set.iter().count(), 8);
    assert_eq!(set.find("t1").unwrap().defaults().nodes.count, 2);
    assert_eq!(set.find("mine").unwrap().id, TemplateId(8));
    let embedded = TemplateSet::embedded().unwrap();
    let digest = |set: &TemplateSet, id| set.get(TemplateId(id)).unwrap().digest();
    assert_ne!(digest(&set, 1), digest(&embedded, 1));
    assert_eq!(digest(&set, 2), digest(&embedded, 2));
    let twice = TemplateSet::with_overrides([("a.yaml", t1), ("b.yaml", t1)]).unwrap_err();
    assert_eq!(twice.to_string(), "a.yaml and b.yaml both describe template T1");
}

#[test]
fn a_missing_template_is_answered_with_the_nearest() {
    let set = set();
    for (wanted, hint) in [
        ("T9", "T1-minimal-test"),
        ("persistant-store", "did you mean persistent-store?"),
        ("observabilty", "did you mean observability?"),
        ("", "use one of"),
    ] {
        let error = set.find(wanted).unwrap_err();
        assert!(error.hint().contains(hint), "{wanted}: {}", error.hint());
    }
}

#[test]
fn a_template_must_be_complete_and_right() {
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str, hint: &str) {
        let text = include_str!("../../../../templates/T3-persistent-store.yaml");
        assert!(text.contains(from), "{from}");
        let error = Template::decode("T3.yaml", &text.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }
    check(
        "node_type_size: small",
        "node_type_size: tiny",
        "node_type_size: \"tiny\" is not right",
        "write small",
    );
    check(
        "node_type_size: small",
        "node_type_size: smal",
        "family standard has no size \"smal\"",
        "did you mean small?",
    );
    check("node_count: 2", "node_cuont: 2", "the nearest known one is node_count", "node_count");
    check("node_count: 2\n", "", "node_count: this key is missing", "state it");
    check(
        "node_count: 2",
        "node_count: '2'",
        "expected a whole number, found the text \"2\"",
        "without quotes",
    );
    check(
        "ch-dk-2",
        "ch-dk-3",
        "T3.yaml:22:16: exoscale_zone: unknown value \"ch-dk-3\"",
        "did you mean ch-dk-2?",
    );
    check("type: pg", "type: redis", "database.type: \"redis\" is not right", "write valkey");
    check("class: exoscale-sbs", "class: exoscale-ssd", "never had", "exoscale-sbs");
    check("  - exoscale-container-storage-interface\n", "", "it makes the block storage", "write");
    check("level: 2", "level: 4", "approval level", "1, 2 or 3");
    check("id: T3", "id: X3", "not a valid template", "T and a number");
    check("memory: 256Mi", "memory: 2Gi", "the limit is below the request", "raise");
    check("template:", "templates:", "unknown key; the nearest known one is template", "template");
    check("cpu: 200m", "cpu: 200x", "resources.requests.cpu: \"200x\" is not an amount", "500m");
    check("min_replicas: 2", "min_replicas: 9", "6 is less than min_replicas, 9", "raise");
    check("enabled: true", "enabled: yes", "expected true or false, found the text \"yes\"", "true or false");
}
