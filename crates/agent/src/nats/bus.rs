//! The bus for events: core NATS, with the acknowledgements of a stream if any.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{Client, HeaderMap};
use async_trait::async_trait;
use exokit_service::bus::{Bus, BusError, Kept, Publication};

use super::stream_acks::StreamAcks;
use exokit_nats::{NatsError, round_trip};

/// Longest wait for the server's answer.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes on NATS.
///
/// # Guarantees
/// A confirmation counts only when one connection carried everything. Messages on
/// a lost connection may be lost with it, and the client reconnects by itself, so
/// an answer over the next connection proves nothing about them.
#[derive(Debug)]
pub(super) struct NatsBus {
    client: Client,
    /// Connection of the first message that is not confirmed.
    since: Mutex<Option<u64>>,
    acks: tokio::sync::Mutex<StreamAcks>,
}

impl NatsBus {
    /// # Errors
    /// When the acknowledgements cannot be subscribed to.
    pub(super) async fn new(client: Client) -> Result<Self, NatsError> {
        let acks = StreamAcks::subscribe(&client).await;
        let acks = acks.map_err(|source| NatsError::Subscribe("its inbox".to_owned(), source))?;
        Ok(Self { client, since: Mutex::new(None), acks: tokio::sync::Mutex::new(acks) })
    }

    fn since(&self) -> MutexGuard<'_, Option<u64>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, publication: Publication) -> Result<(), BusError> {
        let Publication { subject, id, body } = publication;
        self.since().get_or_insert_with(|| self.connection());
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            headers.insert(NATS_MESSAGE_ID, id);
        }
        let reply = self.acks.lock().await.reply();
        let published = self.client.publish_with_reply_and_headers(subject, reply, headers, body.into());
        published.await.map_err(|error| BusError { why: error.to_string() })
    }

    async fn confirm(&self) -> Result<Option<Kept>, BusError> {
        let since = self.since().take();
        let reached = round_trip(&self.client, CONFIRM_TIMEOUT).await;
        let reached = reached.map_err(|error| BusError { why: error.to_string() });
        let reached = reached.and_then(|()| match since {
            Some(since) if since != self.connection() => {
                Err(BusError { why: "the connection was lost meanwhile".to_owned() })
            }
            _ => Ok(()),
        });
        let mut acks = self.acks.lock().await;
        match reached {
            Ok(()) => Ok(acks.confirm(self.connection()).await),
            Err(error) => {
                acks.forget();
                Err(error)
            }
        }
    }

    /// Number of the connection, counted from the first.
    fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}
