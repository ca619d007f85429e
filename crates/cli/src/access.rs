//! Access to what was built: asked for with a fresh key, opened with it, and the
//! key is forgotten.

use std::time::Duration;

use exokit_model::access::{Access, AccessTerms, RecipientKey};
use exokit_model::ids::{EnvironmentName, PlanId};
use exokit_model::phase::Phase;
use exokit_text::operation;
use exokit_wire::failure::Failure;
use exokit_wire::request::{AccessRequest, AccessTo, PlanRequest, SealedPlan, Tokens};
use exokit_wire::sealed::{Recipient, SealedReply};
use exokit_wire::verb::Message;
use jiff::Timestamp;
use secrecy::{SecretBox, SecretString};

use crate::connection::Connection;
use crate::error::CliError;
use crate::interrupt::interrupted;
use crate::keys;

/// Code of a refusal that an approved plan lifts.
const NEEDS_APPROVAL: &str = "approval-needed";

/// Pause between two polls of the votes.
const POLL: Duration = Duration::from_millis(500);

/// An access in clear text.
pub(crate) struct Obtained {
    pub(crate) text: SecretString,
    pub(crate) expires_at: Option<Timestamp>,
}

/// An access that a command asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) environment: &'a EnvironmentName,
    pub(crate) access: Access,
    /// Whether to wait for an approval where one is needed.
    pub(crate) wait: bool,
}

/// Asks for an access by the request that `message` makes of a key and a plan.
/// None when the user stopped waiting for the approval.
pub(crate) async fn obtain<M: Message<Reply = SealedReply>>(
    connection: &Connection<'_>,
    wanted: &Wanted<'_>,
    message: impl Fn(RecipientKey, Option<PlanId>) -> M,
) -> Result<Option<Obtained>, CliError> {
    let random = SecretBox::new(Box::new(keys::random::<32>()?));
    let recipient = Recipient::new(&random);
    let ask = async |plan| connection.client.call(&message(recipient.key().clone(), plan)).await;
    let reply = match ask(None).await {
        Err(failure) if failure.code == NEEDS_APPROVAL && wanted.wait => {
            let Some(plan) = approved(connection, wanted, recipient.key(), &failure).await? else {
                return Ok(None);
            };
            ask(Some(plan)).await?
        }
        answer => answer?,
    };
    let opened = recipient.open(wanted.environment, &reply.sealed);
    let text = opened.map_err(|error| {
        let hint = "ask again; if it happens again, check the connection to the agent";
        CliError::new("sealed", "opening", "the reply", error, hint)
    })?;
    Ok(Some(Obtained { text, expires_at: reply.expires_at }))
}

/// Plans the access, and waits until the plan is approved. None when the user
/// stopped waiting.
async fn approved(
    connection: &Connection<'_>,
    wanted: &Wanted<'_>,
    recipient: &RecipientKey,
    refused: &Failure,
) -> Result<Option<PlanId>, CliError> {
    let output = &connection.settings.output;
    let terms = AccessTerms { access: wanted.access.clone(), recipient: recipient.clone() };
    let request = PlanRequest::Access(AccessTo { environment: wanted.environment.clone(), terms });
    let (reply, plan) = connection.planned(&request).await?;
    let sealed = Some(SealedPlan { plan: reply.plan, seal: reply.seal });
    let approval_token = Tokens::default();
    connection.call(&AccessRequest { access: None, plan_id: None, sealed, approval_token }).await?;
    output.note(&format!("{}: {}", exokit_text::plan::heading(&plan), refused.why));
    output.note(&operation::how_to_approve(&plan, &connection.roster().await?));
    output.note("Waiting for it; the key for the reply is in this process only.");
    loop {
        let found = connection.recorded(plan.plan_id.as_str()).await?.reply;
        match (found.operation.phase.raw(), &found.still) {
            (phase, None) if phase == Phase::AwaitingApproval.name() => return Ok(Some(plan.plan_id)),
            (phase, Some(_)) if phase == Phase::AwaitingApproval.name() => {}
            (phase, _) => {
                let why = found.operation.cause.clone().unwrap_or_else(|| phase.into());
                let hint = "ask again when the reason is gone";
                return Err(CliError::new("rejected", "waiting for", "the approval", why, hint));
            }
        }
        tokio::select! {
            biased;
            () = interrupted() => {
                output.note("\nStopped waiting. The key for the reply is gone, so run the command again.");
                return Ok(None);
            }
            () = tokio::time::sleep(POLL) => {}
        }
    }
}
