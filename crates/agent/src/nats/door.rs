//! The door on NATS: one queue subscription for each operation of the table,
//! shared with all replicas; each request is answered when its result is
//! durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subscriber};
use exokit_service::Service;
use exokit_wire::envelope::reply;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::{Scope, Verb};
use futures_util::stream::{SelectAll, StreamExt as _, select_all};
use futures_util::{FutureExt as _, poll};
use serde_json::value::RawValue;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::headers;
use super::micro::Counts;
use crate::log;
use crate::metrics::Metrics;
use crate::span;
use crate::trace::Trace;
use exokit_nats::{NatsError, flush, is_inbox, round_trip};

/// Queue group that the replicas share.
pub(super) const GROUP: &str = "infra";

/// Header with the code of a failure, as NATS micro services have it.
const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// Header with the short text of a failure.
const ERROR: &str = "Nats-Service-Error";

/// Room for the headers of an answer, which count as part of the message.
const HEADERS_BYTES: usize = 1024;

/// Longest selection that is begun without a task of its own.
const SHORT_BYTES_MAX: usize = 4096;

/// Field of a change that was planned before, and where in the message it is
/// looked for. Inside a text its quotes would be escaped.
const SEALED: &[u8] = b"\"sealed\"";
const SEALED_WITHIN: usize = 512;

/// Longest wait for the server at the start and the end.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// The door.
pub struct Door {
    client: Client,
    service: Service,
    metrics: Arc<Metrics>,
    counts: Arc<Counts>,
    /// Where work is done that waits, or takes long.
    workers: Handle,
    requests: SelectAll<Subscriber>,
}

impl Door {
    /// Subscribes to every operation.
    ///
    /// # Errors
    /// When a subject cannot be subscribed to.
    pub async fn open(
        client: Client,
        service: Service,
        metrics: Arc<Metrics>,
        counts: Arc<Counts>,
        workers: Handle,
    ) -> Result<Self, NatsError> {
        let mut requests = Vec::new();
        for verb in Verb::ALL {
            let subject = verb.subject().to_owned();
            let subscribed = client.queue_subscribe(subject.clone(), GROUP.to_owned()).await;
            requests.push(subscribed.map_err(|source| NatsError::Subscribe { subject, source })?);
        }
        // Whoever is told that the door is open may send at once. A server that
        // went away meanwhile hears of the subscriptions when it is back.
        if let Err(error) = round_trip(&client, SERVER_TIMEOUT).await {
            tracing::warn!(%error, "the server has not confirmed the subscriptions yet");
        }
        Ok(Self { client, service, metrics, counts, workers, requests: select_all(requests) })
    }

    /// Answers requests until `stop` comes true; then takes no new ones and
    /// answers those that came before.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut under_way = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                message = self.requests.next() => match message {
                    Some(message) => self.begin(message, &mut under_way).await,
                    None => break,
                },
            }
        }
        let came_before = async {
            self.drain().await;
            while let Some(message) = self.requests.next().await {
                self.begin(message, &mut under_way).await;
            }
        };
        if tokio::time::timeout(SERVER_TIMEOUT, came_before).await.is_err() {
            tracing::warn!("what the server still holds is not waited for: it is not there");
        }
        while under_way.join_next().await.is_some() {}
        // What was answered last must leave before the process does.
        flush(&self.client).await;
    }

    /// Begins to answer one message. A selection, which waits for nothing, has
    /// been answered then: a task of its own, and another thread that wakes up
    /// for it, would take longer than the answer, and answers that are ready
    /// together leave together. A change that was planned before waits for the
    /// disk alone, once it is known which account this is, and stays on this
    /// thread for the same reason. Everything else
    /// is done elsewhere: it may take long, and what it started to wait for would
    /// be tied to this thread.
    async fn begin(&self, message: Message, under_way: &mut JoinSet<()>) {
        let place = match place(&message) {
            Place::Here if !self.service.engine().knows_account() => Place::Elsewhere,
            place => place,
        };
        let subject = message.subject.clone();
        // Who panics spoils one answer, not the door.
        let answer = AssertUnwindSafe(self.answer(message)).catch_unwind();
        let mut answer = Box::pin(answer.map(move |ended| {
            if ended.is_err() {
                tracing::error!(%subject, "answering a request broke off");
            }
        }));
        match place {
            Place::AtOnce if poll!(&mut answer).is_ready() => {}
            Place::Here => drop(under_way.spawn(answer)),
            Place::AtOnce | Place::Elsewhere => drop(under_way.spawn_on(answer, &self.workers)),
        }
    }

    /// Asks the server for no more.
    async fn drain(&mut self) {
        for subscription in self.requests.iter_mut() {
            if let Err(error) = subscription.drain().await {
                tracing::debug!(%error, "a subscription is gone already");
            }
        }
    }

    /// What answers one message. Nobody else waits for it.
    fn answer(&self, message: Message) -> impl Future<Output = ()> + Send + 'static {
        let (client, service, metrics) = (self.client.clone(), self.service.clone(), self.metrics.clone());
        let counts = self.counts.clone();
        let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
        let (parent, span) = (header("traceparent"), span::nats(&message, GROUP));
        let trace = Trace::continued(parent.as_deref(), &span);
        let logged =
            tracing::info_span!("request", way = "nats", subject = %message.subject, trace = %trace.id());
        let exported = span.clone();
        async move {
            // The subscriptions are to these subjects alone.
            let Some(verb) = Verb::of_subject(message.subject.as_str()) else { return };
            let Some(to) = message.reply.filter(is_inbox) else {
                tracing::warn!("not done: there is no inbox to answer to");
                return;
            };
            let begun = Instant::now();
            let outcome = service.answer(verb, &message.payload).await;
            let (outcome, body) = fitting(verb, outcome, client.server_info().max_payload);
            metrics.answered(verb, "nats", &outcome);
            counts.answered(verb, &outcome, begun.elapsed());
            span::ended(&span, &outcome);
            // Who only looked, with no trace, finds no trace of that anywhere.
            let unseen = parent.is_none() && span.is_disabled();
            let plain = unseen && outcome.is_ok() && verb.scope() == Scope::Read;
            let sent = match plain {
                true => client.publish(to, body.into()).await,
                false => client.publish_with_headers(to, headers_of(&trace, &outcome), body.into()).await,
            };
            log::answered(verb, &outcome);
            // The requester asks again under its key.
            if let Err(error) = sent {
                tracing::warn!(%error, "a reply was not sent");
            }
        }
        .instrument(logged)
        .instrument(exported)
    }
}

