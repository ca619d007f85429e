//! What lives for a time only: signs of life, warnings, and the removal that
//! the approval of the environment allowed.

use std::time::Duration;

use exokit_approval::roster::change_policy;
use exokit_engine::propose::ExtensionRequest;
use exokit_engine::vote::Voted;
use exokit_ledger::OperationState;
use exokit_model::approval::Decision;
use exokit_model::break_glass::BreakGlass;
use exokit_model::cost::{ApprovalLevel, CostPolicy};
use exokit_model::phase::Phase;
use exokit_model::spec::{AtExpiry, EnvironmentSpec};
use exokit_sim::Config;
use exokit_simtest::oracle;
use exokit_simtest::rig::{Rig, extension, person, request};

const LIFE: u64 = 7_200;

async fn rig() -> Rig {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    rig
}

/// An environment that is ready, with what its spec says beside the template.
async fn ready(rig: &Rig, template: u16, with: impl FnOnce(&mut EnvironmentSpec)) -> OperationState {
    let engine = rig.engine();
    let mut asked = request(template);
    with(&mut asked.spec);
    let plan = engine.plan_provision(asked, None).await.unwrap();
    let state = engine.propose(&plan, None).await.unwrap();
    rig.approve(&state).await;
    assert_eq!(engine.run(&state.operation).await.unwrap(), Phase::Succeeded);
    state
}

