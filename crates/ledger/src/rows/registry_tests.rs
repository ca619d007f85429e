//! Tests of the registry.

use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use serde_json::json;

use super::environment::EnvironmentView;
use super::registry::Registry;
use super::resource::ResourceState;
use crate::head::Head;
use crate::operation::OperationState;
use crate::plans::Plans;
use crate::testing::fixtures::{Story, at, chain, life, operation, plan};

fn demo(records: &[Record]) -> EnvironmentView {
    let registry = Registry::fold(records).unwrap();
    registry.environments()[&"demo".parse().unwrap()].clone()
}

fn states(view: &EnvironmentView) -> Vec<ResourceState> {
    view.resources.iter().map(|resource| resource.state).collect()
}

#[test]
fn the_phase_of_an_environment_follows_its_operations() {
    let mut phases: Vec<String> = Vec::new();
    let records = life();
    for length in 1..=records.len() {
        let phase = demo(&records[..length]).phase;
        if phases.last() != Some(&phase) {
            phases.push(phase);
        }
    }
    let expected = ["awaiting-approval", "provisioning", "ready", "tearing-down", "gone"];
    assert_eq!(phases, expected);
}

#[test]
fn an_environment_has_the_json_form_that_scripts_rely_on() {
    let story = Story::new(plan(1, Action::Provision), 0).start().make("group");
    let view = demo(&chain(story.intend("cluster", 1).entries));
    let value = serde_json::to_value(view).unwrap();
    for (key, expected) in [
        ("environment", json!("demo")),
        ("template", json!("T1")),
        ("zone", json!("ch-dk-2")),
        ("phase", json!("provisioning")),
        ("hourly", json!("0.25")),
        ("created_at", json!(at(20))),
        ("expires_at", json!(null)),
        ("owner", json!("bob")),
        (
            "resources",
            json!([
                {"key": "group", "kind": "security-group", "id": "id-group",
                 "name": "demo-group", "state": "ready"},
                {"key": "cluster", "kind": "sks-cluster", "id": null,
                 "name": "demo-cluster", "state": "creating"},
            ]),
        ),
    ] {
        assert_eq!(value[key], expected, "{key}");
    }
}

#[test]
fn a_life_ends_with_everything_gone_and_every_operation_done() {
    let records = life();
    let view = demo(&records);
    assert_eq!(states(&view), [ResourceState::Gone; 3]);
    assert_eq!(view.expires_at, Some(at(1030 + 3600)));
    assert_eq!(view.operations, [operation(1), operation(2), operation(3)]);
    let registry = Registry::fold(&records).unwrap();
    for (id, operation) in registry.operations() {
        assert_eq!(operation.phase, Phase::Succeeded, "{id}");
        assert!(operation.ended_at > operation.started_at);
        assert!(operation.resources.is_empty(), "{id}");
        let full = OperationState::fold(&Plans::default(), id, &records).unwrap().unwrap();
        assert_eq!(full.tokens, ["token"]);
        assert_eq!(
            (full.digest, full.phase, full.started_at, full.ended_at),
            (operation.digest, operation.phase.clone(), operation.started_at, operation.ended_at)
        );
        assert_eq!(full.plan.digest(), operation.digest);
    }
    assert_eq!(registry.head.head, Head::after(records.last().unwrap()));
    assert!(registry.resources.is_empty());
}

#[test]
fn what_lives_is_known_with_its_environment() {
    let records = life();
    let last_ready =
        records.iter().rposition(|record| matches!(record.entry.event, Event::ResourceReady { .. }));
    let registry = Registry::fold(&records[..=last_ready.unwrap()]).unwrap();
    let held: Vec<&str> = registry.resources.keys().map(String::as_str).collect();
    assert_eq!(held, ["id-cluster", "id-group"]);
    assert!(registry.resources.values().all(|names| names.iter().eq([&"demo".parse().unwrap()])));
}

#[test]
fn a_parked_operation_says_so_and_a_rollback_ends_it() {
    let why = NeedsHuman::Unobservable { what: "the cloud".into() };
    let parked = Story::new(plan(1, Action::Provision), 0)
        .start()
        .make("group")
        .then(Event::OperationParked { why, owner: "bob".into() });
    assert_eq!(demo(&chain(parked.entries.clone())).phase, "needs-human");
    let rolling = parked.then(Event::RollbackStarted { cause: "bob said so".into() });
    assert_eq!(demo(&chain(rolling.entries.clone())).phase, "rolling-back");
    let ended = rolling.remove("group").then(Event::OperationRolledBack);
    let view = demo(&chain(ended.entries));
    assert_eq!(view.phase, "rolled-back");
    assert_eq!(states(&view), [ResourceState::Gone, ResourceState::Planned]);
}

