//! Plans: what they hold, and what is refused before anything is planned.

use std::collections::BTreeMap;

use exokit_core::forecast::History;
use exokit_core::level::DailySums;
use exokit_core::plan_build::{Discovered, Occasion, Recorded, Unrecorded, provision, teardown};
use exokit_core::preflight::{PreflightError, check};
use exokit_model::additions::{ClusterAdditions, ClusterObject};
use exokit_model::approval::Roster;
use exokit_model::canonical::Digest;
use exokit_model::catalog::{Catalog, DatabaseOffer};
use exokit_model::cost::{ApprovalLevel, CostEstimate, CostPolicy};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::graph::Presence;
use exokit_model::ids::{OwnerToken, PlanId, TemplateId};
use exokit_model::kind::Kind;
use exokit_model::plan::Plan;
use exokit_model::spec::{EnvironmentClass, EnvironmentSpec};
use jiff::Timestamp;
use rust_decimal::Decimal;

fn spec() -> EnvironmentSpec {
    serde_json::from_value(serde_json::json!({
        "environment": "store", "project": "store", "class": "test", "template": "T3", "zone": "ch-dk-2",
        "cluster": {"level": "starter", "cni": "calico", "addons": ["metrics-server"]},
        "nodes": {"family": "standard", "size": "small", "count": 2, "disk_gb": 50, "labels": {}},
        "database": {"engine": "pg", "version": "16", "plan": "startup-4", "termination_protection": true},
        "bucket": {"suffix": "state", "acl": "private"},
        "workload": {"namespace": "n", "service": "s", "image": "i:1", "replicas": 1, "port": 5000,
            "service_port": 80, "node_port": 30003, "load_balancer": true,
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}},
    }))
    .unwrap()
}

fn catalog() -> Catalog {
    Catalog {
        zones: ["ch-dk-2".parse().unwrap()].into(),
        instance_types: BTreeMap::from([("standard/small".to_owned(), "type-small".parse().unwrap())]),
        sks_versions: vec!["1.35.1".into(), "1.34.4".into()],
        databases: BTreeMap::from([(
            "pg".to_owned(),
            DatabaseOffer {
                versions: vec!["16".into()],
                default_version: None,
                plans: ["startup-4".to_owned()].into(),
            },
        )]),
        quota_free: BTreeMap::new(),
    }
}

fn cost() -> CostEstimate {
    CostEstimate {
        currency: "CHF".into(),
        price_date: "2026-10-01".into(),
        hourly: Decimal::ONE,
        monthly: Decimal::from(720),
        ttl: None,
        lines: Vec::new(),
        unknown: Vec::new(),
    }
}

fn roster() -> Roster {
    Roster {
        version: 1,
        issued_at: Timestamp::UNIX_EPOCH,
        persons: Vec::new(),
        policy: CostPolicy::default(),
    }
}

fn occasion(roster: &Roster) -> Occasion<'_> {
    Occasion {
        plan_id: PlanId::from_random([1; 10]),
        requester: "dana".parse().unwrap(),
        team: None,
        now: Timestamp::UNIX_EPOCH,
        template: (TemplateId(3), Digest([0; 32])),
        template_level: ApprovalLevel::Two,
        price_digest: Digest([0; 32]),
        roster,
        base_seq: 0,
        class: EnvironmentClass::Test,
        today: DailySums::default(),
        wanted_level: None,
        break_glass: None,
    }
}

fn plan() -> Plan {
    let token = |node: &exokit_model::ids::NodeKey| {
        let mut mac = [0; 32];
        mac[..node.as_str().len().min(10)]
            .copy_from_slice(&node.as_str().as_bytes()[..node.as_str().len().min(10)]);
        OwnerToken::from_mac(&mac)
    };
    let offer = check(&spec(), &catalog()).unwrap();
    provision(occasion(&roster()), spec(), &offer, cost(), Vec::new(), &History::default(), &token).unwrap()
}

