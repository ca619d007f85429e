//! The life of one test: stage by stage, with what each has shown.

use std::future::Future;

use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_model::certificate::Certificate;
use exokit_model::ids::{EnvironmentName, TemplateId};
use exokit_model::plan::Plan;
use exokit_wire::reply::Orphan;
use exokit_wire::request::{Ask, DriftRequest, OrphansRequest, PlanRequest, SealedPlan, VerifyRequest};
use tokio::time::Instant;

use super::super::orphans::is_orphan;
use super::Test;
use super::journal::Unfinished;
use super::run_file::{RunFile, Stage, StageResult, TestedPlan};
use crate::change::record;
use crate::error::CliError;

/// How long the environment of a test lives when nothing removes it.
const TTL_SECONDS: u64 = 6 * 3600;

/// One test under way.
struct Life<'t> {
    test: &'t Test<'t>,
    result: RunFile,
}

impl Test<'_> {
    /// Tests one template.
    pub(super) async fn live(
        &self,
        template: TemplateId,
        environment: EnvironmentName,
    ) -> Result<RunFile, CliError> {
        let address = self.connection.client.transport.address().to_owned();
        self.journal.begin(&Unfinished { environment: environment.clone(), address })?;
        let result = RunFile {
            template,
            passed: false,
            started_at: SystemClock.now(),
            exokit: env!("CARGO_PKG_VERSION").to_owned(),
            cloud: self.cloud.clone(),
            speed: self.connection.speed,
            environment,
            plan: None,
            stages: Vec::new(),
            verification: None,
            drift: None,
            orphans: Vec::new(),
            certificate: None,
        };
        let mut life = Life { test: self, result };
        // The first failure ends what comes before the teardown.
        if let Some(()) = life.make().await {
            life.examine().await;
        }
        life.end().await;
        let mut result = life.result;
        result.passed =
            result.stages.len() == Stage::ALL.len() && result.stages.iter().all(|stage| stage.passed);
        Ok(result)
    }

    /// The resources of the account that belong to nothing.
    pub(super) async fn orphans(&self) -> Result<Vec<Orphan>, CliError> {
        let found = self.connection.call(&OrphansRequest { zone: None }).await?.found;
        Ok(found.into_iter().filter(is_orphan).collect())
    }
}

