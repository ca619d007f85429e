//! NATS: request and reply on the subjects of the table.

use std::time::Duration;

use async_nats::{Client, Event, RequestErrorKind, ServerError};
use async_trait::async_trait;
use exokit_model::text::excerpt;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::reply;
use crate::transport::{Answer, Request, Transport, TransportError};

/// An agent behind a NATS server.
pub struct Nats {
    /// The connection to the server.
    pub client: Client,
    /// Reports of the server about the connection.
    pub server_events: Mutex<UnboundedReceiver<Event>>,
    /// The address of the server.
    pub address: String,
}

impl Nats {
    /// Returns once the server denies a subject, which it does instead of
    /// answering.
    async fn denied(&self, subject: &str) -> String {
        let denial = format!("\"{subject}\"").to_lowercase();
        let mut events = self.server_events.lock().await;
        loop {
            match events.recv().await {
                Some(Event::ServerError(ServerError::Other(text)))
                    if text.to_lowercase().contains(&denial) =>
                {
                    return format!("the NATS server says: {}", excerpt(&text));
                }
                Some(_) => {}
                // A lost connection is reported by the request itself.
                None => std::future::pending::<()>().await,
            }
        }
    }
}

#[async_trait]
impl Transport for Nats {
    fn address(&self) -> &str {
        &self.address
    }

    async fn send(&self, request: &Request, timeout: Duration) -> Result<Answer, TransportError> {
        let subject = request.verb.subject();
        let message = async_nats::Request::new().payload(request.to_message()?.into()).timeout(Some(timeout));
        let sent = tokio::select! {
            biased;
            sent = self.client.send_request(subject, message) => sent,
            why = self.denied(subject) => return Err(TransportError::Denied(why)),
        };
        match sent {
            Ok(message) => Ok(reply::decode(request.verb, &self.address, None, &message.payload)),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => {
                    TransportError::NotSent(format!("nobody answers on {subject}"))
                }
                RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => {
                    TransportError::NotSent(error.to_string())
                }
                RequestErrorKind::TimedOut => {
                    TransportError::InDoubt(format!("no answer within {} s", timeout.as_secs()))
                }
                _ => TransportError::InDoubt(error.to_string()),
            }),
        }
    }
}
