//! The client: every request to the cloud starts here.
//!
//! Here are the reads, which are repeated when a fault usually passes, and
//! the one exchange with the transport that reads and changes share. Changes
//! are in [`crate::change`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use exokit_model::ids::{ResourceId, Zone};
use jiff::Timestamp;
use tower::ServiceExt;
use tracing::Instrument as _;

use crate::budget::Budget;
use crate::clock::{Clock, Skew};
use crate::cluster_identity::ClusterIdentity;
use crate::config::CloudConfig;
use crate::endpoint::Endpoints;
use crate::outcome::{CallError, Fault};
use crate::reply::{DecodeError, Reply, message, retry_after};
use crate::request::{RequestError, api_request, storage_request};
use crate::signing::Credentials;
use crate::span;
use crate::storage::{self, Call};
use crate::transport::{HttpRequest, HttpResponse, REPLY_BYTES_MAX, Transport, TransportError, host_of};

/// How often a read is tried before it counts as failed.
const READ_ATTEMPTS_MAX: u32 = 5;

/// Longest wait for the reply to one attempt of a read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after the first failed attempt of a read; doubles each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);

/// How long the signature of a read holds, as in egoscale.
pub(crate) const READ_SIGNATURE: Duration = Duration::from_secs(600);

/// The one list that the API gives unsigned. A restricted key gets 403 on the
/// signed form (egoscale, pull request 767).
const UNSIGNED_PATH: &str = "/v2/zone";

/// Sends requests. Clones share connections, budget and measurements.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    /// Whether its reads let those of others go first.
    patient: bool,
}

pub(crate) struct Inner {
    pub(crate) transport: Transport,
    pub(crate) credentials: Credentials,
    pub(crate) endpoints: Endpoints,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: Budget,
    skew: Mutex<Option<Skew>>,
    calls: Mutex<BTreeMap<(String, &'static str), u64>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoints", &self.inner.endpoints).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for one account.
    #[must_use]
    pub fn new(transport: Transport, config: &CloudConfig, clock: Arc<dyn Clock>, budget: Budget) -> Self {
        let inner = Inner {
            transport,
            credentials: config.credentials.clone(),
            endpoints: config.endpoints.clone(),
            clock,
            budget,
            skew: Mutex::new(None),
            calls: Mutex::default(),
        };
        Self { inner: Arc::new(inner), patient: false }
    }

    /// The same client for a caller that only polls what it waits for: its reads
    /// let other calls go first.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self { patient: true, ..self.clone() }
    }

    /// How many calls were made so far, by operation id and by what became of
    /// them: `done`, `throttled`, `refused`, `failed` or `silent`. Reads that
    /// were repeated count each time.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<(String, &'static str), u64> {
        self.inner.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far the cloud's clock was from this host's at the latest reply with
    /// a `Date`; none before the first.
    #[must_use]
    pub fn skew(&self) -> Option<Skew> {
        *self.inner.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Address of the object storage in a zone.
    #[must_use]
    pub fn storage_url(&self, zone: &Zone) -> String {
        self.inner.endpoints.sos(zone)
    }

    /// Reads from the Exoscale API with GET. `operation` is the operation id,
    /// for messages and counters; `path` begins with `/v2/` and may have a
    /// query.
    ///
    /// # Errors
    /// See [`CallError`]. Faults that usually pass (429, 5xx, no reply) are
    /// reported only after five attempts.
    pub async fn read(&self, zone: &Zone, operation: &str, path: &str) -> Result<Reply, CallError> {
        let base = self.inner.endpoints.api(zone);
        let reply = self
            .attempt(Server::Account, operation, &|now| {
                let expires = now + READ_SIGNATURE;
                let signer = (path != UNSIGNED_PATH).then_some((&self.inner.credentials, expires));
                api_request(&base, signer, http::Method::GET, path, Bytes::new())
            })
            .await?;
        Ok(Reply::parse(operation, reply.body())?)
    }

    /// Asks object storage whether a bucket is there, with HEAD. The reply is
    /// empty; that it came is the answer. A refusal with 404 says that there is
    /// no such bucket, one with 403 that it belongs to somebody else or that
    /// the key may not use object storage.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn head_bucket(&self, zone: &Zone, path: &str) -> Result<Reply, CallError> {
        let call = storage::call("head-bucket", rusty_s3::Method::Head, path.to_owned());
        self.read_storage(zone, &call).await?;
        Ok(Reply::empty(call.operation))
    }

