//! Operations that only read: environments, plans, records and the account.

use std::collections::BTreeSet;

use exokit_engine::error::EngineError;
use exokit_engine::verify::Verification;
use exokit_ledger::history::history;
use exokit_ledger::{Environments, Filter, Operations};
use exokit_model::cost::PriceList;
use exokit_model::outputs::Outputs;
use exokit_model::phase::Phase;
use exokit_wire::MESSAGE_BYTES_MAX;
use exokit_wire::event::EventMessage;
use exokit_wire::failure::Failure;
use exokit_wire::reply::{
    DriftReply, Environment, EventsReply, ExportReply, HistoryLine, HistoryReply, ListReply, OperationsReply,
    OrphansReply, RosterReply, ShowPlanReply, StatusReply, VerifyReply,
};
use exokit_wire::request::{
    DriftRequest, EventsRequest, ExportRequest, HistoryRequest, ListRequest, OperationsRequest,
    OrphansRequest, OutputsRequest, PricesRequest, RosterRequest, ShowPlanRequest, StatusRequest,
    VerifyRequest,
};
use serde::Serialize;

use crate::explain::{Doing as _, invalid};
use crate::service::Service;
use crate::views;

/// Most records that are read for one page.
const PAGE_RECORDS: usize = 1_000;

/// How many environments are read at once for a page of them: about as many as
/// fit into one.
const PAGE_ENVIRONMENTS: u32 = 100;

/// Most bytes of the items of one page.
const PAGE_BYTES: usize = MESSAGE_BYTES_MAX / 2;

impl Service {
    pub(crate) async fn status(&self, request: StatusRequest) -> Result<StatusReply, Failure> {
        let story = self.story(&request.environment).await?;
        let (all, now) = (&story.operations, self.engine().parts().clock.now());
        let open = all.iter().filter(|operation| !operation.phase.is_terminal());
        let startable = all.iter().filter(|operation| operation.can_start(all, now));
        Ok(StatusReply {
            view: views::environment(&story.view),
            open: open.map(views::operation).collect(),
            startable: startable.map(|one| (one.plan.plan_id.clone(), one.plan.not_after)).collect(),
        })
    }

    pub(crate) async fn list(&self, request: ListRequest) -> Result<ListReply, Failure> {
        let ListRequest { all, mut after } = request;
        let (ledger, mut shown) = (&self.engine().parts().ledger, Vec::new());
        loop {
            // No more is read at once than may be sent, however many there are.
            let page = Environments::Page { after, all, most: PAGE_ENVIRONMENTS };
            let found = ledger.environments(page).await.doing("reading", "the ledger")?;
            shown.extend(found.iter().map(views::environment));
            let full = found.len() == PAGE_ENVIRONMENTS as usize;
            let cut = shorten(&mut shown, Clone::clone);
            after = shown.last().map(|last: &Environment| last.environment.clone());
            match (cut, full) {
                (true, _) => return Ok(ListReply { environments: shown, next: after }),
                (false, false) => return Ok(ListReply { environments: shown, next: None }),
                (false, true) => {}
            }
        }
    }

    pub(crate) async fn show_plan(&self, request: ShowPlanRequest) -> Result<ShowPlanReply, Failure> {
        let operation = self.find_plan(&request.plan).await?;
        let view = self.operation(&operation).await?;
        let roster = self.roster(RosterRequest {}).await?;
        let still = match view.phase {
            Phase::AwaitingApproval => self.still(&view).await?,
            _ => None,
        };
        let bytes = view.plan.to_bytes().map_err(EngineError::from).doing("writing", &view.plan.plan_id)?;
        Ok(ShowPlanReply {
            plan: String::from_utf8_lossy(&bytes).into_owned(),
            operation: views::operation(&view),
            still: still.map(Into::into),
            roster,
        })
    }

    pub(crate) async fn roster(&self, _: RosterRequest) -> Result<RosterReply, Failure> {
        let roster = self.engine().roster().await.doing("reading", "the roster")?;
        let signed = self.engine().signed_roster(roster.version).await.doing("reading", "the roster")?;
        Ok(RosterReply { roster, signed })
    }

    pub(crate) async fn history(&self, request: HistoryRequest) -> Result<HistoryReply, Failure> {
        let filter = match &request.environment {
            Some(name) => Filter::Environment(name.clone()),
            None => Filter::All,
        };
        let records = self.engine().parts().ledger.read(filter, 0).await.doing("reading", "the ledger")?;
        if let (Some(name), true) = (&request.environment, records.is_empty()) {
            return Err(EngineError::NoEnvironment(name.clone())).doing("telling the history of", name);
        }
        let lines = history(&records).into_iter();
        Ok(HistoryReply {
            lines: lines.map(|line| HistoryLine { at: line.at, text: line.text.into() }).collect(),
        })
    }

    /// Whether the cloud can be reached with the credentials.
    ///
    /// # Errors
    /// Why not.
    pub async fn reach_cloud(&self) -> Result<(), Failure> {
        self.engine().zones(&self.parts.zone).await.map(drop).doing("reaching", "the cloud")
    }

