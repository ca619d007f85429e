//! The client: names the requester, retries, and decodes the result.

use std::time::Duration;

use exokit_model::ids::PersonId;
use exokit_model::text::excerpt;
use exokit_wire::envelope::Meta;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::{Message, Scope, Verb};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::reply;
use crate::transport::{Request, Transport, TransportError};

/// Longest wait for one answer: an agent gives up after 60 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(65);

/// After this long nothing is sent again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);

/// Most attempts when no answer comes.
const ATTEMPTS_MAX: u32 = 3;

/// Longest wait for one answer to a request that is polled.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Pause when the agent is busy and names no time.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// A client for the time of one command.
pub struct Client {
    /// The way to whatever carries the operations out.
    pub transport: Box<dyn Transport>,
    /// On HTTP the token names the requester, and this may only repeat it.
    pub requester: Option<PersonId>,
    /// One key for the command, so that a change that is sent again is the
    /// same change.
    pub key: String,
    /// Called with what a person who waits should know.
    pub notify: fn(&str),
}

impl Client {
    /// Asks for one operation.
    ///
    /// # Errors
    /// The refusal, or why no usable answer came.
    pub async fn call<M: Message>(&self, body: &M) -> Result<M::Reply, Failure> {
        self.retry(body, Some(ATTEMPTS_MAX), ANSWER_TIMEOUT).await
    }

    /// Asks for an operation that only reads, and waits two minutes for an agent
    /// that restarts.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn poll<M: Message>(&self, body: &M) -> Result<M::Reply, Failure> {
        self.retry(body, None, POLL_TIMEOUT).await
    }

    fn request<M: Message>(&self, body: &M) -> Result<Request, Failure> {
        let verb = M::VERB;
        // Reads and votes are sent in nobody's name; the doctor says what the
        // roster knows about the requester.
        let is_named =
            matches!(verb.scope(), Scope::Request | Scope::Admin | Scope::Access) || verb == Verb::Doctor;
        let fields = reply::fields(verb, body)?;
        let meta = Meta {
            requester: self.requester.clone().filter(|_| is_named),
            idempotency_key: is_keyed(verb, &fields).then(|| self.key.clone()),
            ..Meta::bare()
        };
        Ok(Request { verb, fields, meta })
    }

    /// Sends a request until there is an answer, at most so many times; without
    /// a number until [`RETRY_TIMEOUT`].
    async fn retry<M: Message>(
        &self,
        body: &M,
        attempts_max: Option<u32>,
        timeout: Duration,
    ) -> Result<M::Reply, Failure> {
        let request = self.request(body)?;
        let address = self.transport.address();
        let end = Instant::now() + RETRY_TIMEOUT;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = self.transport.send(&request, timeout).await;
            let may_repeat = attempts_max.is_none_or(|most| attempt < most);
            let pause = match &outcome {
                Ok(Ok(_)) => None,
                Ok(Err(failure)) => self.pause_after_failure(request.verb, failure, may_repeat),
                Err(error) => pause_after_loss(request.verb, error, attempt).filter(|_| may_repeat),
            };
            match (pause, outcome) {
                (Some(pause), outcome) if Instant::now() + pause < end => {
                    if let (Err(error), None, 1) = (outcome, attempts_max, attempt) {
                        (self.notify)(&format!(
                            "The agent does not answer: {}. Asking again.\n",
                            excerpt(&error)
                        ));
                    }
                    tokio::time::sleep(pause).await;
                }
                (_, Ok(answer)) => return answer.and_then(|raw| reply::result::<M>(address, &raw)),
                (_, Err(error)) => return Err(no_answer(request.verb, address, &error)),
            }
        }
    }

    /// How long to wait before the request is sent again; none when that would
    /// not help. A request that is refused as busy was not recorded.
    fn pause_after_failure(&self, verb: Verb, failure: &Failure, may_repeat: bool) -> Option<Duration> {
        match (failure.class(), failure.code.as_str()) {
            (Class::Busy, _) => {
                let pause = failure.retry_after_ms.map_or(BUSY_PAUSE, Duration::from_millis);
                let seconds = pause.as_millis().div_ceil(1000);
                let why = excerpt(&failure.why);
                (self.notify)(&format!("The agent is busy: {why}. Asking again in {seconds} s.\n"));
                Some(pause)
            }
            (_, "timeout") if may_repeat && is_repeatable(verb) => Some(PAUSE),
            _ => None,
        }
    }
}

fn no_answer(verb: Verb, address: &str, error: &TransportError) -> Failure {
    let hint = match error {
        TransportError::Denied(_) => "give the user the right in the configuration of the NATS server",
        TransportError::NotSent(_) => "check the address, and that `exokit serve` runs there",
        TransportError::InDoubt(_) => {
            "it may have been done: `exokit list` and `exokit history` tell, then ask again"
        }
    };
    let doing = format!("asking the agent for {}", verb.name());
    Failure::new(Class::Unavailable, "agent-away", &doing, address, &error.to_string(), hint)
}

/// Whether the agent recognizes a repeated request by its key. A plan that
/// exists is recognized by itself.
fn is_keyed(verb: Verb, fields: &Map<String, Value>) -> bool {
    let is_given = |field: &&str| fields.get(*field).is_some_and(|value| !value.is_null());
    let exists = ["sealed", "plan_id"].iter().any(is_given);
    matches!(verb, Verb::Provision | Verb::Teardown | Verb::Extend | Verb::Access) && !exists
}

/// Whether a request that is sent twice has no second effect. Key, token and
/// plan identify a change; a second resume would resume what stopped in
/// between.
fn is_repeatable(verb: Verb) -> bool {
    verb != Verb::Resume
}

fn pause_after_loss(verb: Verb, error: &TransportError, attempt: u32) -> Option<Duration> {
    let pause = PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(8)).min(PAUSE_MAX);
    match error {
        TransportError::Denied(_) => None,
        TransportError::NotSent(_) => Some(pause),
        TransportError::InDoubt(_) => is_repeatable(verb).then_some(pause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_request_carries_a_key() {
        for (verb, field, expected) in [
            (Verb::Provision, "ask", true),
            (Verb::Teardown, "remove", true),
            (Verb::Provision, "sealed", false),
            (Verb::Extend, "plan_id", false),
            (Verb::Status, "environment", false),
        ] {
            let fields = Map::from_iter([(field.to_owned(), serde_json::json!({}))]);
            assert_eq!(is_keyed(verb, &fields), expected, "{verb:?} {field}");
        }
    }

    #[test]
    fn a_request_in_doubt_is_repeated_unless_it_resumes() {
        for verb in Verb::ALL.iter().copied() {
            let in_doubt = pause_after_loss(verb, &TransportError::InDoubt(String::new()), 1);
            assert_eq!(in_doubt.is_some(), verb != Verb::Resume, "{verb:?}");
            assert!(pause_after_loss(verb, &TransportError::NotSent(String::new()), 1).is_some(), "{verb:?}");
            assert!(pause_after_loss(verb, &TransportError::Denied(String::new()), 1).is_none(), "{verb:?}");
        }
    }
}
