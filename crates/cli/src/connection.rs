//! A connection of one command: requests and replies, with plans and rosters
//! checked by their own text.

use std::num::NonZeroUsize;

use exokit_approval::keys::PublicKey;
use exokit_approval::roster::SignedRoster;
use exokit_client::Client;
use exokit_model::approval::Roster;
use exokit_model::canonical::Digest;
use exokit_model::plan::Plan;
use exokit_wire::reply::{PlanReply, RosterReply, ShowPlanReply};
use exokit_wire::request::{PlanRequest, RosterRequest, ShowPlanRequest};
use exokit_wire::verb::Message;

use crate::error::{CliError, Doing as _};
use crate::keys;
use crate::session;
use crate::settings::Settings;
use crate::transport;

pub(crate) struct Connection<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) client: Client,
    /// Cloud seconds per real second, as far as this host knows.
    pub(crate) speed: f64,
}

/// A recorded plan, read from its own text.
pub(crate) struct RecordedPlan {
    pub(crate) plan: Plan,
    pub(crate) reply: ShowPlanReply,
}

impl<'s> Connection<'s> {
    pub(crate) async fn open(
        settings: &'s Settings,
        steps_at_once: Option<NonZeroUsize>,
    ) -> Result<Self, CliError> {
        let client = transport::client(settings, steps_at_once).await?;
        Ok(Self { settings, client, speed: session::speed(settings)? })
    }

    pub(crate) async fn call<M: Message>(&self, message: &M) -> Result<M::Reply, CliError> {
        Ok(self.client.call(message).await?)
    }

    /// Asks for a plan that is not recorded.
    pub(crate) async fn planned(&self, request: &PlanRequest) -> Result<(PlanReply, Plan), CliError> {
        let reply = self.call(request).await?;
        let plan = self.checked(&reply.plan, reply.view.plan_id.as_str(), &reply.view.digest)?;
        Ok((reply, plan))
    }

    /// Asks for a recorded plan.
    pub(crate) async fn recorded(&self, target: &str) -> Result<RecordedPlan, CliError> {
        let reply = self.call(&ShowPlanRequest { plan: target.to_owned() }).await?;
        self.consistent(target, reply)
    }

    /// Checks that the reply says of a plan what the plan's text says.
    pub(crate) fn consistent(&self, target: &str, reply: ShowPlanReply) -> Result<RecordedPlan, CliError> {
        let operation = &reply.operation;
        let plan = self.checked(&reply.plan, operation.plan_id.as_str(), &operation.digest)?;
        let same = plan.plan_id == operation.plan_id
            && plan.environment == operation.environment
            && plan.action == operation.action
            && plan.level == operation.level;
        match same {
            true => Ok(RecordedPlan { plan, reply }),
            false => Err(self.contradiction(target, "the plan is another than the reply says")),
        }
    }

    /// Reads a plan, whose digest must be as the reply says.
    fn checked(&self, text: &str, on: &str, digest: &Digest) -> Result<Plan, CliError> {
        let plan = Plan::from_bytes(text.as_bytes()).doing("reading", on)?;
        match Plan::digest_of(text.as_bytes()) == *digest {
            true => Ok(plan),
            false => Err(self.contradiction(on, "the digest of its text is another than the reply says")),
        }
    }

    /// Asks who may approve. Where a root key is pinned, it must have signed
    /// the roster.
    pub(crate) async fn roster(&self) -> Result<Roster, CliError> {
        let reply = self.call(&RosterRequest {}).await?;
        match keys::root(self.settings, None)? {
            Some(root) => self.signed_roster(&reply, &root),
            None => Ok(reply.roster),
        }
    }

    /// The roster that the root key has signed, which must be what the reply
    /// says.
    pub(crate) fn signed_roster(&self, reply: &RosterReply, root: &PublicKey) -> Result<Roster, CliError> {
        let Some(signed) = &reply.signed else {
            let why = "the root key is pinned here, and the roster is not signed";
            return Err(self.contradiction("the roster", why));
        };
        let roster = SignedRoster::from_text(signed).verify(root).doing("checking", "the roster")?;
        match roster == reply.roster {
            true => Ok(roster),
            false => Err(self.contradiction("the roster", "it is another than the signed one")),
        }
    }

    /// An error: the other side says things that cannot all be true.
    pub(crate) fn contradiction(&self, on: &str, why: &str) -> CliError {
        let hint = format!(
            "do not trust {}; check its ledger with `exokit audit verify`",
            self.client.transport.address()
        );
        CliError::new("contradiction", "checking", on, why, hint)
    }
}