    /// Whether everyone has a right on a bucket, by its access control list.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn is_public_bucket(&self, zone: &Zone, bucket: &ResourceId) -> Result<bool, CallError> {
        let call = storage::get_acl(bucket);
        let reply = self.read_storage(zone, &call).await?;
        let unreadable = |why| DecodeError { operation: call.operation.to_owned(), why };
        Ok(storage::parse_is_public(reply.body()).map_err(unreadable)?)
    }

    /// One reading call to object storage.
    pub(crate) async fn read_storage(&self, zone: &Zone, call: &Call) -> Result<HttpResponse, CallError> {
        let base = self.inner.endpoints.sos(zone);
        self.attempt(Server::Account, call.operation, &|now| {
            storage_request(&base, &self.inner.credentials, zone, call, now, READ_SIGNATURE)
        })
        .await
    }

    /// Tries a read until it gives a definite reply or the attempts are used
    /// up. Each attempt takes its turn in the budget and is signed anew.
    pub(crate) async fn attempt(
        &self,
        server: Server,
        operation: &str,
        build: &(dyn Fn(Timestamp) -> Result<HttpRequest, RequestError> + Sync),
    ) -> Result<HttpResponse, CallError> {
        let mut backoff = BACKOFF_FIRST;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match (server, self.patient) {
                (Server::Cluster, _) => {}
                (Server::Account, true) => self.inner.budget.take_low_priority().await,
                (Server::Account, false) => self.inner.budget.take().await,
            }
            let request = build(self.inner.clock.now())
                .map_err(|source| CallError::Request { operation: operation.to_owned(), source })?;
            let fault = match self.exchange(operation, request, READ_TIMEOUT).await {
                Ok(reply) if reply.status().is_success() => return Ok(reply),
                Ok(reply) => {
                    let (status, message) = (reply.status().as_u16(), message(reply.body()));
                    if !matches!(status, 429 | 500 | 502 | 503 | 504) {
                        return Err(CallError::Refused { operation: operation.to_owned(), status, message });
                    }
                    Fault::Status { status, message }
                }
                Err(error) => Fault::Transport(error),
            };
            if attempts == READ_ATTEMPTS_MAX || !fault.may_pass() {
                return Err(CallError::Unavailable {
                    operation: operation.to_owned(),
                    attempts,
                    source: fault,
                });
            }
            tracing::debug!(operation, attempts, %fault, "read failed, trying again");
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
    }

    /// Sends a request once and waits at most `limit` for the whole reply.
    /// Measures the skew of the clocks, and makes everyone wait when the reply
    /// asks for it.
    pub(crate) async fn exchange(
        &self,
        operation: &str,
        request: HttpRequest,
        limit: Duration,
    ) -> Result<HttpResponse, TransportError> {
        let span = span::open(operation, &request);
        let outcome = self.exchange_uncounted(request, limit).instrument(span.clone()).await;
        span::close(&span, &outcome);
        let mut calls = self.inner.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((operation.to_owned(), span::outcome_name(&outcome))).or_default() += 1;
        outcome
    }

    async fn exchange_uncounted(
        &self,
        request: HttpRequest,
        limit: Duration,
    ) -> Result<HttpResponse, TransportError> {
        let host = host_of(request.uri());
        let server = Server::of(&request);
        let sent = self.inner.clock.now();
        let reply = match tokio::time::timeout(limit, self.inner.transport.clone().oneshot(request)).await {
            Ok(outcome) => outcome?,
            Err(elapsed) => {
                return Err(TransportError::InDoubt { host, source: Box::new(elapsed) });
            }
        };
        let received = self.inner.clock.now();
        match reply.body().len() > REPLY_BYTES_MAX {
            true => return Err(TransportError::TooLong { host }),
            false if server == Server::Cluster => return Ok(reply),
            false => {}
        }
        if let Some(date) = reply.headers().get("date").and_then(|date| date.to_str().ok())
            && let Some(skew) = Skew::measure(date, sent, received)
        {
            *self.inner.skew.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
        }
        if matches!(reply.status().as_u16(), 429 | 503)
            && let Some(pause) = retry_after(&reply, received)
        {
            self.inner.budget.pause(pause);
        }
        Ok(reply)
    }
}

/// What a request goes to. The budget and the clock's skew are those of the
/// account's interfaces; the API server of a cluster has its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// The Exoscale API or object storage.
    Account,
    /// The API server of a cluster.
    Cluster,
}

impl Server {
    fn of(request: &HttpRequest) -> Self {
        match request.extensions().get::<Arc<ClusterIdentity>>() {
            Some(_) => Server::Cluster,
            None => Server::Account,
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
