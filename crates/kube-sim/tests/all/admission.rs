//! Pod security, quotas and limits.

use crate::fixture::{CLAIMS, PODS, SERVICES, World, deployment};
use serde_json::{Value, json};

fn pod(name: &str, container: &Value) -> Value {
    let mut body =
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "x:1"}]}});
    for (field, value) in container.as_object().unwrap() {
        body["spec"]["containers"][0][field] = value.clone();
    }
    body
}

#[test]
fn levels_of_pod_security_are_enforced_on_pods_and_warned_of_on_workloads() {
    let mut world = World::with_nodes(1);
    let good = json!({"securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    }});
    let violation = "allowPrivilegeEscalation != false (container \"main\" must set \
        securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"main\" must set \
        securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"main\" must set \
        securityContext.runAsNonRoot=true), seccompProfile (pod or container \"main\" must set \
        securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    let privileged = json!({"securityContext": {"privileged": true}});
    let port = json!({"ports": [{"containerPort": 80, "hostPort": 80}]});
    let add = json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}});
    let restricted =
        format!("pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": {violation}");
    let baseline = "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": ";
    let cases = [
        ("privileged", json!({}), String::new()),
        ("baseline", json!({}), String::new()),
        ("restricted", good.clone(), String::new()),
        ("restricted", json!({}), restricted.clone()),
        (
            "baseline",
            privileged,
            format!("{baseline}privileged (container \"main\" must not set securityContext.privileged=true)"),
        ),
        ("baseline", port, format!("{baseline}hostPort (container \"main\" uses hostPort 80)")),
        (
            "baseline",
            add,
            format!(
                "{baseline}non-default capabilities (container \"main\" must not include \"SYS_ADMIN\" in securityContext.capabilities.add)"
            ),
        ),
    ];
    for (level, container, message) in cases {
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
        world.patch("merge", "/api/v1/namespaces/default", &labels);
        let got = world.post(&format!("{PODS}?dryRun=All"), &pod("p", &container));
        assert_eq!(got.message(), message, "{level} {container}");
        assert_eq!(got.code, if message.is_empty() { 201 } else { 403 });
    }
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    world.patch("merge", "/api/v1/namespaces/default", &labels);
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    let got = world.apply(path, &deployment("web", 1, "nginx:1"));
    assert_eq!(got.code, 201);
    let warning =
        format!("would violate PodSecurity \"restricted:latest\": {violation}").replace('"', "\\\"");
    assert_eq!(got.warnings, [format!("299 - \"{warning}\"")]);
    world.run(5000);
    let got = world.get(path).body;
    let conditions = got["status"]["conditions"].as_array().unwrap();
    let failure = conditions.iter().find(|c| c["type"] == "ReplicaFailure").unwrap();
    assert_eq!(failure["reason"], "FailedCreate");
    assert!(failure["message"].as_str().unwrap().contains("violates PodSecurity"), "{failure}");
}

