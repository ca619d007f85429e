//! Connections: how many there may be, how long a client may take to say what
//! it wants, and how long they are waited for when the agent stops.

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

/// Most connections at once; others wait to be accepted. A client of live
/// events holds one.
const CONNECTIONS_MAX: usize = 1_024;

/// How long clients are waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// For the head of a request to come, from the first moment on which it
    /// could.
    head: Duration,
    /// For connections when the agent stops.
    end: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), end: Duration::from_secs(10) }
    }
}

/// Pause after a connection could not be accepted: there may be no more open
/// files for a while.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Serves until `stop` comes true, then answers what has come.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    waits: Waits,
    stop: impl Future<Output = ()>,
) {
    let open = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => answer(stream, place, router.clone(), waits, &open),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(waits.end, open.shutdown()).await.is_err() {
        tracing::warn!("connections that are still open are not waited for any longer");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Answers on one connection, in a task that ends with the process at the latest.
fn answer(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    waits: Waits,
    open: &GracefulShutdown,
) {
    // Answers are small, and somebody waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection may be slow");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(waits.head);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = open.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke off");
        }
        drop(place);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    async fn begun(waits: Waits) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = Router::new().route("/", get(async || "here"));
        let served = tokio::spawn(serve(listener, router, waits, async { drop(stopped.await) }));
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
    async fn half_a_request_does_not_hold_up_the_end() {
        let (address, stop, served) = begun(Waits { head: LONG, end: SHORT }).await;
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
    async fn a_client_that_says_nothing_is_not_waited_for() {
        let (address, _stop, _served) = begun(Waits { head: SHORT, end: LONG }).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let ended = tokio::time::timeout(LONG / 2, silent.read(&mut [0; 512])).await;
        assert!(ended.is_ok(), "it is still open");
    }
}
