//! Changes: the only place that sends anything but GET and HEAD.
//!
//! A change is sent at most once, needs a [`Permit`] for exactly this request,
//! and its outcome is sorted into the cases of [`MutationError`]. What is sent
//! is decided by the parts of the request that its digest covers, never by its
//! operation id, which is a label for messages and counters.

use std::time::Duration;

use bytes::Bytes;
use exokit_approval::permit::Permit;
use exokit_model::canonical::Digest;
use exokit_model::ids::{ResourceId, Zone};
use exokit_model::request::{Api, ConcreteRequest, Method};
use jiff::Timestamp;

use crate::client::{Client, Server};
use crate::cluster::ClusterAccess;
use crate::outcome::{CallError, InDoubt, MutationError, NotSent};
use crate::reply::{DecodeError, Reply, api_error, message, retry_after};
use crate::request::{RequestError, api_request, storage_request};
use crate::secret_values::SecretValues;
use crate::storage::{self, Call, Change, Marker, Page};
use crate::transport::{HttpRequest, HttpResponse};
use crate::xml;

/// The wait for the reply to a change ends this long before its signature
/// expires. It covers the whole seconds in which signatures count time.
const EXPIRY_MARGIN: Duration = Duration::from_secs(2);

/// The statuses with which the cloud definitely refuses a change, provided
/// that the reply is the API's own.
const DEFINITE_REFUSALS: [u16; 9] = [400, 401, 402, 403, 404, 409, 412, 422, 429];

/// The request and deadline of a permit.
struct Allowed {
    request: Digest,
    deadline: Timestamp,
}

impl Allowed {
    fn check(&self, request: &ConcreteRequest, expires: Timestamp) -> Result<(), NotSent> {
        self.check_request(request)?;
        if expires > self.deadline {
            return Err(NotSent::OutlivesPermit { expires, deadline: self.deadline });
        }
        Ok(())
    }

    fn check_request(&self, request: &ConcreteRequest) -> Result<(), NotSent> {
        let asked = request.digest();
        match asked == self.request {
            true => Ok(()),
            false => Err(NotSent::OtherRequest { permitted: self.request, asked }),
        }
    }
}

fn not_sent(operation: &str, why: NotSent) -> MutationError {
    MutationError::NotSent { operation: operation.to_owned(), why }
}

fn in_doubt(operation: &str, why: InDoubt) -> MutationError {
    MutationError::InDoubt { operation: operation.to_owned(), why }
}

impl Client {
    /// Sends one approved change to its zone, once, and gives the reply: for the API its
    /// operation or whatever else it answers, for object storage nothing.
    ///
    /// The permit is used up. Before the first byte leaves, the request must
    /// be the permitted one, its signature must not outlive the permit, and
    /// there must be time left; the wait for the reply ends before the
    /// signature does. The body goes out exactly as it stands in the request;
    /// only the three planned changes of a bucket are translated to S3.
    ///
    /// # Errors
    /// See [`MutationError`].
    pub async fn mutate(
        &self,
        permit: Permit,
        request: &ConcreteRequest,
        expires: Timestamp,
    ) -> Result<Reply, MutationError> {
        let allowed = Allowed { request: permit.request(), deadline: permit.deadline() };
        self.mutate_allowed(&allowed, permit.zone(), request, expires).await
    }

    /// Sends one approved change to the API server of a cluster, once. Its
    /// secrets are filled in last, each as base64; a slot without a value is not
    /// sent.
    ///
    /// The permit says until when it may be sent; the end of `access` is what
    /// bounds how late it can take effect.
    ///
    /// # Errors
    /// See [`MutationError`].
    pub async fn change_cluster(
        &self,
        permit: Permit,
        request: &ConcreteRequest,
        access: &ClusterAccess,
        secrets: &SecretValues,
    ) -> Result<Reply, MutationError> {
        let allowed = Allowed { request: permit.request(), deadline: permit.deadline() };
        let operation = request.operation.as_str();
        allowed.check_request(request).map_err(|why| not_sent(operation, why))?;
        let body = secrets.fill(request).map_err(|error| not_sent(operation, error.into()))?;
        let expires = allowed.deadline.min(access.expires());
        let reply =
            self.send_once(Server::Cluster, operation, expires, |_, _| access.change(request, body)).await?;
        Reply::parse(operation, reply.body()).map_err(|error| in_doubt(operation, error.into()))
    }

