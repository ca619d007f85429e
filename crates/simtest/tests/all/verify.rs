//! Verification: each promise of every template is checked, and a promise that
//! is broken by hand fails its own check.

use exokit_engine::verify::Verification;
use exokit_model::phase::Phase;
use exokit_sim::Config;
use exokit_simtest::rig::{Rig, request};
use exokit_simtest::setup;

async fn made(template: u16) -> (Rig, Verification) {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let (state, phase) = setup::provisioned(&rig, template).await.unwrap();
    assert_eq!(phase, Phase::Succeeded, "T{template}");
    let level = request(template).template_level;
    let verification = rig.engine().verify(&state.plan.environment, level).await.unwrap();
    (rig, verification)
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn every_promise_of_every_template_is_kept() {
    for template in 1..=7 {
        let (_, verification) = made(template).await;
        let failed: Vec<_> = verification.checks.iter().filter(|check| !check.passed).collect();
        assert!(failed.is_empty(), "T{template}: {failed:#?}");
        assert_eq!(verification.checks.len(), 10 + 18);
    }
}
