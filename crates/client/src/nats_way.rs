//! The way over NATS: request and reply on the subjects of the table.

use std::time::Duration;

use async_nats::{Client, Event, Request, RequestErrorKind, ServerError};
use bytes::Bytes;
use exokit_model::ids::PersonId;
use exokit_model::text::excerpt;
use exokit_wire::envelope::Meta;
use exokit_wire::verb::Verb;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::Lost;

/// A connection to the server on which an agent answers.
pub struct NatsWay {
    client: Client,
    said: Mutex<UnboundedReceiver<Event>>,
}

impl NatsWay {
    /// Over a connection, with what its server says besides answers.
    #[must_use]
    pub fn new(client: Client, said: UnboundedReceiver<Event>) -> Self {
        Self { client, said: Mutex::new(said) }
    }

    /// Comes true when the server says that it denies a subject, which it does
    /// instead of an answer.
    async fn denied(&self, subject: &str) -> String {
        let denial = format!("\"{subject}\"").to_lowercase();
        let mut said = self.said.lock().await;
        loop {
            match said.recv().await {
                Some(Event::ServerError(ServerError::Other(text)))
                    if text.to_lowercase().contains(&denial) =>
                {
                    return format!("the NATS server says: {}", excerpt(&text));
                }
                Some(_) => {}
                // The connection is gone, and says so itself.
                None => std::future::pending::<()>().await,
            }
        }
    }

    pub(crate) async fn send(
        &self,
        verb: Verb,
        fields: &Map<String, Value>,
        person: Option<&PersonId>,
        key: Option<&str>,
        within: Duration,
    ) -> Result<(Option<u16>, Bytes), Lost> {
        let meta =
            Meta { requester: person.cloned(), idempotency_key: key.map(str::to_owned), ..Meta::bare() };
        let message = meta.around(fields).map_err(|error| Lost::NotSent(error.to_string()))?;
        let request = Request::new().payload(message.to_string().into()).timeout(Some(within));
        let sent = tokio::select! {
            biased;
            sent = self.client.send_request(verb.subject(), request) => sent,
            why = self.denied(verb.subject()) => return Err(Lost::Denied(why)),
        };
        match sent {
            Ok(reply) => Ok((None, reply.payload)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => {
                    Lost::NotSent(format!("nobody answers on {}", verb.subject()))
                }
                RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => {
                    Lost::NotSent(error.to_string())
                }
                RequestErrorKind::TimedOut => {
                    Lost::InDoubt(format!("no answer within {} s", within.as_secs()))
                }
                _ => Lost::InDoubt(error.to_string()),
            }),
        }
    }
}