    async fn mutate_allowed(
        &self,
        allowed: &Allowed,
        zone: &Zone,
        request: &ConcreteRequest,
        expires: Timestamp,
    ) -> Result<Reply, MutationError> {
        allowed.check(request, expires).map_err(|why| not_sent(&request.operation, why))?;
        match (request.api, Change::of(request)) {
            (Api::Kubernetes, _) => {
                let path = request.path.clone();
                let why = RequestError::Address { base: "the API without a cluster".to_owned(), path };
                Err(not_sent(&request.operation, why.into()))
            }
            (Api::Exoscale, _) => self.change_api(zone, request, expires).await,
            (Api::Storage, Some(Change::Single(call))) => {
                self.change_storage(zone, &call, expires).await?;
                Ok(Reply::empty(&request.operation))
            }
            (Api::Storage, Some(Change::Empty(bucket))) => {
                Emptying { client: self, zone, bucket, expires, removed: 0 }.run(&request.operation).await
            }
            (Api::Storage, None) => {
                let (method, path) = (request.method.as_str(), request.path.clone());
                Err(not_sent(&request.operation, RequestError::Storage { method, path }.into()))
            }
        }
    }

    async fn change_api(
        &self,
        zone: &Zone,
        request: &ConcreteRequest,
        expires: Timestamp,
    ) -> Result<Reply, MutationError> {
        let operation = request.operation.as_str();
        let base = self.inner.endpoints.api(zone);
        let method = match request.method {
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        };
        let body = Bytes::copy_from_slice(&request.body);
        let signer = Some((&self.inner.credentials, expires));
        let reply = self
            .send_once(Server::Account, operation, expires, |_, _| {
                api_request(&base, signer, method, &request.path, body)
            })
            .await?;
        Reply::parse(operation, reply.body()).map_err(|error| in_doubt(operation, error.into()))
    }

    /// One changing call to object storage.
    async fn change_storage(
        &self,
        zone: &Zone,
        call: &Call,
        expires: Timestamp,
    ) -> Result<HttpResponse, MutationError> {
        let base = self.inner.endpoints.sos(zone);
        let credentials = &self.inner.credentials;
        self.send_once(Server::Account, call.operation, expires, |now, left| {
            storage_request(&base, credentials, zone, call, now, left)
        })
        .await
    }

    /// Takes a turn in the budget, builds the request, sends it, and sorts the
    /// outcome. Gives only replies with a 2xx status.
    async fn send_once(
        &self,
        server: Server,
        operation: &str,
        expires: Timestamp,
        build: impl FnOnce(Timestamp, Duration) -> Result<HttpRequest, RequestError>,
    ) -> Result<HttpResponse, MutationError> {
        let too_late = || not_sent(operation, NotSent::TooLate { expires });
        let left = self.time_left(expires).ok_or_else(too_late)?;
        if server == Server::Account {
            tokio::time::timeout(left, self.inner.budget.take()).await.map_err(|_| too_late())?;
        }
        let left = self.time_left(expires).ok_or_else(too_late)?;
        let now = self.inner.clock.now();
        let request = build(now, left + EXPIRY_MARGIN).map_err(|error| not_sent(operation, error.into()))?;
        let reply = match self.exchange(operation, request, left).await {
            Ok(reply) => reply,
            Err(error) if error.surely_not_sent() => {
                return Err(not_sent(operation, NotSent::Transport(error)));
            }
            Err(error) => return Err(in_doubt(operation, InDoubt::Transport(error))),
        };
        let status = reply.status().as_u16();
        tracing::debug!(operation, status, "change answered");
        if reply.status().is_success() {
            return Ok(reply);
        }
        let message = message(reply.body());
        match is_definite(status, reply.body()) {
            true => Err(MutationError::Refused {
                operation: operation.to_owned(),
                status,
                message,
                retry_after: retry_after(&reply, now),
            }),
            false => Err(in_doubt(operation, InDoubt::Status { status, message })),
        }
    }

