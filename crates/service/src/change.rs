//! Operations that change something: a plan is made, or sent back, and
//! recorded; the worker runs it later. The reply follows the durable record.

use exokit_engine::error::EngineError;
use exokit_engine::idempotency::{KeyedRequest, body_digest};
use exokit_ledger::LedgerError;
use exokit_ledger::OperationState;
use exokit_model::ids::PlanId;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use exokit_mutant::{Mutant, planted};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::reply::{KeepAliveReply, OperationReply, PlanReply};
use exokit_wire::request::{
    AccessRequest, ExtendRequest, KeepAliveRequest, PlanRequest, ProvisionRequest, ResumeRequest, SealedPlan,
    TeardownRequest, Tokens,
};

use crate::explain::{Doing as _, explained, invalid};
use crate::service::{Caller, RequestKey, Service};
use crate::views;

/// Most attempts to plan one change while its environment changes.
const PLANS_MAX: u32 = 5;

/// Where the plan of a change comes from.
enum Source {
    /// It is to be made.
    Wanted(PlanRequest),
    /// It is recorded.
    Recorded(PlanId),
    /// It was made before and not recorded.
    Sealed(SealedPlan),
}

impl Service {
    /// What would be done. Nothing is recorded.
    pub(crate) async fn plan(&self, caller: &Caller, request: PlanRequest) -> Result<PlanReply, Failure> {
        // Nothing is recorded, so there is nothing that a key could lead to.
        let planned = self.plan_change(caller.requester()?, &request, None).await?;
        let plan = &planned.plan;
        let bytes = plan.to_bytes().map_err(EngineError::from).doing("writing", &plan.plan_id)?;
        // Canonical JSON is UTF-8.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Read as it will be when it comes back, which is likely to be soon.
        let read = self.engine().parts().ledger.plans().parse(&text).map_err(EngineError::Unreadable);
        let digest = read.doing("reading again", &plan.plan_id)?.digest();
        Ok(PlanReply {
            view: views::plan(plan, digest),
            plan: text,
            seal: self.engine().seal(&digest),
            selection: planned.selection,
            notes: planned.notes,
        })
    }

    pub(crate) async fn provision(
        &self,
        caller: &Caller,
        request: ProvisionRequest,
    ) -> Result<OperationReply, Failure> {
        let wanted = request.ask.map(PlanRequest::Provision);
        let source = source("ask", wanted, request.plan_id, request.sealed)?;
        self.change(caller, Action::Provision, source, &request.approval_token).await
    }

    pub(crate) async fn teardown(
        &self,
        caller: &Caller,
        request: TeardownRequest,
    ) -> Result<OperationReply, Failure> {
        let wanted = request.remove.map(PlanRequest::Teardown);
        let source = source("remove", wanted, request.plan_id, request.sealed)?;
        self.change(caller, Action::Teardown, source, &request.approval_token).await
    }

    pub(crate) async fn extend(
        &self,
        caller: &Caller,
        request: ExtendRequest,
    ) -> Result<OperationReply, Failure> {
        let wanted = request.extend.map(PlanRequest::Extend);
        let source = source("extend", wanted, request.plan_id, request.sealed)?;
        self.change(caller, Action::Extend, source, &request.approval_token).await
    }

    pub(crate) async fn request_access(
        &self,
        caller: &Caller,
        request: AccessRequest,
    ) -> Result<OperationReply, Failure> {
        let wanted = request.access.map(PlanRequest::Access);
        let source = source("access", wanted, request.plan_id, request.sealed)?;
        self.change(caller, Action::Access, source, &request.approval_token).await
    }

    pub(crate) async fn keep_alive(
        &self,
        caller: &Caller,
        request: KeepAliveRequest,
    ) -> Result<KeepAliveReply, Failure> {
        let (by, environment) = (caller.requester()?, request.environment);
        let kept = self.engine().keep_alive(&environment, by).await;
        Ok(KeepAliveReply { kept_until: kept.doing("keeping alive", &environment)?, environment })
    }

    async fn change(
        &self,
        caller: &Caller,
        action: Action,
        source: Source,
        tokens: &Tokens,
    ) -> Result<OperationReply, Failure> {
        if let (Some(key), Source::Recorded(_) | Source::Sealed(_)) = (&caller.key, &source) {
            let why = "a plan that exists is its own key: however often it is sent, it is carried out once";
            return Err(invalid("reading", &key.name, why.to_owned(), "leave idempotency_key out"));
        }
        let view = match source {
            Source::Recorded(plan) => self.operation(&plan.operation()).await?,
            Source::Wanted(request) => self.record_wanted(caller, action, &request).await?,
            Source::Sealed(sealed) => self.record_sealed(caller, action, sealed).await?,
        };
        if view.plan.action != action {
            let why = format!("the plan is to {}, not to {action}", view.plan.action);
            return Err(invalid(
                "starting",
                &view.plan.plan_id,
                why,
                "send it to the operation that it is for",
            ));
        }
        for token in tokens.as_slice() {
            self.vote_on(&view.operation, token).await?;
        }
        self.work.notify_one();
        match tokens.as_slice() {
            [] => Ok(views::operation(&view)),
            _ => Ok(views::operation(&self.operation(&view.operation).await?)),
        }
    }

