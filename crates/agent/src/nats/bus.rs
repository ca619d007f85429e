//! The bus that events are published on.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{Client, HeaderMap};
use async_trait::async_trait;
use exokit_service::bus::{Bus, BusError, Kept, Publication};

use super::acks::Acks;
use exokit_nats::{NatsError, round_trip};

/// Longest wait for the server's answer.
const CONFIRM: Duration = Duration::from_secs(5);

/// Publishes on NATS.
///
/// What was written to a connection that is lost may be lost with it, and the
/// client connects again by itself: an answer over the next connection says
/// nothing about what went over the one before. So a confirmation counts only
/// when one connection carried everything.
#[derive(Debug)]
pub struct NatsBus {
    client: Client,
    /// The connection at the time of the first message that is not confirmed.
    since: Mutex<Option<u64>>,
    acks: tokio::sync::Mutex<Acks>,
}

impl NatsBus {
    /// A bus on a connection.
    ///
    /// # Errors
    /// When the answers of streams cannot be subscribed to.
    pub async fn new(client: Client) -> Result<Self, NatsError> {
        let acks = Acks::listen(&client).await;
        let acks = acks.map_err(|source| NatsError::Subscribe { subject: "its inbox".to_owned(), source })?;
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
        let reached = round_trip(&self.client, CONFIRM).await;
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

    /// Counted from the first.
    fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}