    /// How long a reply may be waited for; none when it is too late to send.
    fn time_left(&self, expires: Timestamp) -> Option<Duration> {
        let left = Duration::try_from(expires.duration_since(self.inner.clock.now())).ok()?;
        left.checked_sub(EXPIRY_MARGIN).filter(|left| !left.is_zero())
    }
}

/// Whether the reply proves that nothing was done. A body that is not the
/// API's own may come from a gateway that does not know; an empty one is
/// allowed because the API does not promise a body. 429 comes before any work.
fn is_definite(status: u16, body: &[u8]) -> bool {
    DEFINITE_REFUSALS.contains(&status) && (status == 429 || body.is_empty() || api_error(body).is_some())
}

/// Emptying a bucket: all versions, delete markers and unfinished uploads.
///
/// Each call removes things by key and version as they were just listed, so
/// going on after a fault cannot remove anything that emptying from the start
/// would not.
struct Emptying<'a> {
    client: &'a Client,
    zone: &'a Zone,
    bucket: ResourceId,
    expires: Timestamp,
    removed: u64,
}

impl Emptying<'_> {
    async fn run(mut self, operation: &str) -> Result<Reply, MutationError> {
        match self.pages().await {
            Ok(()) => Ok(Reply::empty(operation)),
            // Once something is gone, "not sent" would be untrue of the whole.
            Err(MutationError::NotSent { .. }) if self.removed > 0 => {
                Err(in_doubt(operation, InDoubt::Unfinished { removed: self.removed }))
            }
            Err(error) => Err(error),
        }
    }

    async fn pages(&mut self) -> Result<(), MutationError> {
        let mut after = None;
        loop {
            let list = storage::list_versions(&self.bucket, after.as_ref());
            let page = self.list(&list, storage::parse_versions, after.as_ref()).await?;
            for call in storage::delete_objects(&self.bucket, &page.items) {
                self.delete(&call).await?;
            }
            self.removed += page.items.len() as u64;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let list = storage::list_uploads(&self.bucket, after.as_ref());
            let page = self.list(&list, storage::parse_uploads, after.as_ref()).await?;
            for upload in &page.items {
                self.delete(&storage::abort_upload(&self.bucket, upload)).await?;
                self.removed += 1;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads one page, which must not begin where the one before began.
    async fn list<T>(
        &self,
        call: &Call,
        parse: fn(&[u8]) -> Result<Page<T>, String>,
        after: Option<&Marker>,
    ) -> Result<Page<T>, MutationError> {
        let failed = |error| not_sent(call.operation, NotSent::Read(error));
        let reply = match self.client.read_storage(self.zone, call).await {
            Ok(reply) => reply,
            Err(CallError::Refused { operation, status, message }) => {
                return Err(MutationError::Refused { operation, status, message, retry_after: None });
            }
            Err(error) => return Err(failed(error)),
        };
        let xml = |why| failed(DecodeError { operation: call.operation.to_owned(), why }.into());
        let page = parse(reply.body()).map_err(xml)?;
        match page.next.is_some() && page.next.as_ref() == after {
            true => Err(xml(xml::unusable("the list does not advance"))),
            false => Ok(page),
        }
    }

    async fn delete(&self, call: &Call) -> Result<(), MutationError> {
        let reply = gone_is_done(self.client.change_storage(self.zone, call, self.expires).await)?;
        let Some(reply) = reply.filter(|_| !call.body.is_empty()) else {
            return Ok(());
        };
        let failures = storage::parse_delete_result(reply.body())
            .map_err(|why| in_doubt(call.operation, InDoubt::Xml(why)))?;
        match failures.first() {
            None => Ok(()),
            Some(first) => Err(MutationError::Refused {
                operation: call.operation.to_owned(),
                status: 409,
                message: format!(
                    "{} objects stay, the first is {:?}: {} {}",
                    failures.len(),
                    first.key,
                    first.code,
                    first.message
                ),
                retry_after: None,
            }),
        }
    }
}

/// Takes 404 for success: the object is gone already.
fn gone_is_done(outcome: Result<HttpResponse, MutationError>) -> Result<Option<HttpResponse>, MutationError> {
    match outcome {
        Ok(reply) => Ok(Some(reply)),
        Err(MutationError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
