//! What changes something: planned by the agent, checked here, recorded by its
//! seal, then followed.

use exokit_model::ids::PlanId;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use exokit_wire::reply::{OperationReply, PlanReply};
use exokit_wire::request::{
    ExtendRequest, Extension, PlanRequest, ProvisionRequest, Removal, ResumeRequest, SealedPlan,
    StatusRequest, TeardownRequest,
};

use super::{Agent, is_missing, usage};
use crate::args::{ExtendArgs, PlanArgs, ProvisionArgs, ResumeArgs, TeardownArgs, WatchArgs};
use crate::asked;
use crate::commands::{plan, provision};
use crate::error::CliError;
use crate::exit::Exit;
use crate::operate::report;
use exokit_wire::request::ShowPlanRequest;

impl Agent<'_> {
    pub(super) async fn plan(&self, args: &PlanArgs) -> Result<Exit, CliError> {
        let request = PlanRequest::Provision(Box::new(asked::ask(&args.change)?));
        let (reply, made) = self.planned(&request).await?;
        plan::note(self.settings, reply.selection.as_ref(), &reply.notes);
        let roster = self.roster().await?;
        let digest = Plan::digest_of(reply.plan.as_bytes());
        plan::show(self.settings, args, reply.plan.as_bytes(), (&made, digest), &roster, self.speed)
    }

    async fn planned(&self, request: &PlanRequest) -> Result<(PlanReply, Plan), CliError> {
        let reply = self.ask(request).await?;
        let on = reply.view.plan_id.to_string();
        let plan = self.checked(&reply.plan, &on, |digest| digest == reply.view.digest)?;
        Ok((reply, plan))
    }

    pub(super) async fn provision(&self, args: &ProvisionArgs) -> Result<Exit, CliError> {
        if let Some(id) = &args.plan {
            return self.start(id, args.wait).await;
        }
        let request = PlanRequest::Provision(Box::new(asked::ask(&args.change)?));
        let (reply, made) = self.planned(&request).await?;
        plan::note(self.settings, reply.selection.as_ref(), &reply.notes);
        provision::announce(self.settings, &made);
        let sealed = Some(SealedPlan { plan: reply.plan, seal: reply.seal });
        let recorded = self.ask(&ProvisionRequest { sealed, ..Default::default() }).await?;
        self.go_on(&made, &recorded, args.wait).await
    }

    pub(super) async fn teardown(&self, args: &TeardownArgs) -> Result<Exit, CliError> {
        if let Some(id) = &args.plan {
            return self.start(id, args.wait).await;
        }
        let Some(environment) = args.environment.clone() else {
            return Err(usage("reading", "the arguments", "no environment", "name one"));
        };
        let (reply, made) = self.planned(&PlanRequest::Teardown(Removal { environment })).await?;
        self.settings.output.note(&exokit_text::plan::heading(&made));
        self.settings.output.note(exokit_text::plan::destroys(&made).trim_end());
        let sealed = Some(SealedPlan { plan: reply.plan, seal: reply.seal });
        let recorded = self.ask(&TeardownRequest { sealed, ..Default::default() }).await?;
        self.go_on(&made, &recorded, args.wait).await
    }

    pub(super) async fn extend(&self, args: &ExtendArgs) -> Result<Exit, CliError> {
        if let Some(id) = &args.plan {
            return self.start(id, args.wait).await;
        }
        let (Some(environment), Some(ttl_seconds)) = (args.environment.clone(), args.ttl) else {
            let hint = "name an environment and a time, such as `exokit extend first --ttl 4h`";
            return Err(usage("reading", "the arguments", "something is missing", hint));
        };
        let request = PlanRequest::Extend(Extension {
            environment,
            ttl_seconds,
            break_glass: args.break_glass.clone(),
        });
        let (reply, made) = self.planned(&request).await?;
        self.settings.output.note(&exokit_text::plan::heading(&made));
        self.settings.output.note(exokit_text::plan::total(&made).trim_end());
        let sealed = Some(SealedPlan { plan: reply.plan, seal: reply.seal });
        let recorded = self.ask(&ExtendRequest { sealed, ..Default::default() }).await?;
        self.go_on(&made, &recorded, args.wait).await
    }

    /// Starts a recorded plan, whatever it does.
    async fn start(&self, id: &PlanId, wait: bool) -> Result<Exit, CliError> {
        let known = self.recorded(id.as_str()).await?;
        let plan_id = Some(id.clone());
        let recorded = match known.plan.action {
            Action::Provision => self.ask(&ProvisionRequest { plan_id, ..Default::default() }).await?,
            Action::Teardown => self.ask(&TeardownRequest { plan_id, ..Default::default() }).await?,
            Action::Extend => self.ask(&ExtendRequest { plan_id, ..Default::default() }).await?,
        };
        self.go_on(&known.plan, &recorded, wait).await
    }

    /// Follows what was recorded; what lacks votes only with `wait`.
    async fn go_on(&self, plan: &Plan, recorded: &OperationReply, wait: bool) -> Result<Exit, CliError> {
        let lacks = match recorded.phase == Phase::AwaitingApproval.name() && plan.level.persons() > 0 {
            true => self.recorded(plan.plan_id.as_str()).await?.reply.still.is_some(),
            false => false,
        };
        if lacks {
            let roster = self.roster().await?;
            let how = exokit_text::operation::how_to_approve(plan, &roster);
            self.settings.output.note(&how);
            if !wait {
                return report(self.settings, recorded);
            }
        }
        let unlimited = wait || plan.level.persons() == 0;
        self.follow(plan, &recorded.operation, unlimited).await
    }

    pub(super) async fn resume(&self, args: &ResumeArgs) -> Result<Exit, CliError> {
        let request = ResumeRequest { environment: args.environment.clone(), rollback: args.rollback };
        let resumed = self.ask(&request).await?;
        let plan = self.recorded(resumed.plan_id.as_str()).await?.plan;
        self.follow(&plan, &resumed.operation, true).await
    }

    /// One environment, until nothing more is to be done.
    pub(super) async fn watch(&self, args: &WatchArgs) -> Result<Exit, CliError> {
        let Some(environment) = args.environment.clone() else {
            return Err(usage("reading", "the arguments", "no environment", "name one"));
        };
        let status = self.ask(&StatusRequest { environment: environment.clone() }).await?;
        if let Some(begun) = status.open.iter().find(|open| open.started_at.is_some()) {
            if begun.needs_human.is_some() {
                return report(self.settings, begun);
            }
            let plan = self.recorded(begun.plan_id.as_str()).await?.plan;
            return self.follow(&plan, &begun.operation, true).await;
        }
        let waiting = self.client.ask(&ShowPlanRequest { plan: environment.to_string() }).await;
        match waiting {
            Ok(found) => self.start(&found.operation.plan_id, !args.once).await,
            Err(failure) if is_missing(&failure) => {
                self.settings.output.note("Nothing is being done.");
                let text = self.status_text(&status)?;
                self.settings.output.data(&status.view, || text)?;
                Ok(Exit::Done)
            }
            Err(failure) => Err(failure.into()),
        }
    }
}
