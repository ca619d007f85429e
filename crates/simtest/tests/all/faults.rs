//! One story per fault: what the engine does about it, and that the fault
//! really happened.

use exokit_ledger::OperationState;
use exokit_model::approval::Decision;
use exokit_model::event::Event;
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;
use exokit_sim::{Config, Effect, Fault, FaultRule, Kind, Matcher, World};
use exokit_simtest::rig::{Rig, person};
use exokit_simtest::{oracle, setup};

fn with_faults(faults: Vec<(Matcher, Fault)>) -> Config {
    let faults = faults.into_iter().map(|(when, fault)| FaultRule { when, fault }).collect();
    Config { faults, ..Config::default() }
}

fn status(status: u16, message: &str) -> Fault {
    Fault::Status { status, message: Some(message.to_owned()), retry_after: None, after_effect: false }
}

async fn rig(config: Config) -> Rig {
    let rig = Rig::new(config);
    rig.install_roster().await;
    rig
}

/// How often an event of this name was recorded.
fn count(rig: &Rig, name: &str) -> usize {
    rig.ledger.durable().iter().filter(|record| record.entry.event.name() == name).count()
}

fn effects(rig: &Rig) -> u64 {
    rig.world.with(|world: &mut World| world.effects().values().sum()).unwrap()
}

/// How often one effect was seen.
fn effect(rig: &Rig, name: &str) -> u64 {
    rig.world.with(|world: &mut World| world.effects().get(name).copied().unwrap_or_default()).unwrap()
}

/// Runs a provision under faults and expects it to end well, with at least
/// `hits` faults in effect.
async fn survives(template: u16, faults: Vec<(Matcher, Fault)>, hits: u64) -> (Rig, OperationState) {
    let rig = rig(with_faults(faults)).await;
    let (state, phase) = setup::provisioned(&rig, template).await.unwrap();
    assert_eq!(phase, Phase::Succeeded);
    assert!(effects(&rig) >= hits, "{hits} faults were to have an effect, {} had", effects(&rig));
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
    (rig, state)
}

const CREATES: [&str; 9] = [
    "create-security-group",
    "add-rule-to-security-group",
    "create-anti-affinity-group",
    "create-sks-cluster",
    "create-sks-nodepool",
    "create-dbaas-service-pg",
    "create-bucket",
    "create-iam-role",
    "create-api-key",
];