#[test]
fn a_plan_survives_its_own_bytes_and_no_other() {
    let plan = plan();
    let bytes = plan.to_bytes().unwrap();
    assert_eq!(Plan::from_bytes(&bytes).unwrap(), plan);
    assert_eq!(plan.digest().unwrap(), Plan::digest_of(&bytes));
    let spaced = String::from_utf8(bytes.clone()).unwrap().replacen(':', ": ", 1);
    assert!(Plan::from_bytes(spaced.as_bytes()).is_err(), "only the canonical form is a plan");
    assert!(Plan::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    let extra = String::from_utf8(bytes).unwrap().replacen('{', r#"{"a":1,"#, 1);
    assert!(Plan::from_bytes(extra.as_bytes()).is_err(), "an unknown field is no part of a plan");
}

#[test]
fn a_fixed_plan_has_the_digest_of_its_bytes() {
    let plan = plan();
    let bytes = plan.to_bytes().unwrap();
    let read = FixedPlan::from_bytes(&bytes).unwrap();
    assert_eq!(read, FixedPlan::new(plan.clone()).unwrap());
    assert_eq!((&*read, read.digest()), (&plan, Plan::digest_of(&bytes)));
    let mut other = plan;
    other.base_seq += 1;
    assert_ne!(FixedPlan::new(other).unwrap().digest(), read.digest());
    let spaced = String::from_utf8(bytes).unwrap().replacen(':', ": ", 1);
    assert!(FixedPlan::from_bytes(spaced.as_bytes()).is_err(), "other bytes would have another digest");
}

#[test]
fn every_node_has_a_mark_a_request_and_a_way_back() {
    let plan = plan();
    let keys: Vec<&str> = plan.graph.nodes().iter().map(|node| node.key.as_str()).collect();
    assert_eq!(keys.len(), 24);
    for node in plan.graph.nodes() {
        let token = node.token.as_ref().unwrap();
        let request = serde_json::to_string(node.create.as_ref().unwrap()).unwrap();
        let carried = request.contains(token.as_str()) || request.contains(token.short());
        assert!(carried, "{} carries its token in the approved bytes", node.key);
        assert!(!node.delete.is_empty(), "{}", node.key);
    }
    let database = plan.graph.node(&"database".parse().unwrap()).unwrap();
    assert_eq!(database.delete.len(), 2, "a protected database is unprotected first");
    assert_eq!(plan.rollback_destroys.len(), 2, "a rollback may destroy database and bucket");
}

#[test]
fn a_teardown_removes_users_before_what_they_use() {
    let plan = plan();
    let recorded: Vec<Recorded> = plan
        .graph
        .nodes()
        .iter()
        .map(|node| Recorded { node: node.clone(), id: format!("id-{}", node.key).parse().unwrap() })
        .collect();
    let found = |kind, name: &str| Discovered { kind, id: name.parse().unwrap(), name: name.into() };
    let discovered = vec![
        found(Kind::BlockVolume, "pvc-1"),
        found(Kind::BlockSnapshot, "snap-1"),
        found(Kind::LoadBalancer, "k8s-1"),
    ];
    let place = ("store".parse().unwrap(), "ch-dk-2".parse().unwrap());
    let object = |kind, name: &str| ClusterObject {
        kind,
        id: "a-uid".parse().unwrap(),
        namespace: "theirs".into(),
        name: name.into(),
    };
    let objects =
        vec![object(Kind::Service, "shop"), object(Kind::Service, "../x"), object(Kind::Namespace, "n")];
    let additions = ClusterAdditions { objects, ..ClusterAdditions::default() };
    let unrecorded = Unrecorded { discovered, additions: additions.clone() };
    let down = teardown(occasion(&roster()), place, recorded, unrecorded, cost()).unwrap();
    assert_eq!(down.additions, additions);
    let services: Vec<&str> = down
        .graph
        .nodes()
        .iter()
        .filter(|node| node.key.as_str().starts_with("added-"))
        .map(|node| node.delete[0].path.as_str())
        .collect();
    assert_eq!(services, ["/{cluster}/api/v1/namespaces/theirs/services/shop"], "no other name is a path");
    assert!(down.graph.nodes().iter().all(|node| node.desired == Presence::Absent && node.create.is_none()));
    let depends = |node: &str, on: &str| {
        let node = down.graph.node(&node.parse().unwrap()).unwrap();
        node.depends_on.contains(&on.parse().unwrap())
    };
    assert!(depends("found-load-balancer-1", "nodepool"), "the balancer goes before the pool that it locks");
    assert!(depends("added-service-1", "found-load-balancer-1"), "it would be made again");
    assert!(depends("nodepool", "found-block-volume-1"), "the volume goes after the machines that use it");
    assert!(depends("found-block-snapshot-2", "found-block-volume-1"));
    assert!(depends("nodepool", "cluster"));
    let data: Vec<&str> = down.destroys.iter().filter(|d| d.data).map(|d| d.name.raw()).collect();
    assert_eq!(data.len(), 4, "{data:?}");
}

#[test]
fn what_the_cloud_does_not_offer_is_refused_with_what_it_does() {
    type Change = fn(&mut EnvironmentSpec, &mut Catalog);
    type Expected = fn(&PreflightError) -> bool;
    let cases: [(Change, Expected); 7] = [
        (|s, _| s.zone = "xx-yy-9".parse().unwrap(), |e| matches!(e, PreflightError::Zone { .. })),
        (|s, _| s.nodes.size = "huge".into(), |e| matches!(e, PreflightError::InstanceType { .. })),
        (|s, _| s.nodes.size = "tiny".into(), |e| matches!(e, PreflightError::TooSmall { .. })),
        (
            |s, _| s.cluster.version = Some("1.20".into()),
            |e| matches!(e, PreflightError::KubernetesVersion { .. }),
        ),
        (
            |s, _| s.database.as_mut().unwrap().plan = "x".into(),
            |e| matches!(e, PreflightError::Database { property: "plan", .. }),
        ),
        (
            |s, _| s.database.as_mut().unwrap().version = Some("9".into()),
            |e| matches!(e, PreflightError::Database { property: "version", .. }),
        ),
        (
            |_, c| {
                c.quota_free.insert("instance".into(), 1);
            },
            |e| matches!(e, PreflightError::Quota { free: 1, needed: 2, .. }),
        ),
    ];
    for (change, expected) in cases {
        let (mut spec, mut catalog) = (spec(), catalog());
        change(&mut spec, &mut catalog);
        let error = check(&spec, &catalog).unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn a_version_in_part_means_the_newest_that_it_covers() {
    let wanted = |version: &str| {
        let mut spec = spec();
        spec.cluster.version = Some(version.to_owned());
        check(&spec, &catalog()).map(|offer| offer.kubernetes_version)
    };
    assert_eq!(wanted("1.34").unwrap(), "1.34.4");
    assert_eq!(wanted("1.35.1").unwrap(), "1.35.1");
    assert!(wanted("1.3").is_err());
}