    /// Plans what is wanted and records it, unless the same request has led to
    /// a plan before.
    async fn record_wanted(&self, caller: &Caller, action: Action, request: &PlanRequest) -> Proposed {
        let keyed = |key: &RequestKey| Ok(self.engine().keyed(caller.requester()?, &key.name, key.body));
        let keyed = caller.key.as_ref().map(keyed).transpose()?;
        let mut recorded = self.record_once(caller, action, request, keyed.as_ref()).await;
        for _ in 1..PLANS_MAX {
            match recorded {
                // Something was recorded about the environment meanwhile, such
                // as a vote that was refused: nobody's fault who asks.
                Err(NotRecorded { stale: true, .. }) if !planted(Mutant::PlanOnce) => {
                    recorded = self.record_once(caller, action, request, keyed.as_ref()).await;
                }
                _ => break,
            }
        }
        recorded.map_err(|NotRecorded { failure, .. }| failure)
    }

    /// Plans from the present state and records that.
    async fn record_once(
        &self,
        caller: &Caller,
        action: Action,
        request: &PlanRequest,
        keyed: Option<&KeyedRequest>,
    ) -> Result<OperationState, NotRecorded> {
        let plan = async {
            self.make_room(action)?;
            Ok::<_, NotRecorded>(self.plan_change(caller.requester()?, request, keyed).await?.plan)
        };
        match keyed {
            Some(keyed) => self.engine().propose_once(keyed, plan).await,
            None => Ok(self.engine().propose(&plan.await?, None).await?),
        }
    }

    /// A sealed plan is its own key: however often it is sent, and with
    /// whatever votes, it is recorded once. It is taken from who asked for it,
    /// and from nobody else.
    async fn record_sealed(&self, caller: &Caller, action: Action, sealed: SealedPlan) -> Proposed {
        let requester = caller.requester()?;
        let opened = self.engine().open_sealed(sealed.plan, &sealed.seal);
        let opened = opened.doing("recording", "the sealed plan")?;
        let plan = opened.plan();
        let body = body_digest(&plan.digest()).doing("reading", "the sealed plan")?;
        if plan.requester != *requester {
            let why = format!("{} asked for it, not {requester}", plan.requester);
            let hint = "whoever wants it asks for a plan of their own";
            let on = plan.plan_id.as_str();
            return Err(Failure::new(Class::Forbidden, "other-requester", "recording", on, &why, hint));
        }
        let request = KeyedRequest { plan_id: plan.plan_id.clone(), body };
        if let Err(full) = self.make_room(action) {
            // What is recorded already needs no more room.
            let known = self.engine().answered(&request).await.doing("looking for", "the sealed plan")?;
            return known.ok_or(full);
        }
        let proposed = self.engine().propose_opened(opened, Some(&request)).await;
        proposed.doing("recording", "the sealed plan")
    }

    /// Lets a parked operation go on, in the name of who asks.
    pub(crate) async fn resume(
        &self,
        caller: &Caller,
        request: ResumeRequest,
    ) -> Result<OperationReply, Failure> {
        let (by, name) = (caller.requester()?, &request.environment);
        let story = self.story(name).await?;
        let parked = |phase: &Phase| matches!(phase, Phase::NeedsHuman { .. });
        let Some(parked) = story.operations.iter().rev().find(|operation| parked(&operation.phase)) else {
            let (why, hint) = ("nothing of it waits for a human", "ask for its status");
            return Err(Failure::new(Class::Conflict, "wrong-phase", "resuming", name.as_str(), why, hint));
        };
        let resumed = self.engine().unpark(&parked.operation, by.as_str(), request.rollback).await;
        resumed.doing("resuming", name)?;
        self.work.notify_one();
        Ok(views::operation(&self.operation(&parked.operation).await?))
    }

    /// A removal always finds room: it makes some.
    fn make_room(&self, action: Action) -> Result<(), Failure> {
        match action {
            Action::Teardown => Ok(()),
            _ => self.admission.room(action),
        }
    }
}

/// Exactly one of the three.
fn source(
    field: &str,
    wanted: Option<PlanRequest>,
    recorded: Option<PlanId>,
    sealed: Option<SealedPlan>,
) -> Result<Source, Failure> {
    match (wanted, recorded, sealed) {
        (Some(wanted), None, None) => Ok(Source::Wanted(wanted)),
        (None, Some(plan), None) => Ok(Source::Recorded(plan)),
        (None, None, Some(sealed)) => Ok(Source::Sealed(sealed)),
        _ => {
            let why = format!("give exactly one of {field}, plan_id and sealed");
            Err(invalid("reading the message", "", why, "leave the others out"))
        }
    }
}

/// Why a plan was not recorded: what the engine says is explained here.
struct NotRecorded {
    failure: Failure,
    /// Whether the environment has changed since it was planned.
    stale: bool,
}

impl From<Failure> for NotRecorded {
    fn from(failure: Failure) -> Self {
        Self { failure, stale: false }
    }
}

impl From<EngineError> for NotRecorded {
    fn from(error: EngineError) -> Self {
        let stale = matches!(error, EngineError::Ledger(LedgerError::Stale { .. }));
        Self { failure: explained(&error, "recording", "the plan"), stale }
    }
}

/// The operation that a proposal led to.
type Proposed = Result<OperationState, Failure>;
