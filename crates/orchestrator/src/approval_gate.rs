//! The approval gate: checks that a task that changes something carries the
//! votes that its plan needs, and notes which other votes verify.

use exokit_approval::keys::PublicKey;
use exokit_approval::refusal::Refusal;
use exokit_approval::roster::SignedRoster;
use exokit_approval::token::inspect;
use exokit_approval::verify::Verifier;
use exokit_model::approval::ApprovalClaims;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::TemplateId;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::reply::{RosterReply, ShowPlanReply};
use exokit_wire::request::{RosterRequest, ShowPlanRequest, Tokens};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::agent_client::AgentClient;
use crate::routes::{Gate, Route};

/// The first template that needs votes before a task is forwarded.
const FIRST_GATED: TemplateId = TemplateId(3);

/// Most tokens of one task. No plan needs more than two persons, and each token
/// that passes an open gate may cost a request to the agent.
const TOKENS_MAX: usize = 8;

/// One vote that is about to be forwarded.
#[derive(Debug)]
pub(crate) struct Vote {
    pub(crate) claims: ApprovalClaims,
    /// Code of the refusal; none when the vote verifies.
    pub(crate) flaw: Option<String>,
}

enum TaskPlan {
    /// A plan that does not exist yet, from this template.
    New(Option<TemplateId>),
    /// A plan that exists.
    Existing(FixedPlan),
}

pub(crate) struct ApprovalGate<'a> {
    pub(crate) agent: AgentClient<'a>,
    /// Public key of the signer of rosters.
    pub(crate) root: Option<&'a PublicKey>,
    pub(crate) now: Timestamp,
}

impl ApprovalGate<'_> {
    /// The votes of a task. At a closed gate all of them verify and approve, and
    /// they suffice for the plan.
    pub(crate) async fn check(
        &self,
        route: &Route,
        fields: &Map<String, Value>,
    ) -> Result<Vec<Vote>, Failure> {
        let tokens = tokens(fields)?;
        let claims = tokens.iter().map(|token| inspect(token).map(|read| read.claims));
        let claims = claims.collect::<Result<Vec<_>, _>>().map_err(refused)?;
        let plan = match (route.gate, tokens.is_empty()) {
            (Gate::Open, true) => return Ok(Vec::new()),
            (Gate::Open, false) => self.plan(fields).await.unwrap_or(TaskPlan::New(None)),
            (Gate::ApprovalFromT3 | Gate::Approval, _) => self.plan(fields).await?,
        };
        let plan = match (is_closed(route.gate, &plan), plan) {
            (false, plan) => {
                let plan = if let TaskPlan::Existing(plan) = plan { Some(plan) } else { None };
                return Ok(self.annotated(&tokens, claims, plan.as_ref()).await);
            }
            (true, TaskPlan::Existing(plan)) if !tokens.is_empty() => plan,
            (true, _) => return Err(needed(route)),
        };
        let verifier = self.verifier().await?;
        for token in &tokens {
            verifier.check_vote(token, &plan, self.now).map_err(refused)?;
        }
        verifier.quorum(&plan, &tokens, self.now).map_err(refused)?;
        Ok(claims.into_iter().map(|claims| Vote { claims, flaw: None }).collect())
    }

    /// Votes that the gate does not require, each with its flaw.
    async fn annotated(
        &self,
        tokens: &[String],
        claims: Vec<ApprovalClaims>,
        plan: Option<&FixedPlan>,
    ) -> Vec<Vote> {
        let mut votes = Vec::new();
        if tokens.is_empty() {
            return votes;
        }
        let verifier = self.verifier().await;
        for (token, claims) in tokens.iter().zip(claims) {
            let flaw = match &verifier {
                Ok(verifier) => self.flaw(verifier, token, &claims, plan).await,
                Err(failure) => Some(failure.code.clone()),
            };
            votes.push(Vote { claims, flaw });
        }
        votes
    }

    /// Why a vote on a plan does not verify. Without a plan, the vote is checked
    /// against the plan that it names.
    async fn flaw(
        &self,
        verifier: &Verifier,
        token: &str,
        claims: &ApprovalClaims,
        plan: Option<&FixedPlan>,
    ) -> Option<String> {
        let plan = match plan {
            Some(plan) => Ok(plan.clone()),
            None => self.recorded(claims.plan_digest.to_string()).await,
        };
        match plan.map(|plan| verifier.check_vote(token, &plan, self.now)) {
            Ok(Ok(_)) => None,
            Ok(Err(refusal)) => Some(refusal.code().to_owned()),
            Err(failure) => Some(failure.code),
        }
    }

    async fn plan(&self, fields: &Map<String, Value>) -> Result<TaskPlan, Failure> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if let Some(sealed) = fields.get("sealed") {
            return plan_of(&text(sealed.get("plan")).unwrap_or_default()).map(TaskPlan::Existing);
        }
        if let Some(plan) = text(fields.get("plan_id")) {
            return self.recorded(plan).await.map(TaskPlan::Existing);
        }
        let template = text(fields.get("ask").and_then(|ask| ask.get("template")));
        Ok(TaskPlan::New(template.and_then(|name| name.split('-').next()?.parse().ok())))
    }

    /// A plan that the agent has recorded.
    async fn recorded(&self, plan: String) -> Result<FixedPlan, Failure> {
        let shown: ShowPlanReply = self.agent.request(&ShowPlanRequest { plan }).await?;
        plan_of(&shown.plan)
    }

    /// Verifies by the roster that the pinned root key has signed. A replayed
    /// older roster does no harm: the agent, which has the newest, verifies again.
    async fn verifier(&self) -> Result<Verifier, Failure> {
        let refused = |why: &str| {
            let hint = "pin the root key with --state or --root, and install a roster with `exokit approver`";
            Failure::new(Class::Unavailable, "roster", "checking", "the approval", why, hint)
        };
        let root = self.root.ok_or_else(|| refused("no root key is pinned here"))?;
        let reply: RosterReply = self.agent.request(&RosterRequest {}).await?;
        let signed = reply.signed.ok_or_else(|| refused("the agent has no roster"))?;
        Verifier::signed(root, &SignedRoster::from_text(&signed)).map_err(|error| refused(&error.to_string()))
    }
}

