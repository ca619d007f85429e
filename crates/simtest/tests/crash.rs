//! A crash at every await: the engine is dropped at each place where it
//! suspends and started again from the durable half of the ledger.

use exokit_engine::state::OperationState;
use exokit_model::phase::Phase;
use exokit_sim::Config;
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
async fn length(verb: Verb, template: u16) -> u64 {
    let (rig, state) = ready_to(verb, template).await;
    let engine = rig.engine();
    match after_polls(engine.run(&state.operation), u64::MAX).await {
        Ran::Done(phase, polls) => {
            assert_eq!(phase.unwrap(), Phase::Succeeded);
            polls
        }
        Ran::Crashed => unreachable!("it may poll as often as it likes"),
    }
}

/// Crashes after `polls`, starts again, and returns what is wrong.
async fn crash_at(verb: Verb, template: u16, polls: u64, keep_volatile: bool) -> Vec<String> {
    let (mut rig, state) = ready_to(verb, template).await;
    let engine = rig.engine();
    let ran = after_polls(engine.run(&state.operation), polls).await;
    if let Ran::Done(phase, done) = ran {
        return vec![format!("no crash: it ended after {done} polls as {phase:?}")];
    }
    drop(engine);
    rig.crash(keep_volatile);
    let mut wrong = Vec::new();
    match rig.engine().run(&state.operation).await {
        Ok(Phase::Succeeded) => {}
        other => wrong.push(format!("it ended as {other:?}")),
    }
    wrong.extend(oracle::judge(&rig));
    if verb == Verb::Teardown {
        wrong.extend(oracle::leftovers(&rig));
    }
    wrong
}

async fn matrix(verb: Verb, template: u16) {
    let polls = length(verb, template).await;
    // The last poll is the one that ends it, so it is no place to crash.
    let mut points = 0;
    for at in 0..polls {
        for keep_volatile in [false, true] {
            let wrong = crash_at(verb, template, at, keep_volatile).await;
            assert_eq!(
                wrong,
                Vec::<String>::new(),
                "T{template} {verb:?}, crash after poll {at}, volatile half kept: {keep_volatile}"
            );
            points += 1;
        }
    }
    println!("T{template} {verb:?}: {points} crashes at {polls} awaits, all clean");
    assert_eq!(points, polls * 2, "every await was a crash point");
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