    /// The records after a point.
    ///
    /// # Errors
    /// When the request contradicts itself, and when the ledger cannot be read.
    pub async fn events(&self, request: EventsRequest) -> Result<EventsReply, Failure> {
        let filter = match (&request.environment, &request.operation) {
            (None, None) => Filter::All,
            (Some(name), None) => Filter::Environment(name.clone()),
            (None, Some(operation)) => Filter::Operation(operation.clone()),
            (Some(_), Some(_)) => {
                let why = "give environment or operation, not both";
                return Err(invalid("reading the message", "", why, "leave one of them out"));
            }
        };
        let ledger = &self.engine().parts().ledger;
        let head = ledger.head().await.doing("reading", "the ledger")?.seq;
        let mut records =
            ledger.page(filter, request.after, PAGE_RECORDS).await.doing("reading", "the ledger")?;
        let cut = records.len() == PAGE_RECORDS || shorten(&mut records, EventMessage::of);
        let next = match (cut, records.last()) {
            (true, Some(last)) => last.seq,
            // Everything up to the head was looked at.
            _ => head.max(request.after),
        };
        Ok(EventsReply { events: records.iter().map(EventMessage::of).collect(), head, next })
    }

    /// Operations that run, and those that the worker starts next: they have the
    /// votes that they need.
    pub(crate) async fn active_operations(
        &self,
        request: OperationsRequest,
    ) -> Result<OperationsReply, Failure> {
        let parts = self.engine().parts();
        let read = |which| async { parts.ledger.operations(which).await.doing("reading", "the ledger") };
        let mut active = read(Operations::Active).await?;
        let waiting = read(Operations::Waiting(parts.clock.now())).await?;
        let environments: BTreeSet<_> = waiting.iter().map(|operation| &operation.environment).collect();
        let mut approved = BTreeSet::new();
        for name in environments {
            approved.extend(self.approved(name).await?);
        }
        active.extend(waiting.into_iter().filter(|operation| approved.contains(&operation.operation)));
        active.retain(|operation| request.after.as_ref().is_none_or(|after| operation.operation > *after));
        active.sort_by(|a, b| a.operation.cmp(&b.operation));
        let cut = shorten(&mut active, views::active_operation);
        let next = active.last().filter(|_| cut).map(|last| last.operation.clone());
        Ok(OperationsReply { operations: active.iter().map(views::active_operation).collect(), next })
    }

    pub(crate) async fn prices(&self, _: PricesRequest) -> Result<PriceList, Failure> {
        Ok(self.parts.prices.clone())
    }

    pub(crate) async fn export(&self, request: ExportRequest) -> Result<ExportReply, Failure> {
        let ledger = &self.engine().parts().ledger;
        let records = ledger.page(Filter::All, request.after, PAGE_RECORDS).await;
        let mut records = records.doing("reading", "the ledger")?;
        let cut = records.len() == PAGE_RECORDS;
        let cut = shorten(&mut records, Clone::clone) || cut;
        let next = records.last().filter(|_| cut).map(|last| last.seq);
        Ok(ExportReply { records, next })
    }

    pub(crate) async fn drift(&self, request: DriftRequest) -> Result<DriftReply, Failure> {
        let name = &request.environment;
        let drift = self.engine().drift(name).await.doing("comparing", name)?;
        Ok(DriftReply {
            environment: name.clone(),
            compared: drift.compared,
            drifted: !drift.differences.is_empty(),
            differences: drift.differences,
        })
    }

    pub(crate) async fn verify(&self, request: VerifyRequest) -> Result<VerifyReply, Failure> {
        let name = &request.environment;
        let level = |template| self.parts.templates.get(template).map(|template| template.level);
        let Verification { environment, template, checks } =
            self.engine().verify(name, level).await.doing("verifying", name)?;
        let passed = checks.iter().filter(|check| check.passed).count();
        Ok(VerifyReply { environment, template, passed, failed: checks.len() - passed, checks })
    }

    pub(crate) async fn outputs(&self, request: OutputsRequest) -> Result<Outputs, Failure> {
        let name = &request.environment;
        self.engine().outputs(name).await.doing("reading the outputs of", name)
    }

    pub(crate) async fn orphans(&self, request: OrphansRequest) -> Result<OrphansReply, Failure> {
        let zone = request.zone.as_ref().unwrap_or(&self.parts.zone);
        self.check_zone(zone).await.doing("sweeping", zone)?;
        let found = self.engine().orphans(zone).await.doing("sweeping", "the account")?;
        Ok(OrphansReply { found: found.iter().map(views::orphan).collect() })
    }
}

/// Leaves as many items as fit into a reply, at least one, by their encoded
/// length. Returns whether any were left out.
fn shorten<T, W: Serialize>(items: &mut Vec<T>, written: impl Fn(&T) -> W) -> bool {
    let mut bytes = 0;
    let fits = items.iter().take_while(|item| {
        bytes += serde_json::to_string(&written(item)).map_or(0, |text| text.len());
        bytes <= PAGE_BYTES
    });
    let fits = fits.count().max(1);
    let cut = fits < items.len();
    items.truncate(fits);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_what_fits_and_at_least_one() {
        let page = |lengths: &[usize]| {
            let mut items: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
            let cut = shorten(&mut items, Clone::clone);
            (items.len(), cut)
        };
        assert_eq!(page(&[]), (0, false));
        assert_eq!(page(&[10, 10]), (2, false));
        assert_eq!(page(&[PAGE_BYTES / 2, PAGE_BYTES / 4, PAGE_BYTES / 2]), (2, true));
        assert_eq!(page(&[2 * PAGE_BYTES, 10]), (1, true));
    }
}