#[test]
fn quotas_refuse_what_exceeds_them_and_count_what_is_used() {
    let mut world = World::with_nodes(1);
    let hard = json!({
        "pods": "2", "requests.cpu": "1", "limits.memory": "1Gi", "services.loadbalancers": "1",
        "services.nodeports": "1", "persistentvolumeclaims": "1", "requests.storage": "10Gi",
    });
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    assert_eq!(world.post(quotas, &json!({"metadata": {"name": "q"}, "spec": {"hard": hard}})).code, 201);
    world.run(100);
    let sized = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}, "limits": {"memory": "256Mi"}}});
    let got = world.post(PODS, &pod("p", &json!({})));
    assert_eq!(got.code, 403);
    assert_eq!(
        got.message(),
        "pods \"p\" is forbidden: failed quota: q: must specify limits.memory for: main; requests.cpu for: main"
    );
    assert_eq!(world.post(PODS, &pod("p", &sized("600m"))).code, 201);
    let got = world.post(PODS, &pod("o", &sized("500m")));
    assert_eq!(
        (got.code, got.message()),
        (
            403,
            "pods \"o\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1"
        )
    );
    let service = |name: &str| json!({"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    assert_eq!(world.post(SERVICES, &service("a")).code, 201);
    let got = world.post(SERVICES, &service("b"));
    assert_eq!(
        got.message(),
        "services \"b\" is forbidden: exceeded quota: q, requested: services.loadbalancers=1,services.nodeports=1, \
         used: services.loadbalancers=1,services.nodeports=1, limited: services.loadbalancers=1,services.nodeports=1"
    );
    let claim = |size: &str| json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}});
    let got = world.post(CLAIMS, &claim("11Gi"));
    assert_eq!(
        got.message(),
        "persistentvolumeclaims \"c\" is forbidden: exceeded quota: q, requested: requests.storage=11Gi, \
         used: requests.storage=0, limited: requests.storage=10Gi"
    );
    assert_eq!(world.post(CLAIMS, &claim("10Gi")).code, 201);
    world.run(1000);
    let used = world.get(&format!("{quotas}/q")).body["status"]["used"].clone();
    assert_eq!(
        used,
        json!({
            "pods": "1", "requests.cpu": "600m", "limits.memory": "256Mi", "services.loadbalancers": "1",
            "services.nodeports": "1", "persistentvolumeclaims": "1", "requests.storage": "10Gi",
        })
    );
    world.delete(&format!("{PODS}/p"));
    world.run(5000);
    assert_eq!(world.get(&format!("{quotas}/q")).body["status"]["used"]["requests.cpu"], "0");
}

#[test]
fn limit_ranges_fill_in_and_bound() {
    let mut world = World::new();
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "5Gi"}},
    ]}});
    let got = world.post("/api/v1/namespaces/default/limitranges", &range);
    assert_eq!(got.code, 201, "{}", got.body);
    let got = world.post(PODS, &pod("p", &json!({})));
    assert_eq!(
        got.body["spec"]["containers"][0]["resources"],
        json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}})
    );
    let got = world.post(PODS, &pod("o", &json!({"resources": {"limits": {"cpu": "2"}}})));
    assert_eq!(
        (got.code, got.message()),
        (403, "pods \"o\" is forbidden: maximum cpu usage per Container is 1, but limit is 2")
    );
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "6Gi"}}}});
    let got = world.post(CLAIMS, &claim);
    assert_eq!(
        got.message(),
        "persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"
    );
}

#[test]
fn defaults_are_written_into_objects() {
    let mut world = World::new();
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "main", "image": "x", "ports": [{"containerPort": 80}], "livenessProbe": {"tcpSocket": {"port": 80}}}]},
            },
        },
    });
    let got = world.apply("/apis/apps/v1/namespaces/default/deployments/web", &body);
    let spec = &got.body["spec"];
    let template = &spec["template"]["spec"];
    for (actual, expected) in [
        (&spec["replicas"], json!(1)),
        (
            &spec["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
        ),
        (&spec["revisionHistoryLimit"], json!(10)),
        (&spec["progressDeadlineSeconds"], json!(600)),
        (&template["restartPolicy"], json!("Always")),
        (&template["dnsPolicy"], json!("ClusterFirst")),
        (&template["terminationGracePeriodSeconds"], json!(30)),
        (&template["schedulerName"], json!("default-scheduler")),
        (&template["securityContext"], json!({})),
        (&template["containers"][0]["imagePullPolicy"], json!("Always")),
        (&template["containers"][0]["resources"], json!({})),
        (&template["containers"][0]["ports"][0]["protocol"], json!("TCP")),
        (&template["containers"][0]["livenessProbe"]["periodSeconds"], json!(10)),
    ] {
        assert_eq!(*actual, expected, "{spec}");
    }
    let got = world.post(SERVICES, &json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}));
    let address = got.body["spec"]["clusterIP"].clone();
    assert_eq!(
        got.body["spec"],
        json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        })
    );
    let got = world.post(CLAIMS, &json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}));
    assert_eq!(got.body["spec"]["storageClassName"], "exoscale-sbs");
    assert_eq!(got.body["spec"]["volumeMode"], "Filesystem");
}