fn removed(spec: &mut EnvironmentSpec) {
    spec.ttl_seconds = Some(LIFE);
    spec.at_expiry = AtExpiry::Remove;
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// How often an event of this name was recorded.
fn count(rig: &Rig, name: &str) -> usize {
    rig.ledger.durable().iter().filter(|record| record.entry.event.name() == name).count()
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_approves_the_environment_approves_its_removal() {
    for (template, level) in [(1, ApprovalLevel::Two), (3, ApprovalLevel::Three)] {
        let rig = rig().await;
        let state = ready(&rig, template, removed).await;
        assert_eq!(state.plan.level, level, "the level is that of its removal");
        let name = &state.plan.environment;
        let engine = rig.engine();

        let early = engine.plan_teardown(name, &person("dana"), None).await.unwrap();
        let early = engine.propose(&early, None).await.unwrap();
        assert_eq!(engine.run(&early.operation).await.unwrap_err().code(), "missing-votes");
        rig.engine().vote(&early.operation, &rig.vote("alex", &early, Decision::Deny)).await.unwrap();

        pass(LIFE).await;
        let [plan] = engine.expire().await.unwrap().try_into().unwrap();
        assert_eq!(engine.run(&plan.plan_id.operation()).await.unwrap(), Phase::Succeeded);
        assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
        assert_eq!(oracle::judge(&rig), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_vote_that_no_longer_counts_covers_no_removal() {
    let rig = rig().await;
    let state = ready(&rig, 1, removed).await;
    let engine = rig.engine();
    engine.install_roster(&rig.next_roster("alex")).await.unwrap();
    pass(LIFE).await;
    let [plan] = engine.expire().await.unwrap().try_into().unwrap();
    assert_eq!(engine.run(&plan.plan_id.operation()).await.unwrap_err().code(), "missing-votes");
    let view = engine.operation(&state.operation).await.unwrap();
    assert_eq!(view.phase, Phase::Succeeded, "it is still there");
    assert!(!oracle::leftovers(&rig).is_empty());
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_denial_holds_the_removal_until_the_end_has_moved() {
    let rig = rig().await;
    let state = ready(&rig, 1, removed).await;
    let (engine, name) = (rig.engine(), &state.plan.environment);
    pass(LIFE).await;
    let [plan] = engine.expire().await.unwrap().try_into().unwrap();
    let removal = engine.operation(&plan.plan_id.operation()).await.unwrap();
    engine.vote(&removal.operation, &rig.vote("kim", &removal, Decision::Deny)).await.unwrap();
    let ended = engine.run(&removal.operation).await.unwrap();
    assert!(matches!(ended, Phase::Rejected { .. }), "{ended:?}");
    for _ in 0..3 {
        assert_eq!(engine.expire().await.unwrap(), []);
        pass(LIFE).await;
    }
    let longer = engine.plan_extend(extension(name, 6 * LIFE), None).await.unwrap();
    let longer = engine.propose(&longer, None).await.unwrap();
    rig.approve(&longer).await;
    assert_eq!(engine.run(&longer.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(engine.expire().await.unwrap(), []);
    pass(6 * LIFE).await;
    let [plan] = engine.expire().await.unwrap().try_into().unwrap();
    assert_eq!(engine.run(&plan.plan_id.operation()).await.unwrap(), Phase::Succeeded);
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn signs_of_life_keep_it_and_their_end_removes_it() {
    const WAIT: u64 = 600;
    let rig = rig().await;
    let state = ready(&rig, 1, |spec| {
        spec.keep_alive_seconds = Some(WAIT);
        spec.at_expiry = AtExpiry::Remove;
    })
    .await;
    let (engine, name) = (rig.engine(), &state.plan.environment);
    for round in 0..6 {
        pass(WAIT / 2).await;
        let by = if round % 2 == 0 { "dana" } else { "dana-agent" };
        let until = engine.keep_alive(name, &person(by)).await.unwrap();
        assert_eq!(until.duration_since(rig.now()).unsigned_abs(), Duration::from_secs(WAIT));
        assert_eq!(engine.expire().await.unwrap(), [], "it is kept");
        assert_eq!(engine.warn().await.unwrap(), [], "its end is not near");
    }
    assert_eq!(engine.keep_alive(name, &person("alex")).await.unwrap_err().code(), "not-owner");
    pass(WAIT - WAIT / 20).await;
    assert_eq!(engine.warn().await.unwrap(), std::slice::from_ref(name));
    assert_eq!(engine.warn().await.unwrap(), [], "each end is warned of once");
    pass(WAIT / 10).await;
    let [plan] = engine.expire().await.unwrap().try_into().unwrap();
    assert_eq!(engine.run(&plan.plan_id.operation()).await.unwrap(), Phase::Succeeded);
    assert_eq!(engine.keep_alive(name, &person("dana")).await.unwrap_err().code(), "no-environment");
    assert_eq!((count(&rig, "kept-alive"), count(&rig, "expiry-warned")), (6, 1));
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_warning_comes_once_for_each_end() {
    let rig = rig().await;
    let state = ready(&rig, 1, |spec| spec.ttl_seconds = Some(LIFE)).await;
    let (engine, name) = (rig.engine(), &state.plan.environment);
    assert_eq!(engine.keep_alive(name, &person("dana")).await.unwrap_err().code(), "no-keep-alive");
    let warnings = async |seconds: u64| {
        let mut warned = 0;
        for _ in 0..seconds / 60 {
            pass(60).await;
            warned += engine.warn().await.unwrap().len();
        }
        warned
    };
    assert_eq!(warnings(LIFE / 2).await, 0);
    assert_eq!(warnings(LIFE / 2 - 60).await, 1);
    let longer = engine.plan_extend(extension(name, LIFE), None).await.unwrap();
    let longer = engine.propose(&longer, None).await.unwrap();
    rig.approve(&longer).await;
    engine.run(&longer.operation).await.unwrap();
    assert_eq!(warnings(LIFE / 2).await, 0);
    assert_eq!(warnings(LIFE).await, 1, "the new end, and none after it");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_extension_gives_no_end_to_what_has_none() {
    let rig = rig().await;
    let state = ready(&rig, 1, |spec| spec.ttl_seconds = None).await;
    let refused = rig.engine().plan_extend(extension(&state.plan.environment, LIFE), None).await;
    assert_eq!(refused.unwrap_err().code(), "shortened");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn the_policy_bounds_the_whole_life() {
    let rig = rig().await;
    let engine = rig.engine();
    let policy = CostPolicy { life_seconds_max: Some(2 * LIFE), ..CostPolicy::default() };
    let roster = change_policy(&rig.roster(), policy, rig.now()).unwrap();
    engine.install_roster(&rig.signed(&roster)).await.unwrap();
    for ttl in [None, Some(2 * LIFE + 1)] {
        let mut asked = request(1);
        asked.spec.ttl_seconds = ttl;
        assert_eq!(engine.plan_provision(asked, None).await.unwrap_err().code(), "life-too-long");
    }
    let state = ready(&rig, 1, |spec| spec.ttl_seconds = Some(LIFE)).await;
    let extend = |seconds| engine.plan_extend(extension(&state.plan.environment, seconds), None);
    assert_eq!(extend(LIFE + 1).await.unwrap_err().code(), "life-too-long");
    for part in [LIFE / 2, LIFE - LIFE / 2] {
        let longer = engine.propose(&extend(part).await.unwrap(), None).await.unwrap();
        rig.approve(&longer).await;
        assert_eq!(engine.run(&longer.operation).await.unwrap(), Phase::Succeeded);
    }
    assert_eq!(extend(1).await.unwrap_err().code(), "life-too-long", "small steps lead no further");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_breaks_the_glass_goes_past_the_policy_with_two_persons() {
    let rig = rig().await;
    let engine = rig.engine();
    let policy = CostPolicy { life_seconds_max: Some(LIFE), ..CostPolicy::default() };
    let roster = change_policy(&rig.roster(), policy, rig.now()).unwrap();
    engine.install_roster(&rig.signed(&roster)).await.unwrap();
    let why = || Some("the audit is not over".parse().unwrap());
    let mut asked = request(1);
    asked.spec.ttl_seconds = None;
    asked.break_glass = why();
    let plan = engine.plan_provision(asked, None).await.unwrap();
    assert_eq!(plan.level, ApprovalLevel::Three, "{:?}", plan.level_reasons);
    assert!(plan.level_reasons[0].why.raw().contains("the audit is not over"), "{:?}", plan.level_reasons);

    let state = ready(&rig, 1, |spec| spec.ttl_seconds = Some(LIFE)).await;
    let longer = ExtensionRequest { break_glass: why(), ..extension(&state.plan.environment, LIFE) };
    let longer = engine.propose(&engine.plan_extend(longer, None).await.unwrap(), None).await.unwrap();
    let one = rig.vote("alex", &longer, Decision::Approve);
    assert!(matches!(engine.vote(&longer.operation, &one).await.unwrap(), Voted::Counted { .. }));
    assert_eq!(engine.run(&longer.operation).await.unwrap_err().code(), "missing-votes");
    let other = rig.vote("robin", &longer, Decision::Approve);
    assert!(matches!(engine.vote(&longer.operation, &other).await.unwrap(), Voted::Enough { .. }));
    assert_eq!(engine.run(&longer.operation).await.unwrap(), Phase::Succeeded);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_plan_from_before_a_stricter_policy_does_not_start() {
    let rig = rig().await;
    let engine = rig.engine();
    let proposed = |break_glass: Option<BreakGlass>, name: &str| {
        let mut asked = request(1);
        asked.spec.environment = name.parse().unwrap();
        asked.break_glass = break_glass;
        let engine = &engine;
        async move {
            let plan = engine.plan_provision(asked, None).await.unwrap();
            engine.propose(&plan, None).await.unwrap()
        }
    };
    let plain = proposed(None, "plain").await;
    let glass = proposed(Some("the audit is not over".parse().unwrap()), "glass").await;
    rig.approve(&glass).await;
    let policy = CostPolicy { life_seconds_max: Some(60), ..CostPolicy::default() };
    let roster = change_policy(&rig.roster(), policy, rig.now()).unwrap();
    engine.install_roster(&rig.signed(&roster)).await.unwrap();
    assert_eq!(engine.run(&plain.operation).await.unwrap_err().code(), "rejected");
    assert_eq!(engine.run(&glass.operation).await.unwrap(), Phase::Succeeded);
}
