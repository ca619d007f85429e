//! The oracle itself: each of its checks fails on evidence that was tampered
//! with, and on nothing else.

use std::sync::Arc;

use exokit_model::event::Event;
use exokit_model::phase::Phase;
use exokit_sim::{Config, Effect};
use exokit_simtest::oracle::Evidence;
use exokit_simtest::rig::Rig;
use exokit_simtest::setup;

/// Tampers with good evidence and expects the oracle to say `word`.
async fn check(word: &str, tamper: impl FnOnce(&mut Evidence)) {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let (_, phase) = setup::provisioned(&rig, 3).await.unwrap();
    assert_eq!(phase, Phase::Succeeded);
    let mut evidence = Evidence::of(&rig);
    assert_eq!(evidence.judge(), Vec::<String>::new());
    tamper(&mut evidence);
    let wrong = evidence.judge();
    assert!(wrong.iter().any(|line| line.starts_with(word)), "{word}: {wrong:?}");
}

fn without(evidence: &mut Evidence, is: impl Fn(&Event) -> bool) {
    let at = evidence.records.iter().rposition(|record| is(&record.entry.event)).unwrap();
    evidence.records.remove(at);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn every_check_can_fail() {
    check("orphan", |e| {
        let mut copy = e.live.iter().find(|r| r.labels.contains_key("exokit-token")).unwrap().clone();
        copy.id.push('0');
        e.live.push(copy);
    })
    .await;
    check("duplicate", |e| {
        let mut copy = e.live.iter().find(|r| r.labels.contains_key("exokit-token")).unwrap().clone();
        copy.id.push('0');
        e.live.push(copy);
    })
    .await;
    check("ghost", |e| e.live.retain(|resource| !resource.labels.contains_key("exokit-token"))).await;
    check("unintended", |e| without(e, |event| matches!(event, Event::CreateIntended { .. }))).await;
    check("unintended", |e| {
        let made =
            |entry: &&mut Arc<exokit_sim::JournalEntry>| matches!(entry.effect, Effect::Created { .. });
        Arc::make_mut(e.journal.iter_mut().find(made).unwrap()).body.push(' ');
    })
    .await;
    check("unintended", |e| {
        let made =
            |entry: &&mut Arc<exokit_sim::JournalEntry>| matches!(entry.effect, Effect::Created { .. });
        Arc::make_mut(e.journal.iter_mut().find(made).unwrap()).at_ms += 31_000;
    })
    .await;
    check("unplanned", |e| {
        let pool = |entry: &&mut Arc<exokit_sim::JournalEntry>| entry.operation == "create-sks-nodepool";
        let entry = Arc::make_mut(e.journal.iter_mut().find(pool).unwrap());
        entry.body = entry.body.replace("\"size\":2", "\"size\":20");
    })
    .await;
    check("unapproved", |e| without(e, |event| matches!(event, Event::ApprovalRecorded { .. }))).await;
    check("chain", |e| e.records.swap(1, 2)).await;
}
