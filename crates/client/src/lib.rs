//! Asks a running agent: each operation of the table in `exokit-wire`, over
//! HTTP or NATS, with strict reading of what comes back.
//!
//! What may have been lost is sent again only where that cannot do a thing
//! twice. What the agent says is never believed here: who votes computes from
//! the plan's own text.

mod address;
mod http_way;
mod message;
mod nats_way;

use std::time::Duration;

use exokit_model::ids::PersonId;
use exokit_model::text::excerpt;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::{Message, Scope, Verb};
use serde_json::{Map, Value};
use tokio::time::Instant;

pub use address::{Address, AddressError};
pub use http_way::HttpWay;
pub use nats_way::NatsWay;

/// Longest wait for one answer: the agent gives up after 60 s.
const ANSWER: Duration = Duration::from_secs(65);

/// After this long nothing is sent again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Most attempts when no answer comes.
const ATTEMPTS_MAX: u32 = 3;

/// Longest wait for one answer to what only looks and is asked again.
const LOOK: Duration = Duration::from_secs(10);

/// Pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Pause when the agent is busy and does not say for how long.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// The ways to an agent.
pub enum Way {
    /// HTTP with a bearer token.
    Http(HttpWay),
    /// NATS, request and reply.
    Nats(NatsWay),
}

/// Why one attempt brought no result.
pub(crate) enum Lost {
    /// Not one byte of it arrived.
    NotSent(String),
    /// The server in between does not let it pass.
    Denied(String),
    /// It may have arrived.
    InDoubt(String),
}

impl Lost {
    fn why(&self) -> &str {
        match self {
            Lost::NotSent(why) | Lost::Denied(why) | Lost::InDoubt(why) => why,
        }
    }
}

/// Who asks an agent, for the time of one command.
pub struct Client {
    way: Way,
    /// Where, for messages; without anything secret.
    on: String,
    /// Who asks. On HTTP the token says it, and this may only repeat it.
    person: Option<PersonId>,
    /// One key for the command, so that a change that is sent again is the
    /// same change.
    key: String,
    told: fn(&str),
}

impl Client {
    /// A client for one command. `told` is called with what a person who waits
    /// should know.
    #[must_use]
    pub fn new(way: Way, on: String, person: Option<PersonId>, key: String, told: fn(&str)) -> Self {
        Self { way, on, person, key, told }
    }

    /// Where the agent is.
    #[must_use]
    pub fn on(&self) -> &str {
        &self.on
    }

    /// Asks for one operation.
    ///
    /// # Errors
    /// What the agent says, or why nothing usable came back.
    pub async fn ask<M: Message>(&self, body: &M) -> Result<M::Reply, Failure> {
        self.insist(body, Some(ATTEMPTS_MAX), ANSWER).await
    }

    /// Asks for something that only looks, while an agent that restarts comes
    /// back.
    ///
    /// # Errors
    /// As [`Client::ask`], when there was nobody for two minutes.
    pub async fn look<M: Message>(&self, body: &M) -> Result<M::Reply, Failure> {
        self.insist(body, None, LOOK).await
    }

