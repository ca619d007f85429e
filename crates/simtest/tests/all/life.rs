//! Every template lives and dies on the simulated cloud.

use exokit_model::phase::Phase;
use exokit_sim::Config;
use exokit_simtest::rig::Rig;
use exokit_simtest::{oracle, setup};

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn every_template_is_provisioned_and_removed_without_a_trace() {
    for template in 1..=7 {
        let rig = Rig::new(Config::default());
        rig.install_roster().await;
        let (state, phase) = setup::provisioned(&rig, template).await.unwrap();
        assert_eq!(phase, Phase::Succeeded, "T{template}");
        assert_eq!(oracle::judge(&rig), Vec::<String>::new(), "T{template}");
        let drift = rig.engine().drift(&state.plan.environment).await.unwrap();
        assert_eq!(drift.differences, [], "T{template}");
        assert!(drift.compared >= 6, "T{template}");

        let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
        let phase = rig.engine().run(&teardown.operation).await.unwrap();
        assert_eq!(phase, Phase::Succeeded, "T{template}");
        assert_eq!(oracle::judge(&rig), Vec::<String>::new(), "T{template}");
        assert_eq!(oracle::leftovers(&rig), Vec::<String>::new(), "T{template}");
    }
}
