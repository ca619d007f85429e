//! Each kind of resource through its life, and what it refuses.

use crate::common::{Bench, MEGA, SMALL, T0, TINY, cluster_body, signed};
use exokit_sim::{Config, Effect, Kind, LatencyTable, Outcome, Policies, World};
use serde_json::{Value, json};

#[test]
fn a_cluster_takes_its_time_and_shows_its_reference_at_once() {
    let mut bench = Bench::fixed();
    let (status, operation) = bench.call("POST", "/sks-cluster", cluster_body("c"));
    assert_eq!((status, &operation["state"]), (200, &json!("pending")));
    let id = operation["reference"]["id"].as_str().unwrap().to_owned();
    assert_ne!(operation["id"], operation["reference"]["id"]);
    assert_eq!(operation["reference"]["link"], format!("/v2/sks-cluster/{id}"));
    assert_eq!(operation["reference"]["command"], "get-sks-cluster");
    let latency = bench.world.config().latency_of("create-sks-cluster");
    assert_eq!(latency.as_secs(), 118);
    bench.wait_ms(117_999);
    assert_eq!(bench.get(&format!("/sks-cluster/{id}"))["state"], "creating");
    bench.wait_ms(1);
    let cluster = bench.get(&format!("/sks-cluster/{id}"));
    assert_eq!(cluster["state"], "running");
    assert_eq!(cluster["endpoint"], format!("{id}.sks-ch-dk-2.exo.io"));
    let path = format!("/operation/{}", operation["id"].as_str().unwrap());
    assert_eq!(bench.get(&path)["state"], "success");
}

#[test]
fn nodes_come_after_the_operation_and_linger_after_deletion() {
    let mut bench = Bench::fixed();
    let group = bench.done("POST", "/security-group", json!({"name": "g"}));
    let cluster = bench.cluster("c");
    let pool = bench
        .nodepool(&cluster, json!({"size": 2, "security-groups": [{"id": group}], "labels": {"a": "b"}}));
    let machines = bench.get("/instance");
    assert_eq!(machines["instances"].as_array().unwrap().len(), 2);
    assert_eq!(machines["instances"][0]["state"], "starting");
    bench.wait_ms(60_000);
    assert_eq!(bench.get("/instance")["instances"][0]["state"], "running");
    let embedded = bench.get(&format!("/sks-cluster/{cluster}"));
    assert_eq!(embedded["nodepools"][0]["labels"], json!({"a": "b"}));

    let path = format!("/sks-cluster/{cluster}");
    assert_eq!(bench.call("DELETE", &path, Value::Null).0, 400);
    bench.done("DELETE", &format!("{path}/nodepool/{pool}"), Value::Null);
    bench.done("DELETE", &path, Value::Null);
    let group_path = format!("/security-group/{group}");
    assert_eq!(bench.call("DELETE", &group_path, Value::Null).0, 409);
    assert_eq!(bench.get("/instance")["instances"][0]["state"], "destroying");
    bench.wait_ms(460_000);
    bench.done("DELETE", &group_path, Value::Null);
    assert!(bench.world.live().is_empty(), "{:?}", bench.world.live());
}

