//! Faults on order: each does what it says and counts its effects.

use crate::common::{Bench, T0, cluster_body};
use exokit_sim::{Config, Fault, FaultRule, LatencyTable, Matcher, Outcome};
use serde_json::{Value, json};

fn with(operation: &str, fault: Fault) -> Bench {
    Bench::new(Config {
        latency: LatencyTable::fixed(),
        faults: vec![FaultRule { when: Matcher::nth(operation, 1), fault }],
        ..Config::default()
    })
}

const GROUP: &str = "create-security-group";

fn body() -> Value {
    json!({"name": "g"})
}

fn groups(bench: &mut Bench) -> usize {
    let list = bench.get("/security-group");
    let all = list["security-groups"].as_array().unwrap();
    all.iter().filter(|g| g["name"] == "g").count()
}

fn count(bench: &Bench, effect: &str) -> u64 {
    bench.world.effects().get(effect).copied().unwrap_or(0)
}

#[test]
fn lost_requests_and_lost_replies() {
    let mut bench = with(GROUP, Fault::DropBefore);
    assert_eq!(bench.call("POST", "/security-group", body()).0, 0);
    assert_eq!(groups(&mut bench), 0);
    assert_eq!(count(&bench, "drop-before"), 1);

    let mut bench = with(GROUP, Fault::DropAfter);
    assert_eq!(bench.call("POST", "/security-group", body()).0, 0);
    assert_eq!(groups(&mut bench), 1);
    assert_eq!(count(&bench, "drop-after"), 1);
    assert!(!bench.world.journal()[0].delivered);

    let mut bench = with(GROUP, Fault::Garbage);
    let (status, doc) = bench.call("POST", "/security-group", body());
    assert_eq!((status, doc), (200, Value::Null));
    assert_eq!(groups(&mut bench), 1);
}

#[test]
fn statuses_before_and_after_the_effect() {
    for after_effect in [false, true] {
        let fault = Fault::Status { status: 503, message: None, retry_after: Some(7), after_effect };
        let mut bench = with(GROUP, fault);
        let Outcome::Reply(reply) = bench.raw("POST", "/security-group", &body()) else {
            panic!("dropped");
        };
        assert_eq!(reply.status(), 503);
        assert_eq!(reply.headers()["retry-after"], "7");
        assert_eq!(groups(&mut bench), usize::from(after_effect));
    }
}

#[test]
fn late_requests_run_unless_their_signature_has_expired() {
    for (delay_ms, executed) in [(20_000, true), (40_000, false)] {
        let mut bench = with(GROUP, Fault::Late { delay_ms });
        assert_eq!(bench.call("POST", "/security-group", body()).0, 0);
        bench.wait_ms(delay_ms - 1);
        assert_eq!(groups(&mut bench), 0);
        bench.wait_ms(1);
        assert_eq!(groups(&mut bench), usize::from(executed), "after {delay_ms}");
        let name = if executed { "late: executed" } else { "late: refused by expiry" };
        assert_eq!(count(&bench, name), 1);
    }
}

#[test]
fn operations_fail_with_and_without_leftovers() {
    for leaves_resource in [false, true] {
        let fault = Fault::OperationFails {
            reason: "partial".to_owned(),
            message: Some("half done".to_owned()),
            leaves_resource,
        };
        let mut bench = with("create-sks-cluster", fault);
        let (_, operation) = bench.call("POST", "/sks-cluster", cluster_body("c"));
        let id = operation["reference"]["id"].as_str().unwrap().to_owned();
        bench.wait_ms(200_000);
        let path = format!("/operation/{}", operation["id"].as_str().unwrap());
        let operation = bench.get(&path);
        assert_eq!(operation["state"], "failure");
        assert_eq!(operation["reason"], "partial");
        let (status, cluster) = bench.call("GET", &format!("/sks-cluster/{id}"), Value::Null);
        if leaves_resource {
            assert_eq!(cluster["state"], "error");
            bench.done("DELETE", &format!("/sks-cluster/{id}"), Value::Null);
        } else {
            assert_eq!(status, 404);
        }
        assert_eq!(count(&bench, "operation-fails"), 1);
        assert!(bench.world.live().is_empty());
    }
}

