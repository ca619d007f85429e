//! The way over NATS: request and reply on the subjects of the table.

use std::time::Duration;

use async_nats::{Client, Request, RequestErrorKind};
use bytes::Bytes;
use exokit_model::ids::PersonId;
use exokit_wire::envelope::Meta;
use exokit_wire::verb::Verb;
use serde_json::{Map, Value};

use crate::Lost;

/// A connection to the server on which an agent answers.
pub struct NatsWay {
    client: Client,
}

impl NatsWay {
    /// Over a connection.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
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
        match self.client.send_request(verb.subject(), request).await {
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
