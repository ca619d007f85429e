//! The agent as a NATS micro service: tools such as `nats micro list` find it,
//! see its endpoints, and read what they have done.
//!
//! Requests and replies are those of ADR-32 of NATS ("Service API"). Nothing
//! else depends on it: where the server does not allow it, it is left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, Message, Subject};
use data_encoding::HEXLOWER;
use exokit_wire::failure::Failure;
use exokit_wire::verb::Verb;
use futures_util::stream::{StreamExt as _, select_all};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::door::GROUP;
use super::presence::{AGENT, SERVICE};
use crate::trace::fresh;
use exokit_nats::{NatsError, Permission, is_inbox};

/// What every subject of the protocol begins with.
const PREFIX: &str = "$SRV";

/// What can be asked.
const QUESTIONS: [Question; 3] = [Question::Ping, Question::Info, Question::Stats];

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Ping,
    Info,
    Stats,
}

impl Question {
    fn word(self) -> &'static str {
        match self {
            Question::Ping => "PING",
            Question::Info => "INFO",
            Question::Stats => "STATS",
        }
    }

    /// The type of the answer.
    fn kind(self) -> &'static str {
        match self {
            Question::Ping => "io.nats.micro.v1.ping_response",
            Question::Info => "io.nats.micro.v1.info_response",
            Question::Stats => "io.nats.micro.v1.stats_response",
        }
    }

    fn of(subject: &Subject) -> Option<Self> {
        let word = subject.split('.').nth(1)?;
        QUESTIONS.into_iter().find(|question| question.word() == word)
    }
}

/// What the server must allow, so that it can be asked for.
#[must_use]
pub fn permissions() -> Vec<Permission> {
    let all = QUESTIONS.iter().map(|question| format!("{PREFIX}.{}", question.word()));
    all.map(Permission::Subscribe).collect()
}

/// What one operation has done since the process began.
#[derive(Debug, Clone, Default)]
struct Done {
    requests: u64,
    errors: u64,
    last_error: String,
    took: Duration,
}

/// What the operations have done over NATS since the process began.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<Verb, Done>>);

impl Counts {
    /// Counts an answer.
    pub fn answered<T>(&self, verb: Verb, outcome: &Result<T, Failure>, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let done = all.entry(verb).or_default();
        done.requests += 1;
        done.took += took;
        if let Err(failure) = outcome {
            done.errors += 1;
            done.last_error = format!("{}:{}", failure.status, failure.code);
        }
    }

    fn of(&self, verb: Verb) -> Done {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&verb).cloned().unwrap_or_default()
    }
}

/// The description of one process.
pub struct Described {
    client: Client,
    counts: Arc<Counts>,
    /// Another one for each process.
    id: String,
    started: Timestamp,
}

impl Described {
    /// The description of a process that begins now.
    #[must_use]
    pub fn new(client: Client, counts: Arc<Counts>, started: Timestamp) -> Self {
        Self { client, counts, id: HEXLOWER.encode(&fresh::<11>()), started }
    }

    /// Answers until `stop` comes true.
    ///
    /// # Errors
    /// When a subject cannot be subscribed to.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), NatsError> {
        let mut asked = Vec::new();
        for subject in self.subjects() {
            let subscribed = self.client.subscribe(subject.clone()).await;
            asked.push(subscribed.map_err(|source| NatsError::Subscribe { subject, source })?);
        }
        let mut asked = select_all(asked);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                message = asked.next() => match message {
                    Some(message) => self.answer(message).await,
                    None => return Ok(()),
                },
            }
        }
    }

    /// All services, those of this name, this process.
    fn subjects(&self) -> Vec<String> {
        let ends = [String::new(), format!(".{SERVICE}"), format!(".{SERVICE}.{}", self.id)];
        let of = |question: &Question| {
            ends.iter().map(|end| format!("{PREFIX}.{}{end}", question.word())).collect::<Vec<_>>()
        };
        QUESTIONS.iter().flat_map(of).collect()
    }

    async fn answer(&self, message: Message) {
        let question = Question::of(&message.subject);
        let (Some(question), Some(to)) = (question, message.reply.filter(is_inbox)) else { return };
        let body = self.told(question).to_string();
        if let Err(error) = self.client.publish(to, body.into()).await {
            tracing::debug!(%error, "not described");
        }
    }

    fn told(&self, question: Question) -> Value {
        let mut told = object([
            ("type", question.kind().into()),
            ("name", SERVICE.into()),
            ("id", self.id.as_str().into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("metadata", json!({ "agent": AGENT })),
        ]);
        let verbs = Verb::ALL.iter().copied();
        match question {
            Question::Ping => {}
            Question::Info => told.extend(object([
                ("description", env!("CARGO_PKG_DESCRIPTION").into()),
                ("endpoints", verbs.map(described).collect()),
            ])),
            Question::Stats => told.extend(object([
                ("started", self.started.to_string().into()),
                ("endpoints", verbs.map(|verb| self.stats(verb)).collect()),
            ])),
        }
        told.into()
    }

    fn stats(&self, verb: Verb) -> Value {
        let done = self.counts.of(verb);
        let nanos = u64::try_from(done.took.as_nanos()).unwrap_or(u64::MAX);
        let mut stats = endpoint(verb);
        stats.extend(object([
            ("num_requests", done.requests.into()),
            ("num_errors", done.errors.into()),
            ("last_error", done.last_error.into()),
            ("processing_time", nanos.into()),
            ("average_processing_time", nanos.checked_div(done.requests).unwrap_or(0).into()),
        ]));
        stats.into()
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One operation. Names of endpoints have no dots.
fn endpoint(verb: Verb) -> Map<String, Value> {
    object([
        ("name", verb.name().replace('.', "-").into()),
        ("subject", verb.subject().into()),
        ("queue_group", GROUP.into()),
    ])
}

/// One operation with what can be told of it beforehand.
fn described(verb: Verb) -> Value {
    let mut endpoint = endpoint(verb);
    let metadata = json!({ "operation": verb.name(), "scope": verb.scope().as_str() });
    endpoint.insert("metadata".to_owned(), metadata);
    endpoint.into()
}
