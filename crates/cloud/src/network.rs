//! The real transport: HTTP/1.1 and HTTP/2 over TLS.
//!
//! It never repeats a request. Both mechanisms that would do so in the client
//! library are switched off: its retry policy and its redirects. What remains
//! is that a request which found a dead idle connection, and of which not one
//! byte was written, goes to a fresh connection; that cannot double it.
//!
//! Certificates are checked against the Mozilla roots that are compiled in,
//! so the program also runs in an empty container, and with the `ring`
//! provider, which is set for this client only and not for the process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tower::util::BoxCloneSyncService;

use crate::cluster_identity::ClusterIdentity;
use crate::transport::{
    Cause, HttpRequest, HttpResponse, REPLY_BYTES_MAX, Transport, TransportError, host_of,
};

/// Most requests on their way at once; others wait for their turn. Without a
/// limit thousands of environments that look at the cloud in one moment open a
/// connection each, and all of them stay open. At ten requests per second a
/// cloud that takes six seconds for each reply is still served without waiting.
const REQUESTS_MAX: usize = 64;

/// How the real transport connects.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// Longest time for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Certificate authorities in PEM form to trust as well, for a private
    /// endpoint.
    pub extra_ca_pem: Option<String>,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), extra_ca_pem: None }
    }
}

/// Makes the real transport.
///
/// Connections are pooled and shared by all clones, and so is their number:
/// at most 64 requests are on their way at once. There is no limit on the
/// whole time of a request: the caller knows its deadline and sets it.
///
/// # Errors
/// [`TransportError::Setup`] when a given certificate or key cannot be used.
pub fn real(options: &NetworkOptions) -> Result<Transport, TransportError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    if let Some(pem) = &options.extra_ca_pem {
        add_authorities(&mut roots, "the extra certificate authority", pem)?;
    }
    let client = client(options, tls(roots, None)?, None)?;
    let turns = Arc::new(Semaphore::new(REQUESTS_MAX));
    let clusters = Arc::new(ClusterClients { options: options.clone(), clients: Mutex::default() });
    Ok(BoxCloneSyncService::new(tower::service_fn(move |request: HttpRequest| {
        let (client, turns, clusters) = (client.clone(), Arc::clone(&turns), Arc::clone(&clusters));
        async move {
            let client = match request.extensions().get::<Arc<ClusterIdentity>>() {
                Some(identity) => clusters.client(identity)?,
                None => client,
            };
            // Nobody closes it, so that a turn always comes.
            let _turn = turns.acquire().await;
            send(client, request).await
        }
    })))
}

/// The clients for API servers of clusters: one for each identity in use, since
/// the certificate belongs to the connection.
struct ClusterClients {
    options: NetworkOptions,
    clients: Mutex<Vec<(Weak<ClusterIdentity>, reqwest::Client)>>,
}

impl ClusterClients {
    fn client(&self, identity: &Arc<ClusterIdentity>) -> Result<reqwest::Client, TransportError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|(known, _)| known.strong_count() > 0);
        let known = clients.iter().find(|(known, _)| known.as_ptr() == Arc::as_ptr(identity));
        if let Some((_, client)) = known {
            return Ok(client.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        add_authorities(&mut roots, "the authority of the cluster", &identity.authority_pem)?;
        let client = client(&self.options, tls(roots, Some(identity))?, identity.address)?;
        clients.push((Arc::downgrade(identity), client.clone()));
        Ok(client)
    }
}

/// A client that connects to `address`, where given, whatever the URL says.
fn client(
    options: &NetworkOptions,
    tls: rustls::ClientConfig,
    address: Option<SocketAddr>,
) -> Result<reqwest::Client, TransportError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("exokit/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false);
    if let Some(address) = address {
        builder = builder.dns_resolver(Arc::new(OneAddress(address)));
    }
    builder.build().map_err(setup("the HTTP client"))
}

/// Resolves every name to one address.
struct OneAddress(SocketAddr);

impl reqwest::dns::Resolve for OneAddress {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses: reqwest::dns::Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

fn setup<E: Into<Cause>>(what: &'static str) -> impl FnOnce(E) -> TransportError {
    move |error| TransportError::Setup { what, source: error.into() }
}

fn add_authorities(
    roots: &mut rustls::RootCertStore,
    what: &'static str,
    pem: &str,
) -> Result<(), TransportError> {
    for certificate in certificates(what, pem)? {
        roots.add(certificate).map_err(setup(what))?;
    }
    Ok(())
}

fn tls(
    roots: rustls::RootCertStore,
    identity: Option<&ClusterIdentity>,
) -> Result<rustls::ClientConfig, TransportError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup("the TLS versions"))?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let what = "the client certificate";
            let chain = certificates(what, &identity.certificate_pem)?;
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose_secret().as_bytes());
            let key = key.map_err(setup(what))?;
            builder.with_client_auth_cert(chain, key).map_err(setup(what))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the certificates of a PEM text, of which there must be at least one.
fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(setup(what))?;
    match found.is_empty() {
        true => Err(setup(what)("the text holds no PEM certificate")),
        false => Ok(found),
    }
}

async fn send(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, TransportError> {
    let host = host_of(request.uri());
    let request = reqwest::Request::try_from(request).map_err(|error| TransportError::NotConnected {
        host: host.clone(),
        source: Box::new(error.without_url()),
    })?;
    let mut reply = client.execute(request).await.map_err(|error| classify(&host, error))?;
    let mut head = http::Response::builder().status(reply.status()).version(reply.version());
    if let Some(headers) = head.headers_mut() {
        *headers = reply.headers().clone();
    }
    let mut body = BytesMut::new();
    while let Some(part) = reply.chunk().await.map_err(|error| lost(&host, error))? {
        if body.len() + part.len() > REPLY_BYTES_MAX {
            return Err(TransportError::TooLong { host });
        }
        body.extend_from_slice(&part);
    }
    head.body(Bytes::from(body)).map_err(|error| TransportError::InDoubt { host, source: Box::new(error) })
}

/// A failed connection (name resolution, TCP, TLS, or their common time
/// limit) happens before the first byte of a request; anything else does not
/// prove that nothing was sent.
fn classify(host: &str, error: reqwest::Error) -> TransportError {
    match error.is_connect() || error.is_builder() {
        true => TransportError::NotConnected { host: host.to_owned(), source: Box::new(error.without_url()) },
        false => lost(host, error),
    }
}

fn lost(host: &str, error: reqwest::Error) -> TransportError {
    TransportError::InDoubt { host: host.to_owned(), source: Box::new(error.without_url()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tower::ServiceExt;

    fn get(url: String) -> HttpRequest {
        http::Request::get(url).body(Bytes::new()).unwrap()
    }

    async fn serve_once(reply: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = socket.read(&mut buffer).await.unwrap();
            socket.write_all(reply).await.unwrap();
        });
        format!("http://{address}/v2/zone")
    }

    #[tokio::test]
    async fn a_refused_connection_was_surely_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error =
            real(&NetworkOptions::default()).unwrap().oneshot(get(format!("http://{address}/"))).await;
        assert!(error.unwrap_err().surely_not_sent());
    }

    #[tokio::test]
    async fn an_unknown_host_was_surely_not_sent() {
        let request = get("http://no-such-host.invalid/".into());
        let error = real(&NetworkOptions::default()).unwrap().oneshot(request).await.unwrap_err();
        assert!(error.surely_not_sent(), "{error:?}");
    }

    #[tokio::test]
    async fn a_connection_closed_after_the_request_is_in_doubt() {
        for reply in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\""] {
            let url = serve_once(reply).await;
            let error = real(&NetworkOptions::default()).unwrap().oneshot(get(url)).await.unwrap_err();
            assert!(matches!(error, TransportError::InDoubt { .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_handed_back_and_not_followed() {
        let url =
            serve_once(b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
        let reply = real(&NetworkOptions::default()).unwrap().oneshot(get(url)).await.unwrap();
        assert_eq!(reply.status(), 307);
    }

    #[tokio::test]
    async fn a_body_without_end_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while socket.write_all(&[b'x'; 65536]).await.is_ok() {}
        });
        let error = real(&NetworkOptions::default()).unwrap().oneshot(get(url)).await.unwrap_err();
        assert!(matches!(error, TransportError::TooLong { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_bad_certificate_is_an_error_and_not_a_panic() {
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let options = NetworkOptions { extra_ca_pem: Some(pem.into()), ..NetworkOptions::default() };
            assert!(matches!(real(&options), Err(TransportError::Setup { .. })), "{pem:?}");
            let identity = ClusterIdentity {
                authority_pem: pem.into(),
                certificate_pem: pem.into(),
                key_pem: SecretString::from(pem),
                address: None,
            };
            let mut request = get("https://127.0.0.1:1/".into());
            request.extensions_mut().insert(Arc::new(identity));
            let error = real(&NetworkOptions::default()).unwrap().oneshot(request).await.unwrap_err();
            assert!(matches!(error, TransportError::Setup { .. }), "{pem:?}");
        }
    }
}
