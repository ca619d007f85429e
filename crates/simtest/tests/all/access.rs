//! Access to what was built: what is handed out, to whom, and what the ledger
//! says of it.

use std::time::Duration;

use exokit_engine::access::{GrantRequest, Granted};
use exokit_engine::error::EngineError;
use exokit_ledger::{Filter, Ledger as _, OperationState};
use exokit_model::access::{Access, AccessTerms, ClusterRole, RecipientKey, RequesterProof};
use exokit_model::event::Event;
use exokit_model::ids::PlanId;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use exokit_model::secret_slot::SecretValue;
use exokit_sim::Config;
use exokit_simtest::oracle;
use exokit_simtest::rig::{Rig, person};
use exokit_simtest::setup;
use secrecy::ExposeSecret as _;

const SECRETS: Access = Access::Secrets { values: std::collections::BTreeSet::new() };
const ADMIN: Access = Access::Kubeconfig { role: ClusterRole::Admin, ttl_seconds: 3600 };
const VIEWER: Access = Access::Kubeconfig { role: ClusterRole::Viewer, ttl_seconds: 3600 };

struct Life {
    rig: Rig,
    provision: OperationState,
}

impl Life {
    async fn new(template: u16) -> Self {
        let rig = Rig::new(Config::default());
        rig.install_roster().await;
        let (provision, phase) = setup::provisioned(&rig, template).await.unwrap();
        assert_eq!(phase, Phase::Succeeded);
        Self { rig, provision }
    }

    fn request(&self, access: &Access, proof: RequesterProof) -> GrantRequest {
        let recipient = RecipientKey::new([9; 32]);
        let terms = AccessTerms { access: access.clone(), recipient };
        let environment = self.provision.plan.environment.clone();
        GrantRequest { environment, by: person("dana"), proof, terms, plan: None }
    }

    async fn grant(&self, request: &GrantRequest) -> Result<Granted, String> {
        self.rig.engine().grant(request).await.map_err(|error| error.code().to_owned())
    }

    /// A recorded plan for a request, without votes.
    async fn plan(&self, request: &GrantRequest) -> OperationState {
        let (engine, by) = (self.rig.engine(), person("dana"));
        let plan = engine.plan_access(&request.environment, &by, request.terms.clone(), None).await.unwrap();
        engine.propose(&plan, None).await.unwrap()
    }

    /// Who was handed out what, as the ledger says.
    async fn recorded(&self) -> Vec<String> {
        let records = self.rig.ledger.read(Filter::All, 0).await.unwrap();
        let granted = records.iter().filter_map(|record| match &record.entry.event {
            Event::AccessGranted { by, proof, access, .. } => Some(format!("{by} {proof} {access}")),
            _ => None,
        });
        granted.collect()
    }
}

