//! HTTP connections: their number, the time for a request head, and the shutdown.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most connections at once; others wait to be accepted. An event listener holds
/// one.
const CONNECTIONS_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For the head of a request, from the start of the connection or the end of
    /// the request before.
    request_head: Duration,
    /// For open connections when the agent stops.
    shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { request_head: Duration::from_secs(10), shutdown: Duration::from_secs(10) }
    }
}

/// Pause after a connection could not be accepted, such as for lack of file
/// descriptors.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then answers the requests in flight.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    timeouts: Timeouts,
    stop: impl Future<Output = ()>,
) {
    let open = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => serve_connection(stream, slot, router.clone(), timeouts, &open),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(timeouts.shutdown, open.shutdown()).await.is_err() {
        tracing::warn!("the shutdown does not wait for connections that are still open");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

fn serve_connection(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    router: Router,
    timeouts: Timeouts,
    open: &GracefulShutdown,
) {
    // Responses are small: send each at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection may be slow");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(timeouts.request_head);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = open.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke off");
        }
        drop(slot);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    async fn begun(
        timeouts: Timeouts,
    ) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().route("/", get(async || "here"));
        let served = tokio::spawn(serve(listener, router, timeouts, async { drop(stopped.await) }));
        (address, stop, served)
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_incomplete_request_does_not_delay_the_shutdown() {
        let (address, stop, served) = begun(Timeouts { request_head: LONG, shutdown: SHORT }).await;
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").await.unwrap();
        // Another one is answered meanwhile, so both have been accepted.
        let mut whole = TcpStream::connect(address).await.unwrap();
        whole.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(read(&mut whole).await.ends_with("here"));
        stop.send(()).unwrap();
        tokio::time::timeout(LONG / 2, served).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_silent_connection_is_closed() {
        let (address, _stop, _served) = begun(Timeouts { request_head: SHORT, shutdown: LONG }).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let ended = tokio::time::timeout(LONG / 2, silent.read(&mut [0; 512])).await;
        assert!(ended.is_ok(), "it is still open");
    }
}