#[test]
fn stuck_and_slow_operations() {
    let mut bench = with("create-sks-cluster", Fault::OperationStuck);
    let (_, operation) = bench.call("POST", "/sks-cluster", cluster_body("c"));
    bench.wait_ms(3_600_000);
    let path = format!("/operation/{}", operation["id"].as_str().unwrap());
    assert_eq!(bench.get(&path)["state"], "pending");
    assert_eq!(bench.get("/sks-cluster")["sks-clusters"][0]["state"], "running");
    assert_eq!(count(&bench, "operation-stuck"), 1);

    let mut bench = with("create-sks-cluster", Fault::Slow { factor: 3.0 });
    let (_, operation) = bench.call("POST", "/sks-cluster", cluster_body("c"));
    let path = format!("/operation/{}", operation["id"].as_str().unwrap());
    bench.wait_ms(3 * 118_000 - 1);
    assert_eq!(bench.get(&path)["state"], "pending");
    bench.wait_ms(1);
    assert_eq!(bench.get(&path)["state"], "success");
}

#[test]
fn lists_lag_behind() {
    let mut bench = Bench::new(Config {
        latency: LatencyTable::fixed(),
        faults: ["create-security-group", "delete-security-group"]
            .iter()
            .map(|operation| FaultRule {
                when: Matcher::every(operation),
                fault: Fault::ListLag { ms: 10_000 },
            })
            .collect(),
        ..Config::default()
    });
    let (_, operation) = bench.call("POST", "/security-group", body());
    let id = operation["reference"]["id"].as_str().unwrap().to_owned();
    let path = format!("/security-group/{id}");
    assert_eq!(bench.get(&path)["name"], "g");
    assert_eq!(groups(&mut bench), 0);
    assert_eq!(count(&bench, "list-lag: existing missed"), 1);
    bench.wait_ms(10_000);
    assert_eq!(groups(&mut bench), 1);
    bench.done("DELETE", &path, Value::Null);
    assert_eq!(bench.call("GET", &path, Value::Null).0, 404);
    assert_eq!(groups(&mut bench), 1);
    assert_eq!(count(&bench, "list-lag: deleted shown"), 1);
    assert!(bench.world.live().is_empty(), "the truth does not lag");
    bench.wait_ms(10_000);
    assert_eq!(groups(&mut bench), 0);
}

#[test]
fn quotas_shrink_and_rules_count_by_themselves() {
    let fault = Fault::Quota { resource: "sks-cluster".to_owned(), limit: 0 };
    let mut bench = with("create-sks-cluster", fault);
    assert_eq!(bench.call("POST", "/sks-cluster", cluster_body("c")).0, 409);

    let rule = FaultRule {
        when: Matcher {
            operation: Some("list-*".to_owned()),
            after_ms: Some(1_000),
            until_ms: Some(3_000),
            times: Some(1),
            ..Matcher::default()
        },
        fault: Fault::DropBefore,
    };
    let mut bench = Bench::new(Config { faults: vec![rule], ..Config::default() });
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(bench.call("GET", "/quota", Value::Null).0);
        bench.wait_ms(1_000);
    }
    assert_eq!(statuses, [200, 0, 200, 200, 200]);
    assert_eq!(bench.now, T0 + 5_000);
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let run = |seed| {
        let mut bench = Bench::new(Config {
            seed,
            faults: vec![FaultRule {
                when: Matcher { probability: Some(0.5), ..Matcher::default() },
                fault: Fault::DropBefore,
            }],
            ..Config::default()
        });
        for number in 0..20 {
            bench.call("POST", "/security-group", json!({"name": format!("g{number}")}));
            bench.wait_ms(500);
        }
        serde_json::to_string(&bench.world).unwrap()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