fn first_of_each(fault: &Fault) -> Vec<(Matcher, Fault)> {
    CREATES.iter().map(|operation| (Matcher::nth(operation, 1), fault.clone())).collect()
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_lost_reply_leads_to_adoption_and_a_lost_secret_to_a_new_key() {
    // A bucket's reply has no body that could be garbled.
    for (fault, adopted) in [(Fault::DropAfter, 8), (Fault::Garbage, 7)] {
        let (rig, _) = survives(3, first_of_each(&fault), 8).await;
        assert_eq!(count(&rig, "create-adopted"), adopted, "{fault:?}: all but the key are adopted");
        assert_eq!(count(&rig, "resource-gone"), 1, "{fault:?}: the key without its secret is removed");
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_proxy_error_after_the_effect_leads_to_adoption() {
    let fault = Fault::Status { status: 502, message: None, retry_after: None, after_effect: true };
    let (rig, _) = survives(3, first_of_each(&fault), 8).await;
    assert!(count(&rig, "create-adopted") >= 8);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_lost_request_is_sent_again_only_after_its_signature_expired() {
    let (rig, _) = survives(3, first_of_each(&Fault::DropBefore), 9).await;
    assert_eq!(count(&rig, "create-absent"), 9);
    for record in rig.ledger.durable() {
        if let Event::CreateAbsent { node, .. } = &record.entry.event {
            let intents = rig.ledger.durable();
            let expiry = intents.iter().find_map(|intent| match &intent.entry.event {
                Event::CreateIntended { node: own, attempt: 1, expires_at, .. } if own == node => {
                    Some(*expires_at)
                }
                _ => None,
            });
            assert!(record.entry.at > expiry.unwrap(), "{node} was given up before it could no longer start");
        }
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_request_that_arrives_late_is_adopted_or_comes_too_late() {
    let (rig, _) = survives(3, first_of_each(&Fault::Late { delay_ms: 20_000 }), 9).await;
    assert!(count(&rig, "create-adopted") >= 7, "those that arrived in time were adopted");
    let (rig, _) = survives(3, first_of_each(&Fault::Late { delay_ms: 45_000 }), 9).await;
    assert_eq!(count(&rig, "create-adopted"), 0, "those that arrived too late were refused");
    assert!(effect(&rig, "late: refused by expiry") >= 9);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_list_that_lags_makes_no_duplicate() {
    let faults = CREATES.iter().flat_map(|operation| {
        [
            (Matcher::nth(operation, 1), Fault::ListLag { ms: 50_000 }),
            (Matcher::nth(operation, 1), Fault::DropAfter),
        ]
    });
    let (rig, _) = survives(3, faults.collect(), 9).await;
    assert!(effect(&rig, "drop-after") >= 9 && effect(&rig, "list-lag: existing missed") > 0);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_operation_that_fails_once_is_cleared_away_and_tried_again() {
    for leaves_resource in [true, false] {
        let fails = Fault::OperationFails { reason: "partial".into(), message: None, leaves_resource };
        let faults = ["create-sks-cluster", "create-sks-nodepool", "create-security-group"]
            .map(|operation| (Matcher::nth(operation, 1), fails.clone()));
        let (rig, _) = survives(1, faults.into(), 3).await;
        assert_eq!(count(&rig, "resource-failed"), 3);
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_operation_that_stays_pending_for_ever_does_not_hide_its_resource() {
    let faults = vec![(Matcher::every("create-sks-cluster"), Fault::OperationStuck)];
    survives(1, faults, 1).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn too_many_requests_are_spaced_and_end_well() {
    let busy = Fault::Status { status: 429, message: None, retry_after: Some(3), after_effect: false };
    let faults = vec![
        (Matcher { probability: Some(0.2), ..Matcher::default() }, busy),
        (
            Matcher { operation: Some("get-*".into()), probability: Some(0.2), ..Matcher::default() },
            status(503, "x"),
        ),
    ];
    survives(3, faults, 10).await;
}

/// Runs a provision that cannot succeed and expects it to leave nothing.
async fn rolls_back(template: u16, faults: Vec<(Matcher, Fault)>) -> Rig {
    let rig = rig(with_faults(faults)).await;
    let (_, phase) = setup::provisioned(&rig, template).await.unwrap();
    assert!(matches!(phase, Phase::RolledBack { .. }), "{phase:?}");
    assert!(effects(&rig) > 0);
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
    rig
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn what_cannot_be_completed_is_rolled_back_without_a_trace() {
    let fails = Fault::OperationFails { reason: "unavailable".into(), message: None, leaves_resource: true };
    rolls_back(3, vec![(Matcher::every("create-sks-nodepool"), fails)]).await;
    rolls_back(3, vec![(Matcher::every("create-sks-cluster"), status(400, "no"))]).await;
    let quota = Fault::Quota { resource: "sks-cluster".into(), limit: 0 };
    let rig = rolls_back(3, vec![(Matcher::nth("create-sks-cluster", 1), quota)]).await;
    assert_eq!(effect(&rig, "quota"), 1);
    rolls_back(3, vec![(Matcher::every("create-dbaas-service-pg"), status(403, "no access"))]).await;
    rolls_back(3, vec![(Matcher::every("create-sks-nodepool"), status(409, "busy"))]).await;
    rolls_back(7, vec![(Matcher::every("create-api-key"), status(403, "no such role"))]).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn refused_credentials_park_the_operation_and_it_goes_on_when_they_work() {
    let faults =
        vec![(Matcher { times: Some(3), ..Matcher::every("create-sks-nodepool") }, status(401, "bad key"))];
    let rig = rig(with_faults(faults)).await;
    let (state, phase) = setup::provisioned(&rig, 1).await.unwrap();
    assert!(
        matches!(phase, Phase::NeedsHuman { why: NeedsHuman::Credentials { status: 401, .. }, .. }),
        "{phase:?}"
    );
    rig.world.with(|world: &mut World| world.reconfigure(|config| config.faults.clear())).unwrap();
    rig.engine().unpark(&state.operation, "dana", false).await.unwrap();
    assert_eq!(rig.engine().run(&state.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_denial_during_the_run_stops_new_creations_and_a_human_can_roll_back() {
    let rig = rig(Config::default()).await;
    let state = setup::approved_provision(&rig, 3).await.unwrap();
    let engine = rig.engine();
    let deny = async {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        let token = rig.vote("robin", &state, Decision::Deny);
        rig.engine().vote(&state.operation, &token).await
    };
    let (phase, denied) = tokio::join!(engine.run(&state.operation), deny);
    denied.unwrap();
    assert!(matches!(phase.unwrap(), Phase::NeedsHuman { why: NeedsHuman::ApprovalLost { .. }, .. }));
    assert_eq!(count(&rig, "denial-recorded"), 1);
    let pool = rig.world.with(|world: &mut World| world.live()).unwrap();
    assert!(
        !pool.iter().any(|resource| resource.kind == Kind::SksNodepool),
        "nothing was made after the denial"
    );
    rig.engine().unpark(&state.operation, "dana", true).await.unwrap();
    let phase = rig.engine().run(&state.operation).await.unwrap();
    assert!(matches!(phase, Phase::RolledBack { .. }), "{phase:?}");
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn what_the_cloud_made_for_the_environment_goes_with_it() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 3).await.unwrap();
    let (pool, machine) = rig
        .world
        .with(|world: &mut World| {
            let live = world.live();
            let id = |kind| live.iter().find(|r| r.kind == kind).unwrap().id.clone();
            (id(Kind::InstancePool), id(Kind::Instance))
        })
        .unwrap();
    let foreign = rig
        .world
        .with(|world: &mut World| {
            world.plant_load_balancer("k8s-0f8b6a52", &pool, "ch-dk-2");
            world.plant_volume("pvc-1", 10, "ch-dk-2", Some(&machine));
            world.plant_volume("pvc-of-somebody-else", 10, "ch-dk-2", None)
        })
        .unwrap();
    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    let destroys: Vec<&str> = teardown.plan.destroys.iter().map(|destroy| destroy.name.raw()).collect();
    assert!(destroys.contains(&"k8s-0f8b6a52") && destroys.contains(&"pvc-1"), "{destroys:?}");
    assert_eq!(u8::from(teardown.plan.level), 3, "a volume is data");
    assert_eq!(rig.engine().run(&teardown.operation).await.unwrap(), Phase::Succeeded);
    let left = oracle::leftovers(&rig);
    assert!(left.len() == 1 && left[0].contains(&foreign), "{left:?}");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_volume_that_is_not_in_the_plan_keeps_its_machines_until_a_plan_names_it() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 1).await.unwrap();
    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    let machine = rig.cloud(World::live).into_iter().find(|r| r.kind == Kind::Instance).unwrap().id;
    let volume = rig.cloud_mut(|world| world.plant_volume("pvc-late", 10, "ch-dk-2", Some(&machine)));
    let phase = rig.engine().run(&teardown.operation).await.unwrap();
    let Phase::NeedsHuman { why: NeedsHuman::Unplanned { found, .. }, .. } = &phase else {
        panic!("{phase:?}")
    };
    assert_eq!(found, &[format!("block-volume pvc-late ({volume})").as_str()]);
    assert!(rig.cloud(World::live).iter().any(|r| r.id == machine), "the pool stands");
    // It is stopped, and the next plan says what it destroys.
    rig.engine().unpark(&teardown.operation, "dana", true).await.unwrap();
    rig.engine().run(&teardown.operation).await.unwrap();
    let again = setup::approved_teardown(&rig, &state).await.unwrap();
    assert!(again.plan.destroys.iter().any(|destroy| destroy.name == "pvc-late"));
    assert_eq!(rig.engine().run(&again.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_load_balancer_that_is_not_in_the_plan_keeps_the_pool_until_a_human_acts() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 1).await.unwrap();
    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    let pool = rig.world.with(|world: &mut World| world.live()).unwrap();
    let pool = pool.iter().find(|r| r.kind == Kind::InstancePool).unwrap().id.clone();
    let balancer =
        rig.world.with(|w: &mut World| w.plant_load_balancer("k8s-late", &pool, "ch-dk-2")).unwrap();
    let phase = rig.engine().run(&teardown.operation).await.unwrap();
    assert!(matches!(phase, Phase::NeedsHuman { why: NeedsHuman::Unplanned { .. }, .. }), "{phase:?}");
    rig.world.with(|world: &mut World| world.human_delete(Kind::LoadBalancer, &balancer)).unwrap();
    rig.engine().unpark(&teardown.operation, "dana", false).await.unwrap();
    assert_eq!(rig.engine().run(&teardown.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn what_a_human_changed_is_reported_and_never_made_again() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 3).await.unwrap();
    let changed = rig
        .world
        .with(|world: &mut World| {
            let live = world.live();
            let id = |kind| live.iter().find(|r| r.kind == kind).unwrap().id.clone();
            world.human_delete(
                Kind::ApiKey,
                &live.iter().find(|r| r.name.starts_with("stargate") && r.kind == Kind::ApiKey).unwrap().id,
            ) && world.human_relabel(
                Kind::SksCluster,
                &id(Kind::SksCluster),
                &std::collections::BTreeMap::new(),
            )
        })
        .unwrap();
    assert!(changed);
    let changes = |world: &mut World| world.journal().iter().filter(|e| e.effect != Effect::None).count();
    let before = rig.world.with(changes).unwrap();
    let drift = rig.engine().drift(&state.plan.environment).await.unwrap();
    let fields: Vec<String> = drift.differences.iter().map(|d| format!("{} {}", d.node, d.field)).collect();
    assert_eq!(fields, ["cluster /labels", "bucket-key presence"]);
    let after = rig.world.with(changes).unwrap();
    assert_eq!(before, after, "a drift check changes nothing");
    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    assert_eq!(rig.engine().run(&teardown.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_foreign_resource_with_our_mark_is_neither_adopted_nor_removed() {
    let faults = vec![(Matcher::nth("create-sks-cluster", 1), Fault::DropBefore)];
    let rig = rig(with_faults(faults)).await;
    let state = setup::approved_provision(&rig, 1).await.unwrap();
    let cluster = state.plan.graph.nodes().iter().find(|node| node.key.as_str() == "cluster").unwrap();
    let labels = cluster.create.as_ref().unwrap().body.as_ref().unwrap()["labels"].clone();
    let foreign = rig
        .world
        .with(|world: &mut World| {
            let doc = serde_json::json!({"name": "mine", "level": "pro", "version": "1.33.8", "state": "running",
                "labels": labels, "description": "made by hand"});
            world.plant_foreign(Kind::SksCluster, Some("ch-dk-2"), doc)
        })
        .unwrap();
    assert_eq!(rig.engine().run(&state.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(count(&rig, "create-absent"), 1, "the look-alike was not taken for ours");
    let orphans = rig.engine().orphans(&"ch-dk-2".parse().unwrap()).await.unwrap();
    assert!(orphans.iter().any(|orphan| orphan.id == foreign), "the sweep reports it");
    let alive = rig.world.with(|world: &mut World| world.live()).unwrap();
    assert!(alive.iter().any(|resource| resource.id == foreign));
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_expired_environment_asks_for_its_teardown_once() {
    let rig = rig(Config::default()).await;
    let mut request = exokit_simtest::rig::request(1);
    request.spec.ttl_seconds = Some(3600);
    let engine = rig.engine();
    let plan = engine.plan_provision(request, None).await.unwrap();
    let state = engine.propose(&plan, None).await.unwrap();
    rig.approve(&state).await;
    assert_eq!(engine.run(&state.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(engine.expire().await.unwrap().len(), 0, "it is too early");
    tokio::time::sleep(std::time::Duration::from_secs(3700)).await;
    let asked = engine.expire().await.unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].requester, person("dana"));
    assert_eq!(engine.expire().await.unwrap().len(), 0, "it asks once");
    let refused = engine.run(&asked[0].plan_id.operation()).await.unwrap_err();
    assert_eq!(refused.code(), "missing-votes", "expiry alone destroys nothing");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn two_engines_never_run_one_operation_together() {
    let rig = rig(Config::default()).await;
    let state = setup::approved_provision(&rig, 1).await.unwrap();
    let (one, two) = (rig.engine(), rig.engine());
    let (first, second) = tokio::join!(one.run(&state.operation), async {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        two.run(&state.operation).await
    });
    assert_eq!(first.unwrap(), Phase::Succeeded);
    assert_eq!(second.unwrap_err().code(), "ledger");
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_key_of_another_account_proves_nothing_gone() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 1).await.unwrap();
    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    let other = "5f0c0de0-0000-4000-8000-000000000002".to_owned();
    rig.world.with(|world: &mut World| world.reconfigure(|config| config.organization_id = other)).unwrap();
    let engine = rig.engine();
    let name = &state.plan.environment;
    assert_eq!(engine.run(&teardown.operation).await.unwrap_err().code(), "other-account");
    assert_eq!(engine.plan_teardown(name, &person("dana"), None).await.unwrap_err().code(), "other-account");
    assert_eq!(engine.drift(name).await.unwrap_err().code(), "other-account");
    assert_eq!(engine.orphans(&"ch-dk-2".parse().unwrap()).await.unwrap_err().code(), "other-account");
    assert_eq!(count(&rig, "account-bound"), 1);
}
