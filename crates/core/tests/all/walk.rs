//! The walk: order, convergence, rollback and the ends of patience, over
//! random graphs.

use exokit_core::node_state::{Facts, NodeState};
use exokit_core::predict;
use exokit_core::walk::{
    CREATE_ATTEMPTS_MAX, CREATE_BROKEN_OFF_MAX, DELETE_REFUSALS_MAX, Step, StepAction, Verdict, frontier,
    verdict,
};
use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::graph::{Graph, Node, Presence};
use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use exokit_model::request::{Api, Method, RequestTemplate};
use jiff::Timestamp;
use proptest::prelude::*;

fn key(number: usize) -> NodeKey {
    format!("node-{number}").parse().unwrap()
}

fn request() -> RequestTemplate {
    RequestTemplate {
        operation: "x".into(),
        api: Api::Exoscale,
        method: Method::Post,
        path: "/x".into(),
        body: None,
        slots: Default::default(),
        secrets: Default::default(),
    }
}

/// A graph in which node `n` depends on the earlier nodes that `edges` names.
fn graph(edges: &[Vec<usize>], desired: Presence, deletes: usize) -> Graph {
    let nodes = edges.iter().enumerate().map(|(at, on)| {
        let mut depends_on: Vec<NodeKey> =
            on.iter().filter(|other| **other < at).map(|other| key(*other)).collect();
        depends_on.dedup();
        Node {
            key: key(at),
            kind: Kind::SecurityGroup,
            name: format!("n{at}"),
            zone: "ch-dk-2".parse().unwrap(),
            token: None,
            depends_on,
            desired,
            existing: (desired == Presence::Absent).then(|| format!("id-{at}").parse().unwrap()),
            create: Some(request()),
            delete: vec![request(); deletes],
            protects_data: false,
            predicted_seconds: u32::try_from(at).unwrap() + 1,
        }
    });
    Graph::new(nodes.collect()).unwrap()
}

fn record(event: Event) -> Record {
    let zero = Digest([0; 32]);
    let entry = Entry { at: Timestamp::UNIX_EPOCH, environment: None, operation: None, epoch: 1, event };
    Record { seq: 1, prev: zero, hash: zero, entry }
}

fn apply(graph: &Graph, facts: &mut Facts, event: Event) {
    facts.apply(graph, &record(event)).unwrap();
}

fn intend(graph: &Graph, facts: &mut Facts, node: &NodeKey, attempt: u32) {
    let (request, expires_at) = (Digest([0; 32]), Timestamp::UNIX_EPOCH);
    apply(graph, facts, Event::CreateIntended { node: node.clone(), attempt, request, expires_at });
}

/// Lets a step succeed, checking that its order was right.
fn succeed(graph: &Graph, facts: &mut Facts, step: &Step) {
    let node = step.node.clone();
    let id = format!("id-of-{node}").parse().unwrap();
    match &step.action {
        StepAction::Create { attempt, .. } => {
            for dependency in &graph.node(&node).unwrap().depends_on {
                let state = &facts.get(dependency).unwrap().state;
                assert!(matches!(state, NodeState::Ready { .. }), "{node} before {dependency}");
            }
            intend(graph, facts, &node, *attempt);
        }
        StepAction::Settle { attempt, .. } => {
            apply(graph, facts, Event::CreateAdopted { node, attempt: *attempt, id });
        }
        StepAction::Await { .. } => apply(graph, facts, Event::ResourceReady { node, id, time: None }),
        StepAction::Delete { id, step, .. } => {
            for dependent in graph.dependents(&node) {
                assert_eq!(
                    facts.get(&dependent.key).unwrap().state,
                    NodeState::Missing,
                    "{} before {node}",
                    dependent.key
                );
            }
            let (request, expires_at) = (Digest([0; 32]), Timestamp::UNIX_EPOCH);
            let intent = Event::DeleteIntended {
                node: node.clone(),
                id: id.clone(),
                step: *step,
                request,
                expires_at,
            };
            apply(graph, facts, intent);
            let accepted = Event::DeleteAccepted { node, id: id.clone(), step: *step, cloud_operation: None };
            apply(graph, facts, accepted);
        }
        StepAction::ConfirmGone { id, .. } => {
            apply(graph, facts, Event::ResourceGone { node, id: id.clone() })
        }
    }
}

/// Walks with predicted success until nothing is left to do; the number of
/// rounds, each of which lets everything in the frontier happen.
fn walk(graph: &Graph, facts: &mut Facts, rolling_back: bool) -> usize {
    for round in 0..1000 {
        let steps = frontier(graph, facts, rolling_back);
        if steps.is_empty() {
            return round;
        }
        steps.iter().for_each(|step| succeed(graph, facts, step));
    }
    panic!("the walk does not end");
}

fn rolling_back() -> Phase {
    Phase::RollingBack { cause: "test".into() }
}

fn edges() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0_usize..12, 0..4), 1..12)
}

