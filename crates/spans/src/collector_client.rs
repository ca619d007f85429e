//! The HTTP client of the collector: the transport that calls to the cloud take,
//! with its TLS and certificates, and a time limit for each request.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exokit_cloud::transport::Transport;
use http::{HeaderMap, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tower::ServiceExt as _;

/// Sends batches.
pub(crate) struct CollectorClient {
    pub(crate) transport: Transport,
    pub(crate) headers: HeaderMap,
    pub(crate) limit: Duration,
    pub(crate) runtime: Handle,
}

/// Not derived: headers are secrets.
impl fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorClient").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    /// Runs on the runtime, because the calling thread has none.
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        let (transport, limit) = (self.transport.clone(), self.limit);
        let response = async move { tokio::time::timeout(limit, transport.oneshot(request)).await };
        Ok(self.runtime.spawn(response).await???)
    }
}
