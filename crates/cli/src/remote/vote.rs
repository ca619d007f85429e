//! A vote through an agent. The agent only gets the token: everything that is
//! shown and signed is computed here, from the text of the plan and from the
//! roster that the pinned root key has signed.

use std::path::Path;

use exokit_approval::keys::PublicKey;
use exokit_approval::token::inspect;
use exokit_core::cost::estimate;
use exokit_core::start::check_policy;
use exokit_model::approval::{Decision, Roster};
use exokit_model::ids::{OperationId, PlanId};
use exokit_model::plan::{Action, Plan};
use exokit_templates::prices;
use exokit_wire::request::{ApproveRequest, DenyRequest};

use super::look::verified;
use super::{Agent, Recorded};
use crate::args::VoteArgs;
use crate::commands::approve;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::state_dir::read;

impl Agent<'_> {
    pub(super) async fn vote(&self, args: &VoteArgs, decision: Decision) -> Result<Exit, CliError> {
        let token = match &args.token {
            Some(path) => self.brought(args, path).await?,
            None => self.signed(args, decision).await?,
        };
        if args.print_token {
            self.settings.output.raw(format!("{token}\n").as_bytes())?;
            return Ok(Exit::Done);
        }
        approve::check_decision(&token, decision).doing("reading", "the token")?;
        let voted = match decision {
            Decision::Approve => self.ask(&ApproveRequest { approval_token: token }).await?,
            Decision::Deny => self.ask(&DenyRequest { approval_token: token }).await?,
        };
        approve::tell(self.settings, &voted)
    }

    /// A token that was signed elsewhere, which must be about the plan that is
    /// named.
    async fn brought(&self, args: &VoteArgs, path: &Path) -> Result<String, CliError> {
        let token = read(path)?.trim().to_owned();
        let signed = inspect(&token).doing("reading the token", path.display())?.claims.plan_digest;
        let found = self.recorded(&args.target).await?;
        self.is_meant(&args.target, &found)?;
        match signed == found.operation.digest {
            true => Ok(token),
            false => {
                let why = format!("it is about the plan with the digest {signed}");
                let hint = "name that plan, by its digest if you have nothing else";
                Err(CliError::new("other-plan", "voting with the token on", &args.target, why, hint))
            }
        }
    }

    async fn signed(&self, args: &VoteArgs, decision: Decision) -> Result<String, CliError> {
        let root = self.root(args)?;
        let found = self.recorded(&args.target).await?;
        self.is_meant(&args.target, &found)?;
        let roster = verified(self, &found.reply.roster, &root)?;
        let Recorded { plan, operation, .. } = found;
        if decision == Decision::Approve {
            self.recomputed(&plan, &roster)?;
        }
        approve::sign(self.settings, args, (&plan, &operation.digest), &roster, decision)
    }

    /// The pinned root key. Without it any roster could be shown.
    fn root(&self, args: &VoteArgs) -> Result<PublicKey, CliError> {
        let root = match &args.root {
            Some(path) => {
                let text = read(path)?;
                Some(PublicKey::parse(text.trim()).doing("reading the root key", path.display())?)
            }
            None => self.pinned_root()?,
        };
        root.ok_or_else(|| {
            let why = "no root key is pinned here, so nobody vouches for the roster";
            let hint = "give the public half with --root FILE; whoever ran `exokit approver init` has it";
            CliError::new("no-root", "checking", "the roster of the agent", why, hint)
        })
    }

    /// An agent that hands out another plan than was named is found out.
    fn is_meant(&self, target: &str, found: &Recorded) -> Result<(), CliError> {
        let plan = &found.plan;
        let by_id = target.parse::<PlanId>().map(|id| id == plan.plan_id);
        let by_operation = || target.parse::<OperationId>().map(|id| id == plan.plan_id.operation());
        let by_digest = || found.operation.digest.to_string().starts_with(&target.to_ascii_lowercase());
        let is_meant = match by_id.or_else(|_| by_operation()) {
            Ok(same) => same,
            Err(_) => plan.environment.as_str() == target || by_digest(),
        };
        match is_meant {
            true => Ok(()),
            false => Err(self.contradicts(target, &format!("the agent answered with {}", plan.plan_id))),
        }
    }

    /// Level, life and price again, from the text of the plan. Neither can be lower
    /// than what the rules and the known prices give.
    fn recomputed(&self, plan: &Plan, roster: &Roster) -> Result<(), CliError> {
        check_policy(plan, roster)
            .map_err(exokit_engine::error::EngineError::from)
            .doing("holding against the policy", &plan.plan_id)?;
        let known = prices::embedded().doing("reading", "the prices")?;
        let least = match (&plan.spec, plan.action) {
            (Some(spec), Action::Provision) => estimate(spec, &known).hourly,
            _ => return Ok(()),
        };
        match plan.cost.hourly >= least {
            true => Ok(()),
            false => {
                let (says, is) = (plan.cost.hourly, least);
                let why = format!("it says {says} per hour, and the known prices give {is}");
                Err(self.contradicts(plan.plan_id.as_str(), &why))
            }
        }
    }
}