proptest! {
    #[test]
    fn every_graph_is_built_in_order_and_taken_back_in_order(edges in edges(), deletes in 1_usize..3) {
        let graph = graph(&edges, Presence::Present, deletes);
        let mut facts = Facts::new(&graph);
        walk(&graph, &mut facts, false);
        prop_assert_eq!(verdict(Action::Provision, &graph, &facts, &Phase::Running), Verdict::Settled);
        walk(&graph, &mut facts, true);
        prop_assert_eq!(verdict(Action::Provision, &graph, &facts, &rolling_back()), Verdict::Settled);
        prop_assert!(facts.iter().all(|(_, facts)| facts.state == NodeState::Missing));
    }

    #[test]
    fn every_graph_is_torn_down_in_order(edges in edges(), deletes in 1_usize..3) {
        let graph = graph(&edges, Presence::Absent, deletes);
        let mut facts = Facts::new(&graph);
        walk(&graph, &mut facts, false);
        prop_assert_eq!(verdict(Action::Teardown, &graph, &facts, &Phase::Running), Verdict::Settled);
    }

    #[test]
    fn a_rollback_at_any_moment_takes_back_what_was_made_and_settles_what_is_in_doubt(
        edges in edges(), rounds in 0_usize..20,
    ) {
        let graph = graph(&edges, Presence::Present, 1);
        let mut facts = Facts::new(&graph);
        for _ in 0..rounds {
            for step in frontier(&graph, &facts, false) {
                succeed(&graph, &mut facts, &step);
            }
        }
        for step in frontier(&graph, &facts, true) {
            prop_assert!(!matches!(step.action, StepAction::Create { .. }), "a rollback makes nothing");
        }
        walk(&graph, &mut facts, true);
        prop_assert_eq!(verdict(Action::Provision, &graph, &facts, &rolling_back()), Verdict::Settled);
    }

    #[test]
    fn the_critical_path_is_a_chain_that_ends_last(edges in edges(), absent in any::<bool>()) {
        let desired = if absent { Presence::Absent } else { Presence::Present };
        let graph = graph(&edges, desired, 1);
        let done = predict::finish_seconds(&graph);
        let path = predict::critical_path(&graph);
        let total: u32 = path.iter().map(|key| graph.node(key).unwrap().predicted_seconds).sum();
        prop_assert_eq!(total, predict::critical_path_seconds(&graph));
        prop_assert_eq!(done.values().max().copied(), Some(total));
        for pair in path.windows(2) {
            let (before, after) = if absent { (&pair[1], &pair[0]) } else { (&pair[0], &pair[1]) };
            prop_assert!(graph.node(after).unwrap().depends_on.contains(before));
        }
    }

    #[test]
    fn slack_is_what_a_node_can_be_late_without_the_whole_being_late(edges in edges()) {
        let wanted = graph(&edges, Presence::Present, 1);
        let end = predict::critical_path_seconds(&wanted);
        for late in wanted.nodes() {
            let slack = predict::slack_seconds(&wanted, &late.key);
            for (more, expected) in [(slack, end), (slack + 1, end + 1)] {
                let mut nodes = wanted.nodes().to_vec();
                let node = nodes.iter_mut().find(|node| node.key == late.key).unwrap();
                node.predicted_seconds += more;
                let delayed = Graph::new(nodes).unwrap();
                prop_assert_eq!(predict::critical_path_seconds(&delayed), expected);
            }
        }
    }
}

fn one() -> (Graph, Facts) {
    let graph = graph(&[vec![]], Presence::Present, 1);
    let facts = Facts::new(&graph);
    (graph, facts)
}

/// Makes as many attempts as are allowed; each ends in what `end` says.
fn exhaust(most: u32, end: impl Fn(u32) -> Vec<Event>) -> (Graph, Facts) {
    let (graph, mut facts) = one();
    for attempt in 1..=most {
        assert_eq!(verdict(Action::Provision, &graph, &facts, &Phase::Running), Verdict::Continue);
        intend(&graph, &mut facts, &key(0), attempt);
        end(attempt).into_iter().for_each(|event| apply(&graph, &mut facts, event));
    }
    (graph, facts)
}

#[test]
fn attempts_without_effect_end_in_a_rollback_and_a_human_can_allow_more() {
    let absent = |attempt| Event::CreateAbsent { node: key(0), attempt };
    let lost = |attempt| {
        vec![Event::CreateInDoubt { node: key(0), attempt, why: "no reply".into() }, absent(attempt)]
    };
    let broken_off = |attempt| vec![absent(attempt)];
    let ends = [
        (exhaust(CREATE_ATTEMPTS_MAX, lost), "node-0: no reply"),
        (exhaust(CREATE_BROKEN_OFF_MAX, broken_off), "node-0: it was broken off before it was sent"),
    ];
    for ((graph, mut facts), why) in ends {
        let found = verdict(Action::Provision, &graph, &facts, &Phase::Running);
        assert_eq!(found, Verdict::Rollback(why.to_owned()));
        assert_eq!(frontier(&graph, &facts, false), []);
        apply(&graph, &mut facts, Event::OperationUnparked { by: "dana".into() });
        assert_eq!(verdict(Action::Provision, &graph, &facts, &Phase::Running), Verdict::Continue);
    }
}

