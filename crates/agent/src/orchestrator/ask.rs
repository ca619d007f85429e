//! Asking the agent, for a task or for the orchestrator itself.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::decode;
use exokit_wire::envelope::{Answer, Meta};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::Message;
use serde_json::Value;
use tracing::Instrument as _;

use crate::nats::headers;
use crate::span;
use crate::trace::Trace;

/// How long the answer to a question of the orchestrator's own is waited for.
const ASK: Duration = Duration::from_secs(10);

/// Who asks the agent.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) client: &'a Client,
    /// The trace of the task for which it is asked.
    pub(super) trace: Option<&'a Trace>,
}

impl Asker<'_> {
    /// Asks something and reads the answer.
    pub(super) async fn ask<M: Message>(&self, message: &M) -> Result<M::Reply, Failure> {
        let broken = |why: String| {
            let hint = "agent and orchestrator may be of different versions";
            Failure::new(Class::Internal, "foreign-reply", "asking", M::VERB.subject(), &why, hint)
        };
        let request = Meta::bare().around(message).map_err(|error| broken(error.to_string()))?;
        let answer = self.forward(M::VERB.subject(), request.to_string().into(), ASK).await?;
        let answer: Answer<M::Reply> =
            serde_json::from_value(answer).map_err(|error| broken(error.to_string()))?;
        match (answer.result, answer.error) {
            (Some(result), _) => Ok(result),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(broken("neither result nor error came back".to_owned())),
        }
    }

    /// Sends a message as it is, in the trace of the task.
    pub(super) async fn forward(
        &self,
        subject: &str,
        payload: Bytes,
        within: Duration,
    ) -> Result<Value, Failure> {
        let Some(trace) = self.trace else {
            return self.send(subject, HeaderMap::new(), payload, within).await;
        };
        let span = span::asking(subject, payload.len());
        let sent = self.send(subject, headers(&trace.within(&span)), payload, within);
        let outcome = sent.instrument(span.clone()).await;
        span::asked(&span, &outcome);
        outcome
    }

    /// Only what carries our version is an answer.
    async fn send(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        within: Duration,
    ) -> Result<Value, Failure> {
        let failed = |class, code: &str, why: String, hint: &str| {
            Err(Failure::new(class, code, "asking", subject, &why, hint))
        };
        // The client's own limit is shorter than those of some routes.
        let request = Request::new().headers(headers).payload(payload).timeout(None);
        let asked = self.client.send_request(subject.to_owned(), request);
        let message = match tokio::time::timeout(within, asked).await {
            Ok(Ok(message)) => message,
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                let why = "no agent answers".to_owned();
                return failed(Class::Unavailable, "no-agent", why, "start one with `exokit serve --nats`");
            }
            Ok(Err(error)) => {
                let hint = "check NATS; the request may have been done: send the same again";
                return failed(Class::Unavailable, "nats", error.to_string(), hint);
            }
            Err(_) => {
                let why = format!("no answer within {} s", within.as_secs());
                let hint = "it may have been done: send the same again under the same idempotency key";
                return failed(Class::Unavailable, "timeout", why, hint);
            }
        };
        match decode::reply(&message.payload) {
            Ok(fields) if fields.get("schema_version") == Some(&SCHEMA_VERSION.into()) => {
                Ok(Value::Object(fields))
            }
            _ => {
                let why = "what came back is no reply of the agent".to_owned();
                failed(Class::Internal, "foreign-reply", why, "no stream may capture the agent's subjects")
            }
        }
    }
}
