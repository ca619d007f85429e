//! A clock in paused time and a cloud that follows a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use exokit_model::ids::Zone;
use jiff::Timestamp;
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;

use crate::budget::Budget;
use crate::client::Client;
use crate::clock::Clock;
use crate::config::CloudConfig;
use crate::endpoint::Endpoints;
use crate::signing::Credentials;
use crate::transport::{HttpRequest, HttpResponse, TransportError};

/// When every test begins.
pub(crate) const START: &str = "2026-11-23T10:00:00Z";

/// Follows tokio's time.
pub(crate) struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        START.parse::<Timestamp>().unwrap() + self.0.elapsed()
    }
}

/// What the scripted cloud does with one request.
pub(crate) enum Step {
    /// Answers.
    Reply(HttpResponse),
    /// Refuses the connection.
    Refuse,
    /// Takes the request and closes the connection.
    Reset,
    /// Takes the request and never answers.
    Silence,
}

/// Answers with a status and a body.
pub(crate) fn reply(status: u16, body: impl Into<Bytes>) -> Step {
    Step::Reply(http::Response::builder().status(status).body(body.into()).unwrap())
}

/// The same with one header.
pub(crate) fn reply_with(status: u16, name: &'static str, value: &str, body: &'static str) -> Step {
    let reply = http::Response::builder().status(status).header(name, value);
    Step::Reply(reply.body(Bytes::from_static(body.as_bytes())).unwrap())
}

/// The requests that arrived, each with the seconds since the start.
pub(crate) type Arrived = Arc<Mutex<Vec<(f64, HttpRequest)>>>;

/// A client of a cloud that does the steps in order and then hangs up.
pub(crate) fn scripted(steps: Vec<Step>) -> (Client, Arrived) {
    let arrived = Arrived::default();
    let script = Arc::new(Mutex::new(VecDeque::from(steps)));
    let (log, start) = (arrived.clone(), Instant::now());
    let transport = BoxCloneSyncService::new(tower::service_fn(move |request: HttpRequest| {
        log.lock().unwrap().push((start.elapsed().as_secs_f64(), request));
        let step = script.lock().unwrap().pop_front().expect("a request that is not in the script");
        async move {
            let host = String::from("test");
            match step {
                Step::Reply(reply) => Ok(reply),
                Step::Refuse => Err(TransportError::NotConnected { host, source: "refused".into() }),
                Step::Reset => Err(TransportError::InDoubt { host, source: "reset".into() }),
                Step::Silence => std::future::pending().await,
            }
        }
    }));
    let config = CloudConfig {
        credentials: Credentials::new("EXOkey", "secret"),
        origin: String::new(),
        zone: zone(),
        endpoints: Endpoints::default(),
    };
    let client = Client::new(transport, &config, Arc::new(TokioClock(start)), Budget::default());
    (client, arrived)
}

/// The zone of every test.
pub(crate) fn zone() -> Zone {
    "ch-dk-2".parse().unwrap()
}

/// A moment after the start.
pub(crate) fn after(seconds: u64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
}