impl Life<'_> {
    /// Plans, approves and provisions.
    async fn make(&mut self) -> Option<()> {
        let (test, template, name) = (self.test, self.result.template, self.result.environment.clone());
        let (plan, tested) = self.stage(Stage::Plan, plan(test, template, name)).await?;
        self.result.plan = Some(tested);
        let approved = self.stage(Stage::Approve, test.approve(&plan.plan_id)).await?;
        if let Some(tested) = &mut self.result.plan {
            tested.approved_by = approved;
        }
        self.stage(Stage::Provision, provision(test, &plan)).await
    }

    /// Verifies, and looks for drift. A failure of the first does not stop the
    /// second.
    async fn examine(&mut self) {
        let (test, environment) = (self.test, self.result.environment.clone());
        let (verification, drift) = (&mut None, &mut None);
        let request = VerifyRequest { environment: environment.clone() };
        self.stage(Stage::Verify, async {
            let reply = verification.insert(test.connection.call(&request).await?);
            let failed: Vec<&str> =
                reply.checks.iter().filter(|check| !check.passed).map(|check| check.id.as_str()).collect();
            match failed.as_slice() {
                [] => Ok(()),
                failed => Err(differs(&environment, &format!("failed checks: {}", failed.join(", ")))),
            }
        })
        .await;
        let request = DriftRequest { environment: environment.clone() };
        self.stage(Stage::Drift, async {
            let reply = drift.insert(test.connection.call(&request).await?);
            match reply.differences.len() {
                0 => Ok(()),
                count => Err(differs(&environment, &format!("differences from the plan: {count}"))),
            }
        })
        .await;
        self.result.verification = verification.take();
        self.result.drift = drift.take();
    }

    /// Removes everything and proves it, whatever happened before.
    async fn end(&mut self) {
        let (test, name) = (self.test, self.result.environment.clone());
        let was_made =
            self.result.stages.iter().any(|result| result.stage == Stage::Provision && result.passed);
        let removed = self.stage(Stage::Teardown, async {
            let certificate = test.remove(&name).await?;
            test.journal.end(&name)?;
            Ok(certificate)
        });
        let Some(certificate) = removed.await else { return };
        // An environment that was rolled back, or never begun, needs no teardown.
        if was_made || certificate.is_some() {
            self.stage(Stage::Certificate, async { check(&name, certificate.as_ref()) }).await;
        }
        self.result.certificate = certificate;
        let orphans = &mut Vec::new();
        self.stage(Stage::Orphans, async {
            let new = |orphan: &Orphan| !test.orphans_before.contains(&orphan.id);
            *orphans = test.orphans().await?.into_iter().filter(new).collect();
            match orphans.len() {
                0 => Ok(()),
                count => Err(differs(&name, &format!("orphans: {count}"))),
            }
        })
        .await;
        self.result.orphans = std::mem::take(orphans);
    }

    /// Carries a stage out and notes its result. A stage before the teardown
    /// ends when the user asks for the end.
    async fn stage<T>(&mut self, stage: Stage, work: impl Future<Output = Result<T, CliError>>) -> Option<T> {
        let begun = Instant::now();
        let outcome = match stage < Stage::Teardown {
            true => self.test.until_stopped(work).await,
            false => work.await,
        };
        let seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let problem = outcome.as_ref().err().map(|error| error.why.clone().into());
        let result = StageResult { stage, passed: outcome.is_ok(), seconds, problem };
        self.test.announce(self.result.template, &result);
        self.result.stages.push(result);
        outcome.ok()
    }
}

async fn plan(
    test: &Test<'_>,
    template: TemplateId,
    name: EnvironmentName,
) -> Result<(Plan, TestedPlan), CliError> {
    let ask = Ask {
        template: Some(template.to_string()),
        name: Some(name),
        ttl_seconds: Some(TTL_SECONDS),
        ..Ask::default()
    };
    let (reply, plan) = test.connection.planned(&PlanRequest::Provision(Box::new(ask))).await?;
    let tested = TestedPlan::new(&plan, reply.view.digest);
    let sealed = SealedPlan { plan: reply.plan, seal: reply.seal };
    record(&test.connection, plan.action, None, Some(sealed)).await?;
    Ok((plan, tested))
}

async fn provision(test: &Test<'_>, plan: &Plan) -> Result<(), CliError> {
    let operation = test.finish(plan).await?;
    match operation.phase.raw() {
        "succeeded" => Ok(()),
        _ => Err(differs(&plan.environment, exokit_text::operation::text(&operation).trim_end())),
    }
}

/// Whether a certificate shows that nothing is left, and is what its digest says.
fn check(name: &EnvironmentName, certificate: Option<&Certificate>) -> Result<(), CliError> {
    let Some(certificate) = certificate else {
        return Err(differs(name, "the teardown gave no certificate"));
    };
    let (body, digest) = (&certificate.body, certificate.body.digest());
    match (body.clean, digest.is_ok_and(|digest| digest == certificate.digest)) {
        (true, true) => Ok(()),
        (false, _) => {
            let found: u64 = body.checked.iter().map(|checked| checked.found).sum();
            Err(differs(name, &format!("the certificate found {found} resources")))
        }
        (_, false) => Err(differs(name, "the certificate is other than its digest says")),
    }
}

fn differs(name: &EnvironmentName, why: &str) -> CliError {
    let hint = format!("`exokit history {name}` shows what happened");
    CliError::new("test", "testing", name, why, hint)
}
