//! Serves a cluster over plain HTTP on loopback, in real time.

use bytes::Bytes;
use exokit_kube_sim::{CloudAnswer, CloudCall, Cluster, Reply, User, Watch};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

/// How often time passes in the cluster.
const TICK: Duration = Duration::from_millis(20);

/// A cluster that is served, and the time in it.
#[derive(Clone)]
pub(crate) struct Served {
    cluster: Arc<Mutex<Cluster>>,
    base_ms: i64,
    start: Instant,
}

/// A body that is whole, or that a watch goes on with.
enum Content {
    Whole(Option<Bytes>),
    Events(Receiver<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(events) => events.poll_recv(context).map(|bytes| bytes.map(|b| Ok(Frame::data(b)))),
        }
    }
}

impl Served {
    /// Takes a cluster whose time is `base_ms` now.
    pub(crate) fn new(cluster: Cluster, base_ms: i64) -> Self {
        Self { cluster: Arc::new(Mutex::new(cluster)), base_ms, start: Instant::now() }
    }

    fn now(&self) -> i64 {
        self.base_ms + i64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// Serves until the listener fails. Users are administrators, unless they
    /// impersonate somebody.
    pub(crate) async fn serve(self, listener: TcpListener) {
        tokio::spawn(self.clone().let_time_pass());
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let served = self.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|request| served.clone().answer(request));
                let connection = hyper::server::conn::http1::Builder::new();
                drop(connection.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    }

    async fn let_time_pass(self) {
        loop {
            tokio::time::sleep(TICK).await;
            let now = self.now();
            let mut cluster = self.cluster.lock().unwrap();
            cluster.advance(now);
            for call in cluster.take_cloud_calls() {
                cluster.answer(now, answer(call));
            }
        }
    }

    async fn answer(self, request: http::Request<Incoming>) -> Result<http::Response<Content>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let impersonated = parts.headers.get("impersonate-user").and_then(|value| value.to_str().ok());
        let user = match impersonated {
            Some(name) => User { name: name.to_owned(), groups: vec!["system:authenticated".to_owned()] },
            None => User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()] },
        };
        let request = http::Request::from_parts(parts, body);
        let reply = self.cluster.lock().unwrap().handle(self.now(), &user, &request);
        if std::env::args().any(|argument| argument == "--log") {
            let code = match &reply {
                Reply::Whole(reply) => reply.status().as_u16(),
                Reply::Watch(_) => 200,
            };
            println!("{code} {} {}", request.method(), request.uri());
        }
        Ok(match reply {
            Reply::Whole(reply) => reply.map(|bytes| Content::Whole(Some(bytes))),
            Reply::Watch(watch) => {
                let (sender, receiver) = channel(64);
                tokio::spawn(self.follow(watch, sender));
                http::Response::builder()
                    .header("content-type", "application/json")
                    .body(Content::Events(receiver))
                    .unwrap()
            }
        })
    }

    async fn follow(self, mut watch: Watch, sender: Sender<Bytes>) {
        while self.now() < watch.until_ms() {
            let events = watch.drain(&self.cluster.lock().unwrap());
            for event in events {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            if sender.is_closed() {
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    }
}

fn answer(call: CloudCall) -> CloudAnswer {
    match call {
        CloudCall::EnsureLoadBalancer { service_uid, .. } => {
            CloudAnswer::LoadBalancer { service_uid, id: "lb".into(), ip: "198.51.100.7".into() }
        }
        CloudCall::DeleteLoadBalancer { service_uid } => CloudAnswer::LoadBalancerGone { service_uid },
        CloudCall::CreateVolume { claim_uid, name, .. } => CloudAnswer::VolumeCreated { claim_uid, id: name },
        CloudCall::DeleteVolume { id } => CloudAnswer::VolumeDeleted { id },
        CloudCall::AttachVolume { id, .. } => CloudAnswer::VolumeAttached { id },
        CloudCall::DetachVolume { id } => CloudAnswer::VolumeDetached { id },
    }
}
