//! Sending a create request: guard, durable intent, one send, durable outcome.

use exokit_approval::grant::Intent;
use exokit_cloud::outcome::MutationError;
use exokit_cloud::reply::Reply;
use exokit_kinds::{Accepted, OneTimeSecret};
use exokit_ledger::Condition;
use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::kind::Kind;

use crate::keyring::NONCE_BYTES;
use crate::run::{Run, StepEnd, refused};
use crate::steps::{chain, pause, permit, send};

pub(crate) async fn run(run: &Run<'_>, node: &Node, attempt: u32, refusals: u32) -> Result<(), StepEnd> {
    pause(run.engine.parts().timing.create_backoff(refusals)).await;
    let permitted = match permit(run, node, Intent::Create).await? {
        Ok(permitted) => permitted,
        Err(refusal) => return refused(refusal),
    };
    let intent = Event::CreateIntended {
        node: node.key.clone(),
        attempt,
        request: permitted.request.digest(),
        expires_at: permitted.expires,
    };
    let events = match send(run, permitted, intent).await? {
        Ok(reply) => accepted(run, node, attempt, &reply)?,
        Err(error) => vec![not_accepted(node, attempt, &error)],
    };
    Ok(run.record_if(Condition::default(), events).await?)
}

fn in_doubt(node: &Node, attempt: u32, why: String) -> Event {
    Event::CreateInDoubt { node: node.key.clone(), attempt, why: why.into() }
}

fn accepted(run: &Run<'_>, node: &Node, attempt: u32, reply: &Reply) -> Result<Vec<Event>, StepEnd> {
    let read = exokit_kinds::of(node.kind).accepted(node, reply.value());
    let Accepted { id, cloud_operation, secret, is_ready } = match read {
        Ok(accepted) => accepted,
        // It was accepted, but nobody knows as what: look at the cloud.
        Err(error) => return Ok(vec![in_doubt(node, attempt, error.to_string())]),
    };
    let seal = |secret: OneTimeSecret| {
        let mut nonce = [0; NONCE_BYTES];
        run.engine.parts().entropy.fill(&mut nonce)?;
        let operation = run.state().operation.clone();
        Ok(run.engine.parts().keyring.seal(&operation, &node.key, secret.expose(), nonce))
    };
    // No secret of the cloud is long enough to be refused; if it were, a key
    // without its secret is replaced like one whose reply was lost.
    let sealed = match secret.map(seal).transpose().map_err(StepEnd::Engine)?.transpose() {
        Ok(sealed) => sealed,
        Err(error) => return Ok(vec![in_doubt(node, attempt, error.to_string())]),
    };
    let key = || node.key.clone();
    let ready = id.clone().filter(|_| is_ready);
    let ready = ready.map(|id| Event::ResourceReady { node: key(), id, time: None });
    let accepted = Event::CreateAccepted { node: key(), attempt, id, cloud_operation, sealed };
    Ok([accepted].into_iter().chain(ready).collect())
}

fn not_accepted(node: &Node, attempt: u32, error: &MutationError) -> Event {
    let refused = |status, message: String, transient| Event::CreateRefused {
        node: node.key.clone(),
        attempt,
        status,
        message: message.into(),
        transient,
    };
    match error {
        MutationError::NotSent { .. } => refused(0, chain(error), true),
        // The name carries our token, so what holds it may be our own earlier
        // request.
        MutationError::Refused { status: 409, .. } if has_unique_name(node.kind) => {
            in_doubt(node, attempt, error.to_string())
        }
        MutationError::Refused { status, message, .. } => {
            refused(*status, message.clone(), is_transient(node.kind, *status))
        }
        MutationError::InDoubt { .. } => in_doubt(node, attempt, chain(error)),
    }
}

fn has_unique_name(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SecurityGroup
            | Kind::AntiAffinityGroup
            | Kind::DbaasPg
            | Kind::DbaasValkey
            | Kind::SosBucket
            | Kind::IamRole
    )
}

/// Whether a refusal may pass: the cloud is busy, asks to slow down, or does
/// not yet see everywhere what was just made.
fn is_transient(kind: Kind, status: u16) -> bool {
    match (kind, status) {
        // A certificate that has expired is replaced; a conflict is with
        // another owner of the field and does not pass.
        (kind, status) if kind.is_kubernetes() => matches!(status, 401 | 404 | 429),
        // A key of a role that was just made is refused for a moment.
        (Kind::ApiKey, 400 | 403 | 404 | 409) => true,
        (_, status) => matches!(status, 404 | 409 | 412 | 429),
    }
}
