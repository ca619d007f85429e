//! A round trip to the server: proof that everything sent before has arrived.

use std::time::Duration;

use async_nats::{Client, RequestErrorKind};
use bytes::Bytes;

use crate::NatsError;

/// A subject without subscribers. The server answers a request on it itself,
/// after everything that was sent before on the same connection.
pub const UNUSED_SUBJECT: &str = "infra.nobody";

/// Sends a request on [`UNUSED_SUBJECT`] and waits for the server's answer that
/// the subject has no subscribers.
///
/// # Errors
/// [`NatsError::RoundTrip`] when that answer does not come in time, or a
/// subscriber answers.
pub async fn round_trip(client: &Client, timeout: Duration) -> Result<(), NatsError> {
    let request = client.request(UNUSED_SUBJECT, Bytes::new());
    let why = match tokio::time::timeout(timeout, request).await {
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(_)) => format!("{UNUSED_SUBJECT} has a subscriber"),
        Err(_) => format!("no answer within {} s", timeout.as_secs()),
    };
    Err(NatsError::RoundTrip(why))
}