/// Method, path, body, expected status, part of the message.
type Case = (&'static str, &'static str, Value, u16, &'static str);

/// A nodepool of one small node, with these fields.
fn nodepool(extra: Value) -> Value {
    let small = json!({"id": SMALL});
    with(json!({"name": "p", "size": 1, "disk-size": 20, "instance-type": small}), extra)
}

/// A rule for TCP, with these fields.
fn rule(extra: Value) -> Value {
    with(json!({"flow-direction": "ingress", "protocol": "tcp"}), extra)
}

fn with(mut doc: Value, extra: Value) -> Value {
    for (key, value) in extra.as_object().unwrap() {
        doc[key] = value.clone();
    }
    doc
}

fn compute_refusals() -> Vec<Case> {
    let strange = json!([{"id": "00000000-0000-4000-8000-000000000000"}]);
    let reserved = json!({"labels": {"app.kubernetes.io/managed-by": "x"}});
    vec![
        ("POST", "/sks-cluster", json!({"name": "x", "version": "1.35.1"}), 400, "missing keys 'level'"),
        ("POST", "/sks-cluster", json!({"name": "x", "version": "9", "level": "pro"}), 400, "version"),
        (
            "POST",
            "/sks-cluster/{c}/nodepool",
            nodepool(json!({"instance-type": {"id": TINY}})),
            409,
            "at least small",
        ),
        (
            "POST",
            "/sks-cluster/{c}/nodepool",
            nodepool(json!({"instance-type": {"id": MEGA}})),
            403,
            "not authorized",
        ),
        ("POST", "/sks-cluster/{c}/nodepool", nodepool(json!({"name": "Upper_Case"})), 400, "lower case"),
        ("POST", "/sks-cluster/{c}/nodepool", nodepool(reserved), 400, "reserved"),
        (
            "POST",
            "/sks-cluster/{c}/nodepool",
            nodepool(json!({"labels": {"a": "b c"}})),
            400,
            "invalid value",
        ),
        (
            "POST",
            "/sks-cluster/{c}/nodepool",
            nodepool(json!({"security-groups": strange})),
            500,
            "security-group",
        ),
        ("POST", "/sks-cluster-kubeconfig/{c}", json!({"user": "u"}), 400, "missing keys 'groups'"),
        (
            "POST",
            "/sks-cluster-kubeconfig/{c}",
            json!({"user": "u", "groups": [], "ttl": i64::MAX}),
            400,
            "'ttl' is out of range",
        ),
        ("POST", "/security-group", json!({"name": "default"}), 409, "already exists"),
        ("POST", "/security-group/{g}/rules", rule(json!({"network": "0.0.0.0/0"})), 400, "start-port"),
        (
            "POST",
            "/security-group/{g}/rules",
            rule(json!({"start-port": 1, "end-port": 1})),
            400,
            "exactly one",
        ),
        (
            "POST",
            "/security-group/{g}/rules",
            rule(json!({"start-port": 0, "end-port": 1, "network": "0.0.0.0/0"})),
            400,
            "out of range",
        ),
        (
            "POST",
            "/security-group/{g}/rules",
            rule(json!({"start-port": 1, "end-port": 1, "network": "here"})),
            400,
            "CIDR",
        ),
    ]
}

fn account_refusals() -> Vec<Case> {
    vec![
        ("POST", "/dbaas-postgres/db", json!({"plan": "startup-4", "version": "9"}), 403, "denied"),
        ("POST", "/dbaas-postgres/db", json!({"plan": "startup-5"}), 403, "denied"),
        ("POST", "/dbaas-postgres/taken", json!({"plan": "startup-4"}), 409, "already taken"),
        ("POST", "/dbaas-valkey/taken", json!({"plan": "startup-4"}), 409, "already taken"),
        ("DELETE", "/dbaas-postgres/taken", Value::Null, 403, "protected"),
        ("GET", "/dbaas-valkey/taken", Value::Null, 404, "not found"),
        (
            "POST",
            "/api-key",
            json!({"name": "k", "role-id": "00000000-0000-4000-8000-000000000000"}),
            404,
            "iam-role",
        ),
        (
            "POST",
            "/iam-role",
            json!({"name": "r", "policy": {"default-service-strategy": "deny", "services": {"sos": {"type": "rules", "rules": [{"action": "allow", "expression": "size(x) > 1"}]}}}}),
            400,
            "not simulated",
        ),
        ("GET", "/security-group/nothing", Value::Null, 404, "not found"),
        ("GET", "/operation/nothing", Value::Null, 404, "not found"),
        ("GET", "/kms-key", Value::Null, 501, "not simulated"),
        ("GET", "/nonsense", Value::Null, 404, "not found"),
        ("POST", "/zone", Value::Null, 405, "method"),
    ]
}

#[test]
fn refusals_say_why() {
    let mut bench = Bench::fixed();
    let cluster = bench.cluster("c");
    let group = bench.done("POST", "/security-group", json!({"name": "g"}));
    let database = json!({"plan": "startup-4", "version": "16", "termination-protection": true});
    bench.done("POST", "/dbaas-postgres/taken", database);
    let before = bench.world.live();
    for (method, path, body, status, text) in compute_refusals().into_iter().chain(account_refusals()) {
        let path = path.replace("{c}", &cluster).replace("{g}", &group);
        let (got, doc) = bench.call(method, &path, body);
        assert_eq!(got, status, "{method} {path}: {doc}");
        let message = doc["message"].as_str().unwrap();
        assert!(message.contains(text), "{method} {path}: {message}");
    }
    assert_eq!(bench.world.live(), before, "a refusal must not change anything");
}

#[test]
fn quotas_are_enforced() {
    let mut bench = Bench::fixed();
    for number in 0..5 {
        bench.done("POST", "/load-balancer", json!({"name": format!("n{number}")}));
    }
    let (status, doc) = bench.call("POST", "/load-balancer", json!({"name": "n6"}));
    assert_eq!(status, 409, "{doc}");
    let quota = bench.get("/quota/network-load-balancer");
    assert_eq!((&quota["usage"], &quota["limit"]), (&json!(5), &json!(5)));
    let cluster = bench.cluster("c");
    let body = json!({"name": "p", "size": 21, "disk-size": 20, "instance-type": {"id": SMALL}});
    let path = format!("/sks-cluster/{cluster}/nodepool");
    assert_eq!(bench.call("POST", &path, body).0, 409);
}

#[test]
fn a_balancer_locks_its_pool_in_both_ways() {
    for refuses in [true, false] {
        let mut bench = Bench::new(Config {
            latency: LatencyTable::fixed(),
            policies: Policies { pool_lock_refuses: refuses, ..Policies::default() },
            ..Config::default()
        });
        let cluster = bench.cluster("c");
        let pool = bench.nodepool(&cluster, json!({}));
        let path = format!("/sks-cluster/{cluster}/nodepool/{pool}");
        let behind = bench.get(&path)["instance-pool"]["id"].as_str().unwrap().to_owned();
        let balancer = bench.world.plant_load_balancer("k8s-uid", &behind, "ch-dk-2");
        let (status, doc) = bench.call("DELETE", &path, Value::Null);
        if refuses {
            assert_eq!(status, 409);
            assert!(doc["message"].as_str().unwrap().contains("forbidden"));
        } else {
            assert_eq!(status, 200);
            bench.wait_ms(60_000);
            let path = format!("/operation/{}", doc["id"].as_str().unwrap());
            let operation = bench.get(&path);
            assert_eq!(operation["state"], "failure");
            assert!(operation["message"].as_str().unwrap().contains(&balancer));
        }
        bench.done("DELETE", &format!("/load-balancer/{balancer}"), Value::Null);
        bench.done("DELETE", &path, Value::Null);
    }
}

#[test]
fn an_empty_group_has_no_rules_key_and_rule_operations_refer_to_the_group() {
    let mut bench = Bench::fixed();
    let group = bench.done("POST", "/security-group", json!({"name": "g"}));
    let path = format!("/security-group/{group}");
    assert!(bench.get(&path).get("rules").is_none());
    let rule = json!({"flow-direction": "ingress", "protocol": "tcp", "start-port": 1,
        "end-port": 2, "network": "0.0.0.0/0", "description": "d"});
    assert_eq!(bench.done("POST", &format!("{path}/rules"), rule), group);
    let rule = bench.get(&path)["rules"][0]["id"].as_str().unwrap().to_owned();
    assert!(bench.world.live().iter().any(|r| r.kind == Kind::SecurityGroupRule && r.id == rule));
    bench.done("DELETE", &format!("{path}/rules/{rule}"), Value::Null);
    assert!(bench.get(&path).get("rules").is_none());
    let public = bench.get("/security-group?visibility=public");
    assert_eq!(public["security-groups"].as_array().unwrap().len(), 2);
}

#[test]
fn a_default_security_group_joins_every_nodepool() {
    let mut bench = Bench::fixed();
    let mut body = cluster_body("c");
    body["create-default-security-group"] = json!(true);
    let cluster = bench.done("POST", "/sks-cluster", body);
    let group = bench.get(&format!("/sks-cluster/{cluster}"))["default-security-group-id"].clone();
    let pool = bench.nodepool(&cluster, json!({}));
    let doc = bench.get(&format!("/sks-cluster/{cluster}/nodepool/{pool}"));
    assert_eq!(doc["security-groups"][0]["id"], group);
}

#[test]
fn an_update_may_never_finish_but_its_cluster_does() {
    let mut bench = Bench::fixed();
    let cluster = bench.cluster("c");
    bench.world.reconfigure(|c| c.policies.update_sks_cluster_never_finishes = true);
    let path = format!("/sks-cluster/{cluster}");
    let (_, operation) = bench.call("PUT", &path, json!({"description": "new"}));
    bench.wait_ms(86_400_000);
    assert_eq!(bench.get(&path)["state"], "running");
    let operation = format!("/operation/{}", operation["id"].as_str().unwrap());
    assert_eq!(bench.get(&operation)["state"], "pending");
}

#[test]
fn volumes_attach_and_refuse_deletion_meanwhile() {
    let mut bench = Bench::fixed();
    let cluster = bench.cluster("c");
    bench.nodepool(&cluster, json!({}));
    let vm = bench.get("/instance")["instances"][0]["id"].clone();
    let volume = bench.done("POST", "/block-storage", json!({"name": "v", "size": 10}));
    let path = format!("/block-storage/{volume}");
    bench.done("PUT", &format!("{path}:attach"), json!({"instance": {"id": vm}}));
    assert_eq!(bench.call("DELETE", &path, Value::Null).0, 412);
    bench.done("PUT", &format!("{path}:detach"), Value::Null);
    let snapshot = bench.done("POST", &format!("{path}:create-snapshot"), Value::Null);
    bench.done("DELETE", &format!("/block-storage-snapshot/{snapshot}"), Value::Null);
    bench.done("DELETE", &path, Value::Null);
}

#[test]
fn keys_are_limited_by_their_role_and_die_at_once() {
    let mut bench = Bench::fixed();
    let policy = json!({"default-service-strategy": "deny", "services": {
        "compute": {"type": "rules", "rules": [
            {"action": "allow", "expression": "operation in ['list-sks-clusters']"}]}}});
    let role = bench.done("POST", "/iam-role", json!({"name": "r", "policy": policy}));
    let (_, key) = bench.call("POST", "/api-key", json!({"name": "k", "role-id": role}));
    let pair = (key["key"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let expires = T0 / 1000 + 600;
    let status = |bench: &mut Bench, path: &str| {
        let request = signed(pair, "ch-dk-2", "GET", path, &Value::Null, expires);
        match bench.world.handle(bench.now, &request) {
            Outcome::Reply(reply) => reply.status().as_u16(),
            Outcome::Drop | Outcome::Unreachable => 0,
        }
    };
    assert_eq!(status(&mut bench, "/sks-cluster"), 200);
    assert_eq!(status(&mut bench, "/instance"), 403);
    assert_eq!(status(&mut bench, "/api-key"), 403);
    let path = format!("/iam-role/{role}");
    assert_eq!(bench.call("DELETE", &path, Value::Null).0, 409);
    bench.done("DELETE", &format!("/api-key/{}", pair.0), Value::Null);
    assert_eq!(status(&mut bench, "/sks-cluster"), 403);
    bench.done("DELETE", &path, Value::Null);
}

#[test]
fn zones_are_apart_and_groups_are_not() {
    let mut bench = Bench::fixed();
    let cluster = bench.cluster("c");
    let group = bench.done("POST", "/security-group", json!({"name": "g"}));
    let config = bench.world.config().clone();
    let pair = (config.api_key.as_str(), config.api_secret.as_str());
    for (path, status) in
        [(format!("/sks-cluster/{cluster}"), 404), (format!("/security-group/{group}"), 200)]
    {
        let request = signed(pair, "at-vie-1", "GET", &path, &Value::Null, T0 / 1000 + 600);
        let Outcome::Reply(reply) = bench.world.handle(bench.now, &request) else {
            panic!("dropped");
        };
        assert_eq!(reply.status().as_u16(), status, "{path}");
    }
}

#[test]
fn the_journal_and_the_event_log_tell_what_happened() {
    let mut bench = Bench::fixed();
    let group = bench.done("POST", "/security-group", json!({"name": "g"}));
    bench.call("POST", "/security-group", json!({"name": "g"}));
    let journal = bench.world.journal();
    assert_eq!(journal.len(), 2);
    let created = Effect::Created { kind: Kind::SecurityGroup, id: group };
    assert_eq!(journal[0].effect, created);
    assert_eq!((journal[1].status, &journal[1].effect), (409, &Effect::None));
    assert_eq!(journal[0].request_expires_ms, Some(T0 + 30_000));
    assert_eq!(bench.world.calls()["create-security-group"], 2);
    let events = bench.get("/event");
    assert_eq!(events[0]["handler"], "create-security-group");
    assert_eq!(events[0]["body-params"], json!({"name": "g"}));
}

#[test]
fn a_saved_world_goes_on_as_if_nothing_had_happened() {
    let mut one = Bench::fixed();
    one.call("POST", "/sks-cluster", cluster_body("c"));
    let text = serde_json::to_string(&one.world).unwrap();
    let mut two = Bench { world: serde_json::from_str::<World>(&text).unwrap(), now: one.now };
    for bench in [&mut one, &mut two] {
        bench.wait_ms(120_000);
        bench.call("POST", "/security-group", json!({"name": "g"}));
    }
    assert_eq!(serde_json::to_value(&one.world).unwrap(), serde_json::to_value(&two.world).unwrap());
}

#[test]
fn prices_need_no_signature() {
    let mut bench = Bench::fixed();
    let request = http::Request::get("https://portal.exoscale.com/api/pricing/opencompute")
        .body(bytes::Bytes::new())
        .unwrap();
    let Outcome::Reply(reply) = bench.world.handle(T0, &request) else {
        panic!("dropped");
    };
    let doc: Value = serde_json::from_slice(reply.body()).unwrap();
    assert_eq!(doc["chf"]["running_small"], "0.02333");
}
