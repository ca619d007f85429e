//! The API servers of all clusters behind one TLS listener.
//!
//! A client asks for one of them by the server name of the handshake, and gets
//! the certificate that the cluster's authority signed. It proves the key of its
//! own certificate there; whether the cluster knows that is decided per request.

use crate::connection::{Peer, connection, ended, next};
use crate::world::{ClientCertificate, Face};
use crate::{InProcess, SharedWorld, SimError};
use data_encoding::BASE64;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// An acceptor for the API servers of a world.
pub(crate) fn acceptor(world: SharedWorld) -> Result<TlsAcceptor, SimError> {
    let provider = Arc::new(ring::default_provider());
    let fail = |why: rustls::Error| SimError::Options(format!("TLS cannot be set up: {why}"));
    let clients = AnyClient { algorithms: provider.signature_verification_algorithms };
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(fail)?
        .with_client_cert_verifier(Arc::new(clients))
        .with_cert_resolver(Arc::new(Clusters { world, provider }));
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves connections until the server stops.
pub(crate) async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    service: InProcess,
    stop: watch::Receiver<bool>,
) {
    while let Some(stream) = next(&listener, &stop).await {
        tokio::spawn(handshake(stream, acceptor.clone(), service.clone(), stop.clone()));
    }
}

async fn handshake(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    service: InProcess,
    stop: watch::Receiver<bool>,
) {
    let stream = tokio::select! {
        done = acceptor.accept(stream) => match done {
            Ok(stream) => stream,
            Err(why) => return tracing::debug!(%why, "a TLS handshake failed"),
        },
        () = ended(stop.clone()) => return,
    };
    let session = stream.get_ref().1;
    let Some(host) = session.server_name().map(str::to_owned) else { return };
    let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(|der| {
        let body = BASE64.encode(der);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
        let body = lines.join("\n");
        ClientCertificate(format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"))
    });
    let peer = Peer { face: Face::Kubernetes, cluster: Some((host, certificate)) };
    connection(stream, peer, service, stop).await;
}

/// The certificate of the cluster that a client asks for.
#[derive(Debug)]
struct Clusters {
    world: SharedWorld,
    provider: Arc<CryptoProvider>,
}

impl ResolvesServerCert for Clusters {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name()?;
        let issued = self.world.with(|world| world.server_identity(host)).ok().flatten()?;
        let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).ok()?];
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).ok()?;
        Some(Arc::new(CertifiedKey::from_der(chain, key, &self.provider).ok()?))
    }
}

/// Takes every client that has the key of the certificate it shows, and clients
/// without one.
#[derive(Debug)]
struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