/// Whether a task needs votes. A task of an unknown template does.
fn is_closed(gate: Gate, plan: &TaskPlan) -> bool {
    let template = match plan {
        TaskPlan::New(template) => *template,
        TaskPlan::Existing(plan) => Some(plan.template),
    };
    match gate {
        Gate::Open => false,
        Gate::ApprovalFromT3 => template.is_none_or(|template| template >= FIRST_GATED),
        Gate::Approval => true,
    }
}

fn needed(route: &Route) -> Failure {
    let why = "it needs an approval_token that verifies, and carries none for a plan that exists";
    let hint =
        "ask infra.plan for a plan, have it approved, and send it sealed, or by plan_id, with the token";
    Failure::new(Class::Refused, "approval-required", "routing to", &route.subject, why, hint)
}

fn refused(refusal: Refusal) -> Failure {
    let why = refusal.to_string();
    Failure::new(Class::Refused, refusal.code(), "checking", "the approval", &why, refusal.hint())
}

fn tokens(fields: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let refused = |why: &str| {
        let hint = "give one token or a list of tokens";
        Failure::new(Class::Invalid, "field", "reading", "approval_token", why, hint)
    };
    let Some(value) = fields.get("approval_token") else { return Ok(Vec::new()) };
    let tokens: Tokens = serde_json::from_value(value.clone()).map_err(|_| refused("it is no token"))?;
    match tokens.as_slice() {
        tokens if tokens.len() > TOKENS_MAX => Err(refused(&format!("it has more than {TOKENS_MAX}"))),
        tokens => Ok(tokens.to_vec()),
    }
}

fn plan_of(text: &str) -> Result<FixedPlan, Failure> {
    FixedPlan::from_bytes(text.as_bytes()).map_err(|error| {
        let hint = "send the plan as infra.plan answered with it";
        Failure::new(Class::Invalid, "plan", "reading", "the plan", &error.to_string(), hint)
    })
}
