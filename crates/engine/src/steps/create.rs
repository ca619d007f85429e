//! Sending a create request: guard, durable intent, one send, durable outcome.

use exokit_approval::grant::Intent;
use exokit_cloud::outcome::MutationError;
use exokit_cloud::reply::Reply;
use exokit_kinds::Accepted;
use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;

use crate::keyring::NONCE_BYTES;
use crate::run::{Run, StepEnd, refused};
use crate::steps::{node_of, pause, permit, send};

pub(crate) async fn run(run: &Run<'_>, key: &NodeKey, attempt: u32, refusals: u32) -> Result<(), StepEnd> {
    let node = node_of(run, key)?;
    pause(run.engine.parts().timing.create_backoff(refusals)).await;
    let permitted = match permit(run, key, Intent::Create).await? {
        Ok(permitted) => permitted,
        Err(refusal) => return refused(refusal),
    };
    let intent = Event::CreateIntended {
        node: key.clone(),
        attempt,
        request: permitted.request.digest(),
        expires_at: permitted.expires,
    };
    let event = match send(run, permitted, intent).await? {
        Ok(reply) => accepted(run, &node, attempt, &reply)?,
        Err(error) => not_accepted(&node, attempt, &error),
    };
    Ok(run.record(vec![event]).await?)
}

fn accepted(run: &Run<'_>, node: &Node, attempt: u32, reply: &Reply) -> Result<Event, StepEnd> {
    let read = exokit_kinds::of(node.kind).accepted(node, reply.value());
    let Accepted { id, cloud_operation, secret } = match read {
        Ok(accepted) => accepted,
        // It was accepted, but nobody knows as what: look at the cloud.
        Err(error) => {
            return Ok(Event::CreateInDoubt {
                node: node.key.clone(),
                attempt,
                why: error.to_string().into(),
            });
        }
    };
    let sealed = match secret {
        None => None,
        Some(secret) => {
            let mut nonce = [0; NONCE_BYTES];
            run.engine.parts().entropy.fill(&mut nonce)?;
            let operation = run.state().operation.clone();
            // No secret of the cloud is long enough to be refused; if it were,
            // a key without its secret is replaced like one whose reply was lost.
            match run.engine.parts().keyring.seal(&operation, &node.key, secret.expose(), nonce) {
                Ok(sealed) => Some(sealed),
                Err(error) => {
                    return Ok(Event::CreateInDoubt {
                        node: node.key.clone(),
                        attempt,
                        why: error.to_string().into(),
                    });
                }
            }
        }
    };
    Ok(Event::CreateAccepted { node: node.key.clone(), attempt, id, cloud_operation, sealed })
}

fn not_accepted(node: &Node, attempt: u32, error: &MutationError) -> Event {
    let key = node.key.clone();
    match error {
        MutationError::NotSent { .. } => Event::CreateRefused {
            node: key,
            attempt,
            status: 0,
            message: chain(error).into(),
            transient: true,
        },
        MutationError::Refused { status: 409, .. } if has_unique_name(node.kind) => {
            // The name carries our token, so what holds it may be our own
            // earlier request.
            Event::CreateInDoubt { node: key, attempt, why: error.to_string().into() }
        }
        MutationError::Refused { status, message, .. } => Event::CreateRefused {
            node: key,
            attempt,
            status: *status,
            message: message.as_str().into(),
            transient: is_transient(node.kind, *status),
        },
        MutationError::InDoubt { .. } => {
            Event::CreateInDoubt { node: key, attempt, why: chain(error).into() }
        }
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
        // A key of a role that was just made is refused for a moment.
        (Kind::ApiKey, 400 | 403 | 404 | 409) => true,
        (_, status) => matches!(status, 404 | 409 | 412 | 429),
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
