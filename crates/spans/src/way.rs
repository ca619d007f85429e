//! The way to the collector: the transport that calls to the cloud take, with
//! its TLS and its certificates, and a limit on the time of each request.

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
pub(crate) struct Way {
    pub(crate) transport: Transport,
    pub(crate) headers: HeaderMap,
    pub(crate) limit: Duration,
    pub(crate) runtime: Handle,
}

/// Not derived: headers are secrets.
impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Way {
    /// Runs on the runtime, since the thread that waits for it has none.
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        request.headers_mut().extend(self.headers.clone());
        let (transport, limit) = (self.transport.clone(), self.limit);
        let answer = async move { tokio::time::timeout(limit, transport.oneshot(request)).await };
        Ok(self.runtime.spawn(answer).await???)
    }
}
