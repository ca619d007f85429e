//! Two processes that decide on the same phase at the same time: whatever the
//! order, the ledger stays one that can be folded.

use std::time::Duration;

use exokit_model::approval::Decision;
use exokit_model::phase::Phase;
use exokit_sim::{Config, Fault, FaultRule, Matcher};
use exokit_simtest::rig::Rig;
use exokit_simtest::{oracle, setup};

async fn rig(faults: Vec<FaultRule>) -> Rig {
    let rig = Rig::new(Config { faults, ..Config::default() });
    rig.install_roster().await;
    rig
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_denial_at_the_moment_of_the_start_is_before_or_after_it() {
    let (mut before, mut after) = (0, 0);
    // A round trip takes 60 ms; within this span the start happens.
    for offset in 0..130 {
        let rig = rig(Vec::new()).await;
        let state = setup::approved_provision(&rig, 3).await.unwrap();
        let (runs, denies) = (rig.engine(), rig.engine());
        let token = rig.vote("robin", &state, Decision::Deny);
        let deny = async {
            tokio::time::sleep(Duration::from_millis(offset)).await;
            for _ in 0..offset % 5 {
                tokio::task::yield_now().await;
            }
            denies.vote(&state.operation, &token).await
        };
        let (ran, denied) = tokio::join!(runs.run(&state.operation), deny);
        denied.unwrap();
        let folded = rig.engine().operation(&state.operation).await.unwrap();
        match (&folded.phase, ran) {
            (Phase::Rejected { .. }, _) => before += 1,
            (Phase::NeedsHuman { .. }, Ok(_)) => after += 1,
            other => panic!("offset {offset}: {other:?}"),
        }
    }
    assert!(before > 0 && after > 0, "{before} denials came before the start, {after} after it");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn of_two_who_let_an_operation_go_on_one_is_refused() {
    for yields in 0..12 {
        let fault = Fault::Status { status: 401, message: None, retry_after: None, after_effect: false };
        let when = Matcher { times: Some(1), ..Matcher::every("create-sks-nodepool") };
        let rig = rig(vec![FaultRule { when, fault }]).await;
        let (state, phase) = setup::provisioned(&rig, 1).await.unwrap();
        assert!(matches!(phase, Phase::NeedsHuman { .. }));
        let (one, two) = (rig.engine(), rig.engine());
        let second = async {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            two.unpark(&state.operation, "alex", false).await
        };
        let (first, second) = tokio::join!(one.unpark(&state.operation, "dana", false), second);
        assert!(first.is_ok() != second.is_ok(), "{yields}: {first:?} {second:?}");
        assert_eq!(rig.engine().run(&state.operation).await.unwrap(), Phase::Succeeded);
        assert_eq!(oracle::judge(&rig), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn two_who_find_a_plan_out_of_date_reject_it_once() {
    for yields in 0..12 {
        let rig = rig(Vec::new()).await;
        let state = setup::approved_provision(&rig, 1).await.unwrap();
        tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
        let (one, two) = (rig.engine(), rig.engine());
        let second = async {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            two.run(&state.operation).await
        };
        let (first, second) = tokio::join!(one.run(&state.operation), second);
        assert!(first.is_err() || matches!(first, Ok(Phase::Rejected { .. })), "{first:?}");
        assert!(second.is_err() || matches!(second, Ok(Phase::Rejected { .. })), "{second:?}");
        let folded = rig.engine().operation(&state.operation).await.unwrap();
        assert!(matches!(folded.phase, Phase::Rejected { .. }));
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn of_two_rosters_of_one_version_one_is_refused() {
    for yields in 0..12 {
        let rig = rig(Vec::new()).await;
        let (one, two) = (rig.engine(), rig.engine());
        let (first, second) = (rig.next_roster("alex"), rig.next_roster("robin"));
        let later = async {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            two.install_roster(&second).await
        };
        let (first, second) = tokio::join!(one.install_roster(&first), later);
        assert!(first.is_ok() != second.is_ok(), "{yields}: {first:?} {second:?}");
        assert_eq!(rig.engine().roster().await.unwrap().version, 2);
    }
}