fn with_plan(request: &GrantRequest, plan: &PlanId) -> GrantRequest {
    GrantRequest { plan: Some(plan.clone()), ..request.clone() }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_reading_is_recorded_and_the_secrets_are_not() {
    let life = Life::new(3).await;
    let granted = life.grant(&life.request(&SECRETS, RequesterProof::Bearer)).await.unwrap();
    let Granted::Secrets(found) = granted else { panic!("{granted:?}") };
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), SecretValue::FOR_PEOPLE);
    let one = Access::Secrets { values: [SecretValue::DatabasePassword].into() };
    let granted = life.grant(&life.request(&one, RequesterProof::Local)).await.unwrap();
    let Granted::Secrets(again) = granted else { panic!("{granted:?}") };
    assert_eq!(again.len(), 1);
    assert_eq!(
        life.recorded().await,
        ["dana bearer all secrets", "dana local the secrets database-password"]
    );
    let records = life.rig.ledger.read(Filter::All, 0).await.unwrap();
    let ledger = serde_json::to_string(&records).unwrap();
    let hidden = [SecretValue::DatabasePassword, SecretValue::DatabaseUri, SecretValue::SecretKey];
    for value in hidden {
        let secret = found[&value].expose_secret();
        assert!(secret.len() > 8 && !ledger.contains(secret), "{value} is in the ledger");
    }
    assert_eq!(oracle::judge(&life.rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_kubeconfig_ends_before_its_environment() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let mut request = exokit_simtest::rig::request(1);
    request.spec.ttl_seconds = Some(3600);
    let provision = setup::approved(&rig, request).await.unwrap();
    assert_eq!(rig.engine().run(&provision.operation).await.unwrap(), Phase::Succeeded);
    let life = Life { rig, provision };
    let environment = life.rig.engine().environment(&life.provision.plan.environment).await.unwrap();
    let end = environment.operations[0].started_at.unwrap() + Duration::from_secs(3600);
    let asked = life.request(&VIEWER, RequesterProof::Local);
    let granted = life.grant(&asked).await.unwrap();
    let Granted::Cluster(credentials, ends) = granted else { panic!("{granted:?}") };
    assert!(ends <= end && ends > life.rig.now(), "{ends} is after {end}");
    assert_eq!(credentials.namespace, "exo-stargate-test");
    let left = end.duration_since(life.rig.now());
    tokio::time::sleep(left.unsigned_abs() - Duration::from_secs(59)).await;
    assert_eq!(life.grant(&asked).await.unwrap_err(), "ends-soon");
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_administrator_takes_an_approved_plan_for_this_key_alone() {
    let life = Life::new(3).await;
    let asked = life.request(&ADMIN, RequesterProof::Local);
    assert_eq!(life.grant(&asked).await.unwrap_err(), "approval-needed");
    let state = life.plan(&asked).await;
    let planned = with_plan(&asked, &state.plan.plan_id);
    assert_eq!(life.grant(&planned).await.unwrap_err(), "missing-votes");
    assert_eq!(life.recorded().await, Vec::<String>::new());

    // A removal that waits for approval stays valid.
    let engine = life.rig.engine();
    let environment = &life.provision.plan.environment;
    let removal = engine.plan_teardown(environment, &person("dana"), None).await.unwrap();
    let removal = engine.propose(&removal, None).await.unwrap();
    life.rig.approve(&state).await;
    let terms = |access: &Access, byte| AccessTerms {
        access: access.clone(),
        recipient: RecipientKey::new([byte; 32]),
    };
    for other in [
        GrantRequest { by: person("erin"), ..planned.clone() },
        GrantRequest { terms: terms(&ADMIN, 1), ..planned.clone() },
        GrantRequest { terms: terms(&SECRETS, 9), ..planned.clone() },
    ] {
        assert_eq!(life.grant(&other).await.unwrap_err(), "other-access");
    }
    assert!(matches!(life.grant(&planned).await.unwrap(), Granted::Cluster(..)));
    // The reply may have been lost.
    tokio::time::sleep(Duration::from_mins(14)).await;
    assert!(life.grant(&planned).await.is_ok());
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(life.grant(&planned).await.unwrap_err(), "wrong-phase");
    assert_eq!(life.recorded().await.len(), 2);

    life.rig.approve(&removal).await;
    assert_eq!(engine.run(&removal.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(life.grant(&asked).await.unwrap_err(), "no-environment");
    assert_eq!(oracle::judge(&life.rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_proves_nothing_gets_nothing_without_approval() {
    let life = Life::new(1).await;
    for access in [SECRETS, VIEWER] {
        let asked = life.request(&access, RequesterProof::None);
        assert_eq!(life.grant(&asked).await.unwrap_err(), "approval-needed", "{access}");
        let state = life.plan(&asked).await;
        assert_eq!((state.plan.action, u8::from(state.plan.level)), (Action::Access, 2));
        life.rig.approve(&state).await;
        assert!(life.grant(&with_plan(&asked, &state.plan.plan_id)).await.is_ok(), "{access}");
    }
    assert_eq!(life.recorded().await.len(), 2);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_access_approved_for_one_environment_is_none_to_the_next_of_its_name() {
    let life = Life::new(1).await;
    let asked = life.request(&ADMIN, RequesterProof::Local);
    let (used, unused) = (life.plan(&asked).await, life.plan(&asked).await);
    life.rig.approve(&used).await;
    life.rig.approve(&unused).await;
    life.grant(&with_plan(&asked, &used.plan.plan_id)).await.unwrap();
    let teardown = setup::approved_teardown(&life.rig, &life.provision).await.unwrap();
    assert_eq!(life.rig.engine().run(&teardown.operation).await.unwrap(), Phase::Succeeded);
    let (_, phase) = setup::provisioned(&life.rig, 1).await.unwrap();
    assert_eq!(phase, Phase::Succeeded);
    for plan in [used, unused] {
        let error = life.rig.engine().grant(&with_plan(&asked, &plan.plan.plan_id)).await.unwrap_err();
        assert!(matches!(error, EngineError::StalePlan(_)), "{error}");
    }
}