#[test]
fn a_new_plan_takes_the_place_of_one_that_never_ran_but_not_of_a_living_one() {
    let rejected = |story: Story| story.then(Event::PlanRejected { why: "alice denied it".into() });
    let first = rejected(Story::new(plan(1, Action::Provision), 0)).entries;
    let second = Story::new(plan(2, Action::Provision), 100);
    let both = chain(first.into_iter().chain(second.entries));
    let view = demo(&both);
    assert_eq!((view.phase.as_str(), &view.made_by), ("awaiting-approval", &operation(2)));

    let living = Story::new(plan(1, Action::Provision), 0).start().make("group");
    let second = rejected(Story::new(plan(2, Action::Provision), 100)).entries;
    let view = demo(&chain(living.entries.into_iter().chain(second)));
    assert_eq!((view.phase.as_str(), &view.made_by), ("provisioning", &operation(1)));
}

#[test]
fn a_record_that_cannot_follow_is_named_and_changes_nothing() {
    let good = || Story::new(plan(1, Action::Provision), 0).start().entries;
    let node = |key: &str| Event::CreateAbsent { node: key.parse().unwrap(), attempt: 1 };
    type Change<'a> = &'a dyn Fn(&mut Entry);
    let cases: [(&str, Change<'_>); 9] = [
        ("phase", &|e| e.event = Event::OperationRolledBack),
        ("the plan has no resource", &|e| e.event = node("database")),
        ("never proposed", &|e| {
            e.event = node("cluster");
            e.operation = Some(operation(9));
        }),
        ("about no plan", &|e| {
            e.event = node("cluster");
            e.operation = None;
        }),
        ("another operation", &|e| {
            let digest = plan(1, Action::Provision).digest().unwrap();
            e.event = Event::OperationStarted { digest };
            e.operation = Some(operation(9));
        }),
        ("proposed before", &|e| e.event = good()[0].event.clone()),
        ("digest", &|e| {
            let Event::PlanProposed { plan, .. } = &good()[0].event else {
                return;
            };
            let (digest, plan) = (Digest::of("test", b"other"), plan.clone());
            e.event = Event::PlanProposed { digest, plan, request: None, seal: None };
        }),
        ("decoding", &|e| {
            let (digest, plan) = (Plan::digest_of(b"{}"), "{}".to_owned());
            e.event = Event::PlanProposed { digest, plan, request: None, seal: None };
        }),
        ("another operation or environment", &|e| {
            let other = Story::new(plan(5, Action::Provision), 0);
            e.event = other.entries[0].event.clone();
            e.operation = Some(operation(6));
        }),
    ];
    for (expected, change) in cases {
        let mut entries = good();
        let mut bad = entries[2].clone();
        change(&mut bad);
        entries.push(bad);
        let records = chain(entries);
        let mut registry = Registry::fold(&records[..3]).unwrap();
        let before = format!("{registry:?}");
        let illegal = registry.apply(&records[3]).unwrap_err();
        assert_eq!(illegal.seq, 4, "{expected}");
        assert!(illegal.why.contains(expected), "{}", illegal.why);
        assert_eq!(format!("{registry:?}"), before, "{expected}");
        assert!(registry.apply(&records[1]).is_ok());
        assert_eq!(registry.head.head.seq, 3);
    }
}

#[test]
fn records_are_taken_in_only_in_order() {
    let records = life();
    let mut registry = Registry::default();
    assert_eq!(registry.apply(&records[1]).unwrap_err().seq, 2);
    let other = chain([crate::testing::fixtures::entry(1)]);
    assert!(registry.apply(&other[0]).is_ok());
    assert_eq!(registry.apply(&records[1]).unwrap_err().seq, 2);
}

#[test]
fn the_newest_roster_stays_in_force() {
    let records = chain([3, 5, 4].map(crate::testing::fixtures::entry));
    let mut registry = Registry::fold(&records[..2]).unwrap();
    assert_eq!(registry.head.roster, 5);
    assert!(registry.apply(&records[2]).is_err());
}