/// Where a message is answered. It decides how soon that is, and nothing else.
enum Place {
    /// On the thread of the bus, before the next message.
    AtOnce,
    /// On the thread of the bus, in a task.
    Here,
    /// On the other threads.
    Elsewhere,
}

fn place(message: &Message) -> Place {
    let start = &message.payload[..message.payload.len().min(SEALED_WITHIN)];
    match Verb::of_subject(message.subject.as_str()) {
        Some(Verb::Select) if message.payload.len() <= SHORT_BYTES_MAX => Place::AtOnce,
        Some(Verb::Provision) if names_sealed(start) => Place::Here,
        _ => Place::Elsewhere,
    }
}

/// Whether the field is there, and not a text that reads like it.
fn names_sealed(start: &[u8]) -> bool {
    let mut ends = start.windows(SEALED.len()).enumerate().filter(|(_, part)| *part == SEALED);
    ends.any(|(at, _)| start[at + SEALED.len()..].trim_ascii_start().starts_with(b":"))
}

/// What stands before an answer: its trace, and what went wrong.
fn headers_of<T>(trace: &Trace, outcome: &Result<T, Failure>) -> HeaderMap {
    let mut headers = headers(trace);
    if let Err(failure) = outcome {
        headers.insert(ERROR_CODE, failure.status.to_string());
        headers.insert(ERROR, failure.code.clone());
    }
    headers
}

/// An outcome with its answer. One that the server does not take as one message
/// becomes a failure: otherwise the requester would wait for what never leaves.
fn fitting(
    verb: Verb,
    outcome: Result<Box<RawValue>, Failure>,
    most: usize,
) -> (Result<Box<RawValue>, Failure>, String) {
    let body = reply(&outcome);
    match body.len() + HEADERS_BYTES <= most {
        true => (outcome, body),
        false => {
            let bytes = body.len();
            let why =
                format!("the answer has {bytes} bytes, and the NATS server takes {most} as one message");
            let hint = "ask for less, such as one environment, or over HTTP";
            let failure =
                Failure::new(Class::TooLarge, "answer-too-large", "answering", verb.name(), &why, hint);
            let outcome = Err(failure);
            let body = reply(&outcome);
            (outcome, body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_field_itself_says_that_a_plan_is_sealed() {
        assert!(names_sealed(br#"{"schema_version":1,"sealed" : {"plan":"x"}}"#));
        assert!(!names_sealed(br#"{"idempotency_key":"sealed","ask":{}}"#));
        assert!(!names_sealed(br#"{"a":"\"sealed\":"}"#));
        assert!(!names_sealed(br#"{"sealed"#));
    }

    #[test]
    fn an_answer_that_the_server_would_not_take_is_told_as_one() {
        let most = 8 * 1024;
        let answer = |bytes: usize| {
            let text = serde_json::value::to_raw_value(&"x".repeat(bytes)).unwrap();
            fitting(Verb::List, Ok(text), most)
        };
        let (outcome, body) = answer(1024);
        assert!(outcome.is_ok() && body.contains("xxx"), "{body}");
        let (outcome, body) = answer(most);
        assert_eq!(outcome.unwrap_err().code, "answer-too-large");
        assert!(body.contains("answer-too-large") && body.len() + HEADERS_BYTES <= most, "{body}");
    }
}
