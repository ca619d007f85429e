//! A client of one API server.

use crate::world::ControlPlaneIdentities;
use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A reply that does not come within this time is given up.
const REPLY_MAX: Duration = Duration::from_secs(30);

/// An administrator of a cluster. Each request has a connection of its own.
#[derive(Clone)]
pub(super) struct Client {
    connector: TlsConnector,
    address: SocketAddr,
    host: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A reply: the status, and the body as JSON.
pub(super) type Reply = (StatusCode, Value);

impl Client {
    pub(super) fn new(identities: &ControlPlaneIdentities, address: SocketAddr) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let pem = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).map_err(io::Error::other);
        roots.add(pem(&identities.authority)?).map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(identities.admin.key.as_bytes()).map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![pem(&identities.admin.certificate)?], key)
            .map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { connector, address, host: identities.host.clone() })
    }

    /// Whether the API server serves everything.
    pub(super) async fn is_ready(&self) -> bool {
        let request = Request::get("/readyz");
        let ready = async {
            let reply = self.send(request, Bytes::new()).await?;
            Ok::<_, io::Error>(reply.status() == StatusCode::OK)
        };
        tokio::time::timeout(REPLY_MAX, ready).await.is_ok_and(|ready| ready.unwrap_or(false))
    }

    /// Reads what is at a path.
    pub(super) async fn get(&self, path: &str) -> io::Result<Reply> {
        self.ask(Request::get(path), Bytes::new()).await
    }

    /// Sends a change.
    pub(super) async fn change(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> io::Result<Reply> {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content_type);
        self.ask(request, Bytes::from(body.to_string())).await
    }

    /// Begins a watch.
    pub(super) async fn watch(&self, path: &str) -> io::Result<Lines> {
        let reply = self.send(Request::get(path), Bytes::new()).await?;
        match reply.status() {
            StatusCode::OK => Ok(Lines { body: reply.into_body(), read: BytesMut::new() }),
            status => Err(io::Error::other(format!("a watch was answered with {status}"))),
        }
    }

    async fn ask(&self, request: http::request::Builder, body: Bytes) -> io::Result<Reply> {
        let exchange = async {
            let reply = self.send(request, body).await?;
            let status = reply.status();
            let body = reply.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        tokio::time::timeout(REPLY_MAX, exchange).await.map_err(io::Error::other)?
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> io::Result<http::Response<Incoming>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = TokioIo::new(self.connector.connect(name, stream).await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(io::Error::other)?;
        // It ends with the reply or with its reader; the error is in the reply.
        tokio::spawn(connection);
        let request = request.header(header::HOST, &self.host).header(header::ACCEPT, "application/json");
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        sender.send_request(request).await.map_err(io::Error::other)
    }
}

/// The lines of a reply that goes on.
pub(super) struct Lines {
    body: Incoming,
    read: BytesMut,
}

impl Lines {
    /// The next line as JSON; none at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Value>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return serde_json::from_slice(&line).map(Some).map_err(io::Error::other);
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }
}
