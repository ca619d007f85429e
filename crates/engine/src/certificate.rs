//! Issuing the teardown certificate: a second, independent look that must
//! find nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use exokit_kinds::{Lifecycle, Observed};
use exokit_ledger::Filter;
use exokit_model::certificate::{Certificate, CertificateBody, Checked};
use exokit_model::needs_human::NeedsHuman;
use exokit_model::text::ForeignText;

use crate::environment::EnvironmentState;
use crate::error::EngineError;
use crate::run::Run;
use crate::survey::{Belongings, Listing};

/// Lists until nothing of the environment shows, or says what is left.
/// Machines and lists may lag, so what is going away is given time.
pub(crate) async fn issue(run: &Run<'_>) -> Result<Result<Certificate, NeedsHuman>, EngineError> {
    let (environment, zone) = {
        let state = run.state();
        (state.plan.environment.clone(), state.plan.zone.clone())
    };
    let records = run.engine.parts().ledger.read(Filter::Environment(environment), 0).await?;
    let state = run.engine.fold_environment(&records)?;
    let ids: BTreeSet<String> =
        EnvironmentState::all_ids(&records).iter().chain(state.doomed()).map(ToString::to_string).collect();
    let recorded_ids = ids.iter().cloned().collect();
    let belongings = Belongings { ids, tokens: state.tokens() };
    let timing = run.engine.parts().timing;
    let started = tokio::time::Instant::now();
    loop {
        run.ensure_lease().await?;
        let checked: Vec<Checked> =
            run.engine.survey(&zone).await?.iter().map(|listing| check(listing, &belongings)).collect();
        let found: Vec<ForeignText> = checked
            .iter()
            .flat_map(|checked| checked.ids.iter().map(move |id| format!("{} {id}", checked.kind).into()))
            .collect();
        match (found.is_empty(), started.elapsed() < timing.scaled(timing.clean_max)) {
            (true, _) => return Ok(Ok(certify(run, recorded_ids, checked)?)),
            (false, true) => tokio::time::sleep(timing.scaled(Duration::from_secs(5))).await,
            (false, false) => return Ok(Err(NeedsHuman::NotClean { found })),
        }
    }
}

fn check(listing: &Listing, belongings: &Belongings) -> Checked {
    let ours = listing.found.iter().filter(|observed| belongings.include(observed));
    let describe = |observed: &Observed| match observed.lifecycle {
        Lifecycle::Deleting => format!("{} (going away)", observed.id).into(),
        Lifecycle::Pending | Lifecycle::Ready | Lifecycle::Failed => observed.id.as_str().into(),
    };
    let ids: Vec<ForeignText> = ours.map(describe).collect();
    Checked {
        kind: listing.kind,
        zone: listing.zone.clone(),
        listed: listing.found.len() as u64,
        found: ids.len() as u64,
        ids,
    }
}

fn certify(
    run: &Run<'_>,
    recorded_ids: Vec<String>,
    checked: Vec<Checked>,
) -> Result<Certificate, EngineError> {
    let state = run.state();
    let body = CertificateBody {
        environment: state.plan.environment.clone(),
        operation: state.operation.clone(),
        plan_digest: state.digest,
        checked_at: run.engine.now(),
        recorded_ids,
        clean: checked.iter().all(|checked| checked.found == 0),
        checked,
    };
    let digest = body.digest()?;
    Ok(Certificate { body, digest })
}
