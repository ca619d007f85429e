//! The gate: whether a task that changes something carries votes that verify,
//! on the plan that it is about.

use std::time::Duration;

use exokit_approval::keys::PublicKey;
use exokit_approval::refusal::Refusal;
use exokit_approval::roster::SignedRoster;
use exokit_approval::verify::Verifier;
use exokit_model::approval::ApprovalClaims;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::TemplateId;
use exokit_wire::envelope::{Answer, Meta};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::reply::{RosterReply, ShowPlanReply};
use exokit_wire::request::{RosterRequest, ShowPlanRequest, Tokens};
use exokit_wire::verb::Message;
use serde_json::{Map, Value};

use super::Asker;
use super::routes::{Gate, Route};

/// The first template that needs a vote before it is handed on.
const FIRST_GATED: TemplateId = TemplateId(3);

/// How long plan and roster are waited for.
const ASK: Duration = Duration::from_secs(10);

/// Which plan a task is about.
enum About {
    /// One that is yet to be made from this template, by name.
    Unmade(Option<String>),
    /// One that exists, as text.
    Text(String),
}

/// The votes that a task carries and that verify; none are needed where the
/// gate is open.
pub(super) async fn check(
    asker: &Asker<'_>,
    route: &Route,
    fields: &Map<String, Value>,
) -> Result<Vec<ApprovalClaims>, Failure> {
    if route.gate == Gate::Open {
        return Ok(Vec::new());
    }
    let plan = match about(asker, fields).await? {
        About::Unmade(template) => {
            let small: Option<TemplateId> = template.and_then(|name| name.split('-').next()?.parse().ok());
            return match (route.gate, small) {
                (Gate::ApprovalFromT3, Some(template)) if template < FIRST_GATED => Ok(Vec::new()),
                _ => Err(needed(route)),
            };
        }
        About::Text(text) => FixedPlan::from_bytes(text.as_bytes()).map_err(|error| {
            let hint = "send the plan as infra.plan answered with it";
            Failure::new(Class::Invalid, "plan", "reading", "the plan", &error.to_string(), hint)
        })?,
    };
    if route.gate == Gate::ApprovalFromT3 && plan.template < FIRST_GATED {
        return Ok(Vec::new());
    }
    let tokens = tokens(fields)?;
    if tokens.is_empty() {
        return Err(needed(route));
    }
    let verifier = verifier(asker).await?;
    let now = (asker.orchestrator.now)();
    let votes = tokens.as_slice().iter().map(|token| verifier.check_vote(token, &plan, now));
    votes.collect::<Result<Vec<_>, Refusal>>().map_err(|refusal| {
        let why = refusal.to_string();
        Failure::new(Class::Refused, refusal.code(), "checking", "the approval", &why, refusal.hint())
    })
}

fn needed(route: &Route) -> Failure {
    let why = "it needs an approval_token that verifies, and carries none for a plan that exists";
    let hint =
        "ask infra.plan for a plan, have it approved, and send it sealed, or by plan_id, with the token";
    Failure::new(Class::Refused, "approval-required", "routing to", &route.subject, why, hint)
}

fn tokens(fields: &Map<String, Value>) -> Result<Tokens, Failure> {
    let Some(value) = fields.get("approval_token") else { return Ok(Tokens::default()) };
    serde_json::from_value(value.clone()).map_err(|_| {
        let hint = "give one token or a list of tokens";
        Failure::new(Class::Invalid, "field", "reading", "approval_token", "it is no token", hint)
    })
}

async fn about(asker: &Asker<'_>, fields: &Map<String, Value>) -> Result<About, Failure> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    if let Some(sealed) = fields.get("sealed") {
        return Ok(About::Text(text(sealed.get("plan")).unwrap_or_default()));
    }
    if let Some(plan) = text(fields.get("plan_id")) {
        let shown: ShowPlanReply = ask(asker, &ShowPlanRequest { plan }).await?;
        return Ok(About::Text(shown.plan));
    }
    Ok(About::Unmade(text(fields.get("ask").and_then(|ask| ask.get("template")))))
}

/// Judges by the roster that the pinned root key has signed. The bus could
/// hold back a newer one; the agent, which has it, judges again.
async fn verifier(asker: &Asker<'_>) -> Result<Verifier, Failure> {
    let refused = |why: &str| {
        let hint = "pin the root key with --state or --root, and install a roster with `exokit approver`";
        Failure::new(Class::Unavailable, "roster", "checking", "the approval", why, hint)
    };
    let root: &PublicKey =
        asker.orchestrator.root.as_ref().ok_or_else(|| refused("no root key is pinned here"))?;
    let reply: RosterReply = ask(asker, &RosterRequest {}).await?;
    let signed = reply.signed.ok_or_else(|| refused("the agent has no roster"))?;
    Verifier::signed(root, &SignedRoster::from_text(&signed)).map_err(|error| refused(&error.to_string()))
}

/// Asks the agent for something and reads the answer.
async fn ask<M: Message>(asker: &Asker<'_>, message: &M) -> Result<M::Reply, Failure> {
    let broken = |why: String| {
        let hint = "agent and orchestrator may be of different versions";
        Failure::new(Class::Internal, "foreign-reply", "asking", M::VERB.subject(), &why, hint)
    };
    let request = Meta::bare().around(message).map_err(|error| broken(error.to_string()))?;
    let answer = asker.ask(M::VERB.subject(), request.to_string().into(), ASK).await?;
    let answer: Answer<M::Reply> =
        serde_json::from_value(answer).map_err(|error| broken(error.to_string()))?;
    match (answer.result, answer.error) {
        (Some(result), _) => Ok(result),
        (None, Some(failure)) => Err(failure),
        (None, None) => Err(broken("neither result nor error came back".to_owned())),
    }
}
