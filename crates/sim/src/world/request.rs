//! Requests as the world sees them: which face they address, and storage of
//! those that arrive late.

use super::ClientCertificate;
use super::kubernetes::is_simulated;
use crate::codec::Data;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use serde::{Deserialize, Serialize};

/// The side of the cloud a request is addressed to. A server with several
/// listeners puts it into the request's extensions; without it the authority
/// decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Face {
    /// The API below `/v2` and the public price lists.
    Api,
    /// Object storage.
    Sos,
    /// The API server of a cluster.
    Kubernetes,
    /// The address of a machine or a load balancer, on which a workload listens.
    Workload,
}

impl Face {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        if let Some(face) = request.extensions().get::<Self>() {
            return *face;
        }
        let host = authority(request);
        match host.contains(".sks-") {
            true => Self::Kubernetes,
            false if is_simulated(&host) => Self::Workload,
            false if host.starts_with("sos") => Self::Sos,
            false => Self::Api,
        }
    }
}

/// The host a request addresses.
pub(crate) fn authority<B>(request: &Request<B>) -> String {
    let header = || {
        request.headers().get(http::header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    request.uri().authority().map_or_else(header, ToString::to_string)
}

/// A request on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredRequest {
    pub(crate) face: Face,
    method: String,
    uri: String,
    headers: Vec<(String, Data)>,
    body: Data,
    #[serde(default)]
    client: Option<String>,
}

impl StoredRequest {
    pub(crate) fn of(face: Face, request: &Request<Bytes>) -> Self {
        let copy = |value: &HeaderValue| Data(Bytes::copy_from_slice(value.as_bytes()));
        Self {
            face,
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            headers: request.headers().iter().map(|(name, value)| (name.to_string(), copy(value))).collect(),
            body: Data(request.body().clone()),
            client: request.extensions().get::<ClientCertificate>().map(|client| client.0.clone()),
        }
    }

    /// The request again; `None` only if the saved state was tampered with.
    pub(crate) fn restore(&self) -> Option<Request<Bytes>> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(self.uri.as_str())
            .extension(self.face)
            .body(self.body.0.clone())
            .ok()?;
        if let Some(client) = &self.client {
            request.extensions_mut().insert(ClientCertificate(client.clone()));
        }
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = HeaderValue::from_bytes(&value.0).ok()?;
            request.headers_mut().append(name, value);
        }
        Some(request)
    }
}