#[test]
fn an_engine_that_is_stopped_again_and_again_uses_up_none_of_the_attempts() {
    let (graph, mut facts) = one();
    for attempt in 1..=2 * CREATE_ATTEMPTS_MAX {
        intend(&graph, &mut facts, &key(0), attempt);
        let id = Some(format!("id-{attempt}").parse().unwrap());
        let reason = "its secret was in a reply that was lost".into();
        apply(&graph, &mut facts, Event::ResourceFailed { node: key(0), id, reason });
        for _ in ["delete", "confirm"] {
            let step = frontier(&graph, &facts, false).remove(0);
            succeed(&graph, &mut facts, &step);
        }
        assert_eq!(verdict(Action::Provision, &graph, &facts, &Phase::Running), Verdict::Continue);
    }
    assert_eq!(facts.get(&key(0)).unwrap().broken_off, 2 * CREATE_ATTEMPTS_MAX);
}

#[test]
fn refusals_mean_different_things() {
    let check = |status: u16, transient: bool, expected: fn(&Verdict) -> bool| {
        let (graph, mut facts) = one();
        intend(&graph, &mut facts, &key(0), 1);
        let message = "no".into();
        apply(
            &graph,
            &mut facts,
            Event::CreateRefused { node: key(0), attempt: 1, status, message, transient },
        );
        let found = verdict(Action::Provision, &graph, &facts, &Phase::Running);
        assert!(expected(&found), "{status}: {found:?}");
    };
    check(409, true, |v| *v == Verdict::Continue);
    check(400, false, |v| matches!(v, Verdict::Rollback { .. }));
    check(401, false, |v| matches!(v, Verdict::Park(NeedsHuman::Credentials { .. })));
    check(403, false, |v| matches!(v, Verdict::Park(NeedsHuman::Credentials { .. })));
}

/// The verdict after deletes of one node that were refused so.
fn after_refused_deletes(statuses: impl IntoIterator<Item = u16>) -> Verdict {
    let graph = graph(&[vec![]], Presence::Absent, 1);
    let mut facts = Facts::new(&graph);
    for status in statuses {
        assert_eq!(verdict(Action::Teardown, &graph, &facts, &Phase::Running), Verdict::Continue);
        let step = frontier(&graph, &facts, false).remove(0);
        let Step { node, action: StepAction::Delete { id, step, .. } } = step else { panic!("{step:?}") };
        let (request, expires_at) = (Digest([0; 32]), Timestamp::UNIX_EPOCH);
        let intent = Event::DeleteIntended { node: node.clone(), id: id.clone(), step, request, expires_at };
        apply(&graph, &mut facts, intent);
        apply(&graph, &mut facts, Event::DeleteRefused { node, id, status, message: "no".into() });
    }
    verdict(Action::Teardown, &graph, &facts, &Phase::Running)
}

#[test]
fn a_delete_that_is_refused_for_ever_needs_a_human() {
    let found = after_refused_deletes(vec![409; DELETE_REFUSALS_MAX as usize]);
    assert!(matches!(found, Verdict::Park(NeedsHuman::DeleteStuck { .. })), "{found:?}");
}

#[test]
fn a_delete_without_rights_needs_a_human_after_three_refusals_in_a_row() {
    for forbidden in [401, 403] {
        let found = after_refused_deletes([409, forbidden, forbidden, 409, forbidden, forbidden]);
        assert_eq!(found, Verdict::Continue, "a busy resource says nothing of rights");
        let found = after_refused_deletes([409, forbidden, forbidden, forbidden]);
        assert!(
            matches!(&found, Verdict::Park(NeedsHuman::Credentials { status, .. }) if *status == forbidden),
            "{found:?}"
        );
    }
}

#[test]
fn an_event_that_does_not_fit_is_refused_and_changes_nothing() {
    let (graph, facts) = one();
    let id: exokit_model::ids::ResourceId = "id".parse().unwrap();
    let (request, expires_at) = (Digest([0; 32]), Timestamp::UNIX_EPOCH);
    let illegal_records = [
        Event::CreateAbsent { node: key(0), attempt: 1 },
        Event::ResourceReady { node: key(0), id: id.clone(), time: None },
        Event::DeleteIntended { node: key(0), id: id.clone(), step: 0, request, expires_at },
        Event::ResourceGone { node: key(0), id },
        Event::CreateAbsent { node: key(7), attempt: 1 },
    ];
    for event in illegal_records {
        let mut after = facts.clone();
        assert!(after.apply(&graph, &record(event.clone())).is_err(), "{event:?}");
        assert_eq!(after, facts, "{event:?}");
    }
}
