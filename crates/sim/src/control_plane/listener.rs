//! Passes connections through to the API servers.
//!
//! The server name of a TLS handshake says which cluster a client wants. The
//! handshake itself is between the client and the API server, which verifies
//! the client's certificate.

use super::ApiServers;
use crate::connection::{ended, next};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A client that does not begin a handshake within this time is dropped.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// A record of TLS is no longer than this; the first message fits in one.
const HELLO_BYTES_MAX: usize = 16 << 10;

/// Serves connections until the server stops.
pub(crate) async fn accept(listener: TcpListener, servers: ApiServers, stop: watch::Receiver<bool>) {
    while let Some(stream) = next(&listener, &stop).await {
        let (servers, stop) = (servers.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                passed = pass(stream, &servers) => if let Err(why) = passed {
                    tracing::debug!(%why, "a connection to an API server ended early");
                },
                () = ended(stop) => {}
            }
        });
    }
}

async fn pass(mut client: TcpStream, servers: &ApiServers) -> io::Result<()> {
    let (host, first) = tokio::time::timeout(HELLO_MAX, hello(&mut client)).await??;
    let Some(address) = servers.address(&host).await else {
        return Err(io::Error::other(format!("no API server is at {host}")));
    };
    let mut server = TcpStream::connect(address).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    server.write_all(&first).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The server name that a client asks for, and the bytes read so far.
async fn hello(client: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, Vec<u8>)> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut first = Vec::new();
    let mut fresh = [0; 4096];
    loop {
        let count = client.read(&mut fresh).await?;
        let mut rest = fresh.get(..count).unwrap_or_default();
        if rest.is_empty() || first.len() + rest.len() > HELLO_BYTES_MAX {
            return Err(io::Error::other("the connection does not begin with TLS"));
        }
        first.extend_from_slice(rest);
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest)?;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_owned);
                let name = name.ok_or_else(|| io::Error::other("the client names no server"))?;
                return Ok((name, first));
            }
            Err((why, _)) => return Err(io::Error::other(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::sync::Arc;

    /// The first message of a client for a server name.
    fn first_message(host: &'static str) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), host.try_into().unwrap()).unwrap();
        let mut message = Vec::new();
        client.write_tls(&mut message).unwrap();
        message
    }

    #[tokio::test]
    async fn the_server_name_is_found_however_the_message_is_cut() {
        let message = first_message("id.sks-ch-gva-2.exo.io");
        for size in [1, 7, message.len()] {
            let (mut client, mut server) = tokio::io::duplex(size);
            let sent = message.clone();
            let sender = tokio::spawn(async move {
                client.write_all(&sent).await.unwrap();
                client
            });
            let (host, first) = hello(&mut server).await.unwrap();
            assert_eq!((host.as_str(), &first), ("id.sks-ch-gva-2.exo.io", &message), "{size}");
            sender.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_not_tls_is_refused() {
        for text in ["GET / HTTP/1.1\r\n\r\n", ""] {
            let refused = hello(&mut text.as_bytes()).await;
            assert!(refused.is_err(), "{refused:?}");
        }
    }
}
