//! Requests over NATS: one queue subscription for each operation of the table,
//! shared with all replicas. Each reply is sent when its result is durable.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use exokit_model::access::RequesterProof;
use exokit_nats::{NatsError, is_inbox, round_trip};
use exokit_service::Service;
use exokit_spans::request::{TRACEPARENT, TraceContext, process_span};
use exokit_wire::envelope::reply;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::Verb;
use futures_util::stream::{SelectAll, StreamExt as _, select_all};
use serde_json::value::RawValue;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::request_stats::RequestStats;
use crate::metrics::Metrics;
use crate::outcome;

/// Queue group that the replicas share.
pub(super) const GROUP: &str = "infra";

/// Header with the status of a failure, as NATS micro services have it.
const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// Header with the code of a failure.
const ERROR: &str = "Nats-Service-Error";

/// Room for the headers of a reply, which count as part of the message.
const HEADERS_BYTES: usize = 1024;

/// Longest wait for the server at the start and the end.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves requests, each in a task of its own. A panic in one handler fails that
/// request only.
pub(super) struct RequestServer {
    handler: Handler,
    requests: SelectAll<Subscriber>,
    in_flight: JoinSet<()>,
}

impl RequestServer {
    /// Subscribes to every operation.
    pub(super) async fn subscribe(handler: Handler) -> Result<Self, NatsError> {
        let mut requests = Vec::new();
        for verb in Verb::ALL {
            let subject = verb.subject().to_owned();
            let subscribed = handler.client.queue_subscribe(subject.clone(), GROUP.to_owned()).await;
            requests.push(subscribed.map_err(|source| NatsError::Subscribe(subject, source))?);
        }
        // A client may send a request as soon as this returns. A server that went
        // away receives the subscriptions when it is back.
        if let Err(error) = round_trip(&handler.client, SERVER_TIMEOUT).await {
            tracing::warn!(%error, "the server has not confirmed the subscriptions yet");
        }
        Ok(Self { handler, requests: select_all(requests), in_flight: JoinSet::new() })
    }

    /// Serves requests until `stop` completes, then drains: takes no new
    /// requests, and answers those that came before.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = self.in_flight.join_next() => report(ended),
                message = self.requests.next() => match message {
                    Some(message) => self.start(message),
                    None => break,
                },
            }
        }
        if tokio::time::timeout(SERVER_TIMEOUT, self.drain()).await.is_err() {
            tracing::warn!("the server is away: requests that it still holds are not answered");
        }
        while let Some(ended) = self.in_flight.join_next().await {
            report(ended);
        }
    }

    fn start(&mut self, message: Message) {
        self.in_flight.spawn(self.handler.clone().handle(message));
    }

    async fn drain(&mut self) {
        for subscription in self.requests.iter_mut() {
            if let Err(error) = subscription.drain().await {
                tracing::debug!(%error, "a subscription is gone already");
            }
        }
        while let Some(message) = self.requests.next().await {
            self.start(message);
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request handler panicked");
    }
}

#[derive(Clone)]
pub(super) struct Handler {
    pub(super) client: Client,
    pub(super) service: Service,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stats: Arc<RequestStats>,
}

impl Handler {
    async fn handle(self, message: Message) {
        // The subscriptions are to the subjects of the table only.
        let Some(verb) = Verb::of_subject(message.subject.as_str()) else { return };
        let span = process_span(verb.subject(), verb.subject(), GROUP, message.payload.len());
        let header = message.headers.as_ref().and_then(|headers| headers.get(TRACEPARENT));
        let trace = TraceContext::continued(header.map(|value| value.as_str()), &span);
        let log_span =
            tracing::info_span!("request", way = "nats", subject = verb.subject(), trace = %trace.trace_id());
        let handled = self.answer(verb, message, &trace, &span);
        handled.instrument(log_span).instrument(span.clone()).await;
    }

    async fn answer(&self, verb: Verb, message: Message, trace: &TraceContext, span: &Span) {
        let Some(to) = message.reply.filter(is_inbox) else {
            tracing::warn!("not done: the message has no inbox for the reply");
            return;
        };
        let started = Instant::now();
        let outcome = self.service.answer(verb, &message.payload, RequesterProof::None).await;
        let (outcome, body) = fit(verb, outcome, self.client.server_info().max_payload);
        self.stats.record(verb, &outcome, started.elapsed());
        outcome::record(&self.metrics, span, (verb, "nats"), &outcome);
        let sent = self.client.publish_with_headers(to, headers(trace, &outcome), body.into()).await;
        // A requester that receives no reply repeats the request under its key.
        if let Err(error) = sent {
            tracing::warn!(%error, "a reply was not sent");
        }
    }
}

/// Headers of a reply: its trace, and the failure.
fn headers<T>(trace: &TraceContext, outcome: &Result<T, Failure>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, trace.to_string());
    if let Err(failure) = outcome {
        headers.insert(ERROR_CODE, failure.status.to_string());
        headers.insert(ERROR, failure.code.clone());
    }
    headers
}

/// An outcome with its reply. A reply that exceeds the server's limit becomes a
/// failure: otherwise it would never be sent, and the requester would wait.
fn fit(
    verb: Verb,
    outcome: Result<Box<RawValue>, Failure>,
    bytes_max: usize,
) -> (Result<Box<RawValue>, Failure>, String) {
    let body = reply(&outcome);
    if body.len() + HEADERS_BYTES <= bytes_max {
        return (outcome, body);
    }
    let bytes = body.len();
    let why = format!("the answer has {bytes} bytes, and the NATS server takes {bytes_max} as one message");
    let hint = "ask for less, such as one environment, or over HTTP";
    let outcome =
        Err(Failure::new(Class::TooLarge, "answer-too-large", "answering", verb.name(), &why, hint));
    let body = reply(&outcome);
    (outcome, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_exceeds_the_limit_becomes_a_failure() {
        let bytes_max = 8 * 1024;
        let reply = |bytes: usize| {
            let text = serde_json::value::to_raw_value(&"x".repeat(bytes)).unwrap();
            fit(Verb::List, Ok(text), bytes_max)
        };
        let (outcome, body) = reply(1024);
        assert!(outcome.is_ok() && body.contains("xxx"), "{body}");
        let (outcome, body) = reply(bytes_max);
        assert_eq!(outcome.unwrap_err().code, "answer-too-large");
        assert!(body.contains("answer-too-large") && body.len() + HEADERS_BYTES <= bytes_max, "{body}");
    }
}
