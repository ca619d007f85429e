//! One connection of a client to the served cloud.

use crate::watch_body::{ResponseBody, watching, whole};
use crate::world::{ClientCertificate, Face, OpenWatch, is_simulated};
use crate::{InProcess, SimError};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Larger bodies are refused with 413 before they are read.
const MAX_BODY: usize = 256 << 20;

/// Resolves when the server is told to stop or its handle is gone.
pub(crate) async fn ended(mut stop: watch::Receiver<bool>) {
    // An error means that the handle was dropped, which is an end as well.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// The next connection; none when the server stops.
pub(crate) async fn next(listener: &TcpListener, stop: &watch::Receiver<bool>) -> Option<TcpStream> {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => return Some(stream),
                Err(why) => tracing::warn!(%why, "a connection could not be accepted"),
            },
            () = ended(stop.clone()) => return None,
        }
    }
}

/// What is known of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) face: Face,
    /// The API server that the client asked for, and the client's certificate.
    pub(crate) cluster: Option<(String, Option<ClientCertificate>)>,
}

pub(crate) async fn connection<S>(stream: S, peer: Peer, service: InProcess, stop: watch::Receiver<bool>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handler = service_fn(move |request| {
        let (service, peer) = (service.clone(), peer.clone());
        async move { answer(request, peer, &service).await }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
    tokio::select! {
        // An error is a client that went away, or a fault on order: an error
        // of the handler closes the connection without a reply.
        result = served => if let Err(why) = result {
            tracing::debug!(%why, "a connection ended early");
        },
        () = ended(stop) => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    service: &InProcess,
) -> Result<Response<ResponseBody>, SimError> {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        let mut response = Response::new(whole(Bytes::from_static(b"{\"message\":\"body\"}")));
        *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(response);
    };
    // The API's listener is also a proxy to the simulated addresses.
    let visited = parts.uri.host().is_some_and(is_simulated) && peer.face == Face::Api;
    parts.extensions.insert(if visited { Face::Workload } else { peer.face });
    if let Some((host, certificate)) = peer.cluster {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = format!("https://{host}{path}").parse().unwrap_or_default();
        parts.extensions.extend(
            certificate
                .map(|certificate| {
                    let mut extensions = http::Extensions::new();
                    extensions.insert(certificate);
                    extensions
                })
                .unwrap_or_default(),
        );
    }
    let request = Request::from_parts(parts, body.to_bytes());
    let (mut parts, first) = service.send(request).await?.into_parts();
    let body = match parts.extensions.remove::<OpenWatch>() {
        Some(watch) => watching(first, watch, service.world().clone()),
        None => whole(first),
    };
    Ok(Response::from_parts(parts, body))
}
