//! Persons, keys and plans for the tests of this crate.

use exokit_model::approval::{ApprovalClaims, ApproverKey, Decision, Person, Roster};
use exokit_model::canonical::Digest;
use exokit_model::cost::{ApprovalLevel, CostBand, CostEstimate, CostPolicy};
use exokit_model::graph::{Graph, Node, Presence};
use exokit_model::ids::{PlanId, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::plan::{Action, Destroy, PLAN_SCHEMA, Plan};
use exokit_model::request::{Api, Method, RequestTemplate};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::json;

use crate::keys::SecretKey;
use crate::token::sign_vote;
use crate::verify::Verifier;

/// `seconds` after the time at which the plan of the tests was made.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
}

/// The key with a number; persons of [`roster`] have those of their place,
/// times ten.
pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_random([number; 32])
}

fn listed(number: u8) -> ApproverKey {
    let public = key(number).public();
    ApproverKey { id: public.id(), public: public.to_text(), revoked_at: None }
}

fn person(name: &str, roles: &[&str], keys: &[u8]) -> Person {
    Person {
        id: name.parse().unwrap(),
        roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        team: None,
        agent_of: None,
        keys: keys.iter().map(|number| listed(*number)).collect(),
    }
}

/// alice (10, 11) and bob (20) of platform, carol (30) of finance, dave (40)
/// of both, erin (50, revoked), and alice's agent.
pub(crate) fn roster() -> Roster {
    let mut erin = person("erin", &["finance"], &[50]);
    erin.keys[0].revoked_at = Some(at(-10));
    let mut agent = person("alice-agent", &[], &[]);
    agent.agent_of = Some("alice".parse().unwrap());
    Roster {
        version: 1,
        issued_at: at(-100),
        persons: vec![
            person("alice", &["platform"], &[10, 11]),
            person("bob", &["platform"], &[20]),
            person("carol", &["finance"], &[30]),
            person("dave", &["platform", "finance"], &[40]),
            erin,
            agent,
        ],
        policy: CostPolicy::default(),
    }
}

pub(crate) fn verifier() -> Verifier {
    Verifier::new(roster()).unwrap()
}

fn request(operation: &str, method: Method, path: &str) -> RequestTemplate {
    RequestTemplate {
        operation: operation.to_owned(),
        api: Api::Exoscale,
        method,
        path: path.to_owned(),
        body: (method == Method::Post).then(|| json!({"name": operation})),
        slots: Default::default(),
        secrets: Default::default(),
    }
}

fn node(key: &str, kind: Kind, desired: Presence) -> Node {
    Node {
        key: key.parse().unwrap(),
        kind,
        name: format!("demo-{key}"),
        zone: "ch-dk-2".parse().unwrap(),
        token: None,
        depends_on: Vec::new(),
        desired,
        existing: (desired == Presence::Absent).then(|| id(key)),
        create: (desired == Presence::Present)
            .then(|| request("create", Method::Post, &format!("/v2/{key}"))),
        delete: vec![request("delete", Method::Delete, &format!("/v2/{key}/{{self}}"))],
        protects_data: kind.holds_data(),
        predicted_seconds: 10,
    }
}

/// The id that a teardown plan of the tests names for a node.
pub(crate) fn id(key: &str) -> ResourceId {
    format!("id-{key}").parse().unwrap()
}

/// A plan by bob with a cluster and a bucket.
pub(crate) fn plan(action: Action, level: ApprovalLevel) -> Plan {
    let desired = match action {
        Action::Teardown => Presence::Absent,
        _ => Presence::Present,
    };
    let nodes = vec![node("cluster", Kind::SksCluster, desired), node("bucket", Kind::SosBucket, desired)];
    let destroys = nodes.iter().filter(|_| desired == Presence::Absent);
    Plan {
        schema: PLAN_SCHEMA.to_owned(),
        plan_id: PlanId::from_random([1; 10]),
        action,
        environment: "demo".parse().unwrap(),
        requester: "bob".parse().unwrap(),
        team: None,
        created_at: at(0),
        not_after: at(24 * 3600),
        zone: "ch-dk-2".parse().unwrap(),
        template: "T1".parse().unwrap(),
        template_digest: Digest::of("test", b"template"),
        price_digest: Digest::of("test", b"prices"),
        roster_version: 1,
        base_seq: 0,
        spec: None,
        destroys: destroys
            .map(|node| Destroy {
                key: node.key.clone(),
                kind: node.kind,
                id: id(node.key.as_str()),
                name: node.name.as_str().into(),
                data: node.protects_data,
            })
            .collect(),
        graph: Graph::new(nodes).unwrap(),
        cost: CostEstimate {
            currency: "CHF".to_owned(),
            price_date: "2026-11-23".to_owned(),
            hourly: Decimal::new(25, 2),
            monthly: Decimal::new(18000, 2),
            ttl: None,
            lines: Vec::new(),
            unknown: Vec::new(),
        },
        band: CostBand::High,
        level,
        level_reasons: Vec::new(),
        template_level: ApprovalLevel::One,
        rollback_destroys: vec!["bucket".parse().unwrap()],
        critical_path_seconds: 10,
        corrections: Vec::new(),
        extend_seconds: None,
        access: None,
        additions: Default::default(),
        break_glass: None,
    }
}

/// Claims of a person on a plan, issued 60 s after it was made.
pub(crate) fn claims(plan: &Plan, person: &str, number: u8, decision: Decision) -> ApprovalClaims {
    ApprovalClaims {
        plan_digest: plan.digest().unwrap(),
        decision,
        action: plan.action,
        level: plan.level,
        environment: plan.environment.clone(),
        person: person.parse().unwrap(),
        key_id: key(number).public().id(),
        issued_at: at(60),
        expires_at: at(60 + 3600),
        nonce: data_encoding::BASE64URL_NOPAD.encode(&[number; 16]),
    }
}

/// A token with those claims.
pub(crate) fn vote(plan: &Plan, person: &str, number: u8, decision: Decision) -> String {
    sign_vote(&key(number), &claims(plan, person, number, decision)).unwrap()
}
