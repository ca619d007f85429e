//! A limit of the steps of an operation: never more at once, and it ends all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use exokit_model::event::{Event, Record};
use exokit_model::ids::{NodeKey, OperationId};
use exokit_model::phase::Phase;
use exokit_sim::{Config, Fault, FaultRule, Matcher};
use exokit_simtest::rig::Rig;
use exokit_simtest::{oracle, setup};

/// The most resources of one operation that were between the intent to change
/// them and its end at once.
fn most_at_once(records: &[Record]) -> usize {
    let mut under_way: BTreeMap<OperationId, BTreeSet<NodeKey>> = BTreeMap::new();
    let mut most = 0;
    for record in records {
        let Some(operation) = &record.entry.operation else { continue };
        let open = under_way.entry(operation.clone()).or_default();
        match &record.entry.event {
            Event::CreateIntended { node, .. } | Event::DeleteIntended { node, .. } => {
                open.insert(node.clone());
            }
            Event::ResourceReady { node, .. }
            | Event::ResourceGone { node, .. }
            | Event::ResourceFailed { node, .. }
            | Event::CreateRefused { node, .. }
            | Event::DeleteRefused { node, .. } => {
                open.remove(node);
            }
            _ => {}
        }
        most = most.max(open.len());
    }
    most
}

async fn rig(limit: usize) -> Rig {
    let mut rig = Rig::new(Config::default());
    rig.steps_at_once = NonZeroUsize::new(limit);
    rig.install_roster().await;
    rig
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_life_never_has_more_steps_under_way_than_the_limit() {
    for (template, limit, expected) in [(1, 1, 1), (7, 1, 1), (7, 2, 2), (7, 3, 3), (1, 10, 9), (7, 10, 10)] {
        let rig = rig(limit).await;
        let (state, phase) = setup::provisioned(&rig, template).await.unwrap();
        assert_eq!(phase, Phase::Succeeded, "T{template} with {limit}");
        let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
        let phase = rig.engine().run(&teardown.operation).await.unwrap();
        assert_eq!(phase, Phase::Succeeded, "T{template} with {limit}");
        assert_eq!(oracle::judge(&rig), Vec::<String>::new(), "T{template} with {limit}");
        assert_eq!(oracle::leftovers(&rig), Vec::<String>::new(), "T{template} with {limit}");
        assert_eq!(most_at_once(&rig.ledger.durable()), expected, "T{template} with {limit}");
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn what_many_limit_began_is_brought_to_an_end_by_one() {
    let mut rig = rig(10).await;
    let state = setup::approved_provision(&rig, 7).await.unwrap();
    let engine = rig.engine();
    let begun = tokio::time::timeout(Duration::from_secs(5), engine.run(&state.operation)).await;
    assert!(begun.is_err(), "it is under way");
    assert!(most_at_once(&rig.ledger.durable()) > 1);
    rig.crash(true);
    rig.steps_at_once = Some(NonZeroUsize::MIN);
    assert_eq!(rig.engine().run(&state.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn one_slot_is_enough_to_roll_back() {
    let rig = rig(1).await;
    let state = setup::approved_provision(&rig, 7).await.unwrap();
    let refuses = FaultRule {
        when: Matcher { operation: Some("create-sks-nodepool".to_owned()), ..Matcher::default() },
        fault: Fault::Status {
            status: 400,
            message: Some("no".to_owned()),
            retry_after: None,
            after_effect: false,
        },
    };
    rig.cloud_mut(|world| world.reconfigure(|config| config.faults.push(refuses)));
    let phase = rig.engine().run(&state.operation).await.unwrap();
    assert!(matches!(phase, Phase::RolledBack { .. }), "{phase:?}");
    assert_eq!(most_at_once(&rig.ledger.durable()), 1);
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}