    /// Asks until there is an answer, at most so many times; without a number
    /// until patience is over.
    async fn insist<M: Message>(
        &self,
        body: &M,
        attempts: Option<u32>,
        within: Duration,
    ) -> Result<M::Reply, Failure> {
        let verb = M::VERB;
        // Looking, and handing on somebody's vote, is done in nobody's name.
        let named = matches!(verb.scope(), Scope::Request | Scope::Admin);
        let person = self.person.as_ref().filter(|_| named);
        let fields = message::fields(verb, body)?;
        let key = is_keyed(verb, &fields).then_some(self.key.as_str());
        let end = Instant::now() + PATIENCE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome = match &self.way {
                Way::Http(way) => way.send(verb, &fields, person, key, within).await,
                Way::Nats(way) => way.send(verb, &fields, person, key, within).await,
            };
            let outcome = outcome.map(|(status, bytes)| message::answer::<M>(verb, &self.on, status, &bytes));
            let more = attempts.is_none_or(|most| attempt < most);
            let again = match &outcome {
                Ok(Ok(_)) => None,
                Ok(Err(failure)) => self.after_failure(verb, failure, more),
                Err(lost) => after_loss(verb, lost, attempt).filter(|_| more),
            };
            match (again, outcome) {
                (Some(pause), outcome) if Instant::now() + pause < end => {
                    if let (Err(lost), None, 1) = (outcome, attempts, attempt) {
                        (self.told)(&format!(
                            "The agent does not answer: {}. Asking again.\n",
                            excerpt(&lost.why())
                        ));
                    }
                    tokio::time::sleep(pause).await;
                }
                (_, Ok(result)) => return result,
                (_, Err(lost)) => return Err(self.silent(verb, lost)),
            }
        }
    }

    /// How long to wait before the same is sent again; none when that would
    /// not help. What is refused as busy was not recorded.
    fn after_failure(&self, verb: Verb, failure: &Failure, more: bool) -> Option<Duration> {
        match (failure.class(), failure.code.as_str()) {
            (Class::Busy, _) => {
                let pause = failure.retry_after_ms.map_or(BUSY_PAUSE, Duration::from_millis);
                let seconds = pause.as_millis().div_ceil(1000);
                let why = excerpt(&failure.why);
                (self.told)(&format!("The agent is busy: {why}. Asking again in {seconds} s.\n"));
                Some(pause)
            }
            (_, "timeout") if more && repeatable(verb) => Some(PAUSE),
            _ => None,
        }
    }

    /// Nothing came back.
    fn silent(&self, verb: Verb, lost: Lost) -> Failure {
        let (why, hint) = match lost {
            Lost::Denied(why) => (why, "give the user the right in the configuration of the NATS server"),
            Lost::NotSent(why) => (why, "check the address, and that `exokit serve` runs there"),
            Lost::InDoubt(why) => {
                (why, "it may have been done: `exokit list` and `exokit history` tell, then ask again")
            }
        };
        let doing = format!("asking the agent for {}", verb.name());
        Failure::new(Class::Unavailable, "agent-away", &doing, &self.on, &why, hint)
    }
}

/// Whether the agent knows a repeated request by its key. A plan that exists is
/// known by itself.
fn is_keyed(verb: Verb, fields: &Map<String, Value>) -> bool {
    let is_given = |field: &&str| fields.get(*field).is_some_and(|value| !value.is_null());
    let exists = ["sealed", "plan_id"].iter().any(is_given);
    matches!(verb, Verb::Provision | Verb::Teardown | Verb::Extend) && !exists
}

/// Whether sending it twice does no more than sending it once. A key, a token
/// or a plan says that it is the same; to resume twice is to resume what
/// stopped in between.
fn repeatable(verb: Verb) -> bool {
    verb != Verb::Resume
}

fn after_loss(verb: Verb, lost: &Lost, attempt: u32) -> Option<Duration> {
    let pause = PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(8)).min(PAUSE_MAX);
    match lost {
        Lost::Denied(_) => None,
        Lost::NotSent(_) => Some(pause),
        Lost::InDoubt(_) => repeatable(verb).then_some(pause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_with_what_is_asked_for_anew() {
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
    fn what_may_have_arrived_is_sent_again_unless_twice_is_more_than_once() {
        for verb in Verb::ALL.iter().copied() {
            let in_doubt = after_loss(verb, &Lost::InDoubt(String::new()), 1);
            assert_eq!(in_doubt.is_some(), verb != Verb::Resume, "{verb:?}");
            assert!(after_loss(verb, &Lost::NotSent(String::new()), 1).is_some(), "{verb:?}");
            assert!(after_loss(verb, &Lost::Denied(String::new()), 1).is_none(), "{verb:?}");
        }
    }
}
