//! A crash at every await: the engine is dropped at each place where it
//! suspends and started again from the durable half of the ledger.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;

use exokit_engine::state::OperationState;
use exokit_model::phase::Phase;
use exokit_sim::{Config, World};
use exokit_simtest::crash::{Ran, after_polls};
use exokit_simtest::rig::Rig;
use exokit_simtest::{oracle, story};

/// The settings of a crash run: requests whose client died on the way still
/// arrive, some time later, as on a real network.
fn config() -> Config {
    let mut config = Config::default();
    config.policies.cancelled_arrives_after_ms = Some(7_000);
    config
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Verb {
    Provision,
    Teardown,
}

/// A fresh world in which the operation under test is approved.
async fn ready_to(verb: Verb, template: u16) -> (Rig, OperationState) {
    let rig = Rig::new(config());
    rig.install_roster().await;
    match verb {
        Verb::Provision => {
            let state = story::approved_provision(&rig, template).await.unwrap();
            (rig, state)
        }
        Verb::Teardown => {
            let (provision, phase) = story::provisioned(&rig, template).await.unwrap();
            assert_eq!(phase, Phase::Succeeded);
            let state = story::approved_teardown(&rig, &provision).await.unwrap();
            (rig, state)
        }
    }
}

/// How many polls the operation takes when nothing goes wrong.
async fn length(rig: &Rig, state: &OperationState) -> u64 {
    let engine = rig.engine();
    match after_polls(engine.run(&state.operation), u64::MAX).await {
        Ran::Done(phase, polls) => {
            assert_eq!(phase.unwrap(), Phase::Succeeded);
            polls
        }
        Ran::Crashed => unreachable!("it may poll as often as it likes"),
    }
}

/// What came of all crashes of one matrix.
#[derive(Debug, Default)]
struct Tally {
    crashes: u64,
    adopted: usize,
    found_absent: usize,
    arrived_late: u64,
}

/// Crashes after `polls`, starts again, and returns what is wrong.
async fn crash_at(
    verb: Verb,
    mut rig: Rig,
    state: &OperationState,
    polls: u64,
    keep: bool,
    tally: &mut Tally,
) -> Vec<String> {
    let engine = rig.engine();
    let ran = after_polls(engine.run(&state.operation), polls).await;
    if let Ran::Done(phase, done) = ran {
        return vec![format!("no crash: it ended after {done} polls as {phase:?}")];
    }
    drop(engine);
    rig.crash(keep);
    let mut wrong = Vec::new();
    match rig.engine().run(&state.operation).await {
        Ok(Phase::Succeeded) => {}
        other => wrong.push(format!("it ended as {other:?}")),
    }
    wrong.extend(oracle::judge(&rig));
    if verb == Verb::Teardown {
        wrong.extend(oracle::leftovers(&rig));
    }
    let records = rig.ledger.durable();
    let count = |name: &str| records.iter().filter(|record| record.entry.event.name() == name).count();
    tally.crashes += 1;
    tally.adopted += count("create-adopted");
    tally.found_absent += count("create-absent");
    tally.arrived_late += late_arrivals(&rig);
    wrong
}

/// Requests that were executed after their client had died.
fn late_arrivals(rig: &Rig) -> u64 {
    rig.world
        .with(|world: &mut World| world.effects().get("late: executed").copied().unwrap_or_default())
        .unwrap()
}

async fn matrix(verb: Verb, template: u16) {
    let (rig, state) = ready_to(verb, template).await;
    let now = rig.now();
    let polls = length(&rig.fork(now), &state).await;
    let mut tally = Tally::default();
    // The last poll is the one that ends it, so it is no place to crash.
    for at in 0..polls {
        for keep in [false, true] {
            let wrong = crash_at(verb, rig.fork(now), &state, at, keep, &mut tally).await;
            assert_eq!(
                wrong,
                Vec::<String>::new(),
                "T{template} {verb:?}, crash after poll {at}, volatile half kept: {keep}"
            );
        }
    }
    // Not through the macro, whose output the test runner keeps to itself.
    let line = format!("T{template} {verb:?}: {polls} awaits, {tally:?}, all clean\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    assert_eq!(tally.crashes, polls * 2, "every await was a crash point");
    assert!(tally.arrived_late > 0, "requests of dead clients did arrive");
    if verb == Verb::Provision {
        assert!(tally.adopted > 0 && tally.found_absent > 0, "both outcomes of doubt were met: {tally:?}");
    }
}

macro_rules! crash_at_every_await {
    ($($name:ident: $verb:ident $template:literal;)*) => {$(
        #[tokio::test(flavor = "current_thread", start_paused = true)]
        async fn $name() {
            matrix(Verb::$verb, $template).await;
        }
    )*};
}

crash_at_every_await! {
    t1_provision_survives_a_crash_at_every_await: Provision 1;
    t1_teardown_survives_a_crash_at_every_await: Teardown 1;
    t3_provision_survives_a_crash_at_every_await: Provision 3;
    t3_teardown_survives_a_crash_at_every_await: Teardown 3;
    t7_provision_survives_a_crash_at_every_await: Provision 7;
    t7_teardown_survives_a_crash_at_every_await: Teardown 7;
}
