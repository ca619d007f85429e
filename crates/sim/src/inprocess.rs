//! The cloud as a `tower` service in the same process.

use crate::record::Recorder;
use crate::world::{Face, Outcome};
use crate::{SharedWorld, SimError};
use bytes::Bytes;
use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a request travels. A client that gives up before the effect may
/// or may not have caused it; after the effect it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// From the client to the effect.
    pub before: Duration,
    /// From the effect to the client.
    pub after: Duration,
}

impl Default for RoundTrip {
    fn default() -> Self {
        Self { before: Duration::from_millis(30), after: Duration::from_millis(30) }
    }
}

impl RoundTrip {
    /// No travel time.
    pub const ZERO: Self = Self { before: Duration::ZERO, after: Duration::ZERO };
}

/// The service; cheap to clone. Requests are told apart by their authority:
/// one that starts with `sos` is object storage.
#[derive(Clone, Debug)]
pub struct InProcess {
    world: SharedWorld,
    round_trip: RoundTrip,
    recorder: Option<Recorder>,
}

impl InProcess {
    /// A service on `world`, with the default round trip.
    pub fn new(world: SharedWorld) -> Self {
        Self { world, round_trip: RoundTrip::default(), recorder: None }
    }

    /// Sets the travel time.
    #[must_use]
    pub fn with_round_trip(mut self, round_trip: RoundTrip) -> Self {
        self.round_trip = round_trip;
        self
    }

    /// Writes down what is asked of the API and answered.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Option<Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// The world behind it.
    pub fn world(&self) -> &SharedWorld {
        &self.world
    }

    /// Sends one request.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SimError> {
        let in_flight = InFlight { world: &self.world, ticket: self.world.depart(request) };
        if !self.round_trip.before.is_zero() {
            tokio::time::sleep(self.round_trip.before).await;
        }
        let Some(request) = self.world.arrive(in_flight.ticket) else {
            return Err(SimError::Dropped);
        };
        let now = self.world.now_ms();
        let outcome = self.world.with(|world| world.handle(now, &request))?;
        if let (Some(recorder), Face::Api) = (&self.recorder, Face::of(&request)) {
            recorder.write(&request, &outcome)?;
        }
        if !self.round_trip.after.is_zero() {
            tokio::time::sleep(self.round_trip.after).await;
        }
        match outcome {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Drop => Err(SimError::Dropped),
            Outcome::Unreachable => Err(SimError::Unreachable),
        }
    }
}

/// A request that has not arrived yet. If its client goes away now, it
/// arrives later all the same when the world is set so.
struct InFlight<'a> {
    world: &'a SharedWorld,
    ticket: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let Some(request) = self.world.arrive(self.ticket) else {
            return;
        };
        if let Err(why) = self.world.with(|world| world.lose_client(&request)) {
            tracing::warn!(%why, "a cancelled request could not be kept");
        }
    }
}

impl tower::Service<Request<Bytes>> for InProcess {
    type Response = Response<Bytes>;
    type Error = SimError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { service.send(request).await })
    }
}
