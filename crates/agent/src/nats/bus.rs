//! The bus that events are published on.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::header::NATS_MESSAGE_ID;
use async_nats::{Client, HeaderMap, RequestErrorKind};
use async_trait::async_trait;
use exokit_service::bus::{Bus, BusError, Publication};

/// Longest wait for the server's answer.
const CONFIRM: Duration = Duration::from_secs(5);

/// A subject on which nobody answers: that nobody does is the server's answer,
/// and comes after everything that was sent before.
const NOBODY: &str = "infra.nobody";

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
}

impl NatsBus {
    /// A bus on a connection.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, since: Mutex::new(None) }
    }

    /// Which connection it is, counted from the first.
    fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
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
        let failed = |error: async_nats::PublishError| BusError { why: error.to_string() };
        match id {
            None => self.client.publish(subject, body.into()).await.map_err(failed),
            Some(id) => {
                let mut headers = HeaderMap::new();
                headers.insert(NATS_MESSAGE_ID, id);
                self.client.publish_with_headers(subject, headers, body.into()).await.map_err(failed)
            }
        }
    }

    async fn confirm(&self) -> Result<(), BusError> {
        let since = self.since().take();
        round_trip(&self.client, CONFIRM).await?;
        match since {
            Some(since) if since != self.connection() => {
                Err(BusError { why: "the connection was lost meanwhile".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// Goes to the server and back.
pub(crate) async fn round_trip(client: &Client, within: Duration) -> Result<(), BusError> {
    let asked = client.request(NOBODY, bytes::Bytes::new());
    match tokio::time::timeout(within, asked).await {
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
        Ok(Err(error)) => Err(BusError { why: error.to_string() }),
        Ok(Ok(_)) => Err(BusError { why: format!("somebody answers on {NOBODY}") }),
        Err(_) => Err(BusError { why: format!("no answer within {} s", within.as_secs()) }),
    }
}
