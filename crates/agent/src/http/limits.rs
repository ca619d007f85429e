//! Rate limits of tokens, of requests without a token and of open routes, and the
//! limit of event listeners.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use exokit_wire::failure::{Class, Failure};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most event listeners at once.
const LISTENERS_MAX: usize = 256;

/// Most event listeners with the same token.
const LISTENERS_OF_TOKEN_MAX: usize = 32;

/// Requests per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of one token.
    pub token: NonZeroU32,
    /// Of all requests without a valid token together: guessing is slow.
    pub strangers: NonZeroU32,
    /// Of each limited route that needs no token.
    pub open: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self { token: rate(100), strangers: rate(20), open: rate(50) }
    }
}

pub(super) struct RateLimits {
    tokens: DefaultKeyedRateLimiter<String>,
    strangers: DefaultDirectRateLimiter,
    open: DefaultKeyedRateLimiter<String>,
}

impl RateLimits {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            tokens: RateLimiter::keyed(Quota::per_second(rates.token)),
            strangers: RateLimiter::direct(Quota::per_second(rates.strangers)),
            open: RateLimiter::keyed(Quota::per_second(rates.open)),
        }
    }

    /// Counts a request with a valid token, so there are no more counters than
    /// tokens.
    pub(super) fn bearer(&self, id: &str) -> Result<(), Failure> {
        self.tokens.check_key(&id.to_owned()).map_err(|until| too_often(&until))
    }

    /// Counts a request without a valid token.
    pub(super) fn stranger(&self) -> Result<(), Failure> {
        self.strangers.check().map_err(|until| too_often(&until))
    }

    /// Counts a request on an open route that exists.
    pub(super) fn open(&self, route: &str) -> Result<(), Failure> {
        self.open.check_key(&route.to_owned()).map_err(|until| too_often(&until))
    }
}

pub(super) struct ListenerSlots {
    all: Arc<Semaphore>,
    /// By token; there are no more entries than tokens.
    tokens: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// One slot, free again when dropped.
pub(super) struct ListenerSlot {
    _of_all: OwnedSemaphorePermit,
    _of_token: OwnedSemaphorePermit,
}

impl Default for ListenerSlots {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(LISTENERS_MAX)), tokens: Mutex::default() }
    }
}

impl ListenerSlots {
    pub(super) fn take(&self, id: &str) -> Result<ListenerSlot, Failure> {
        let full = |_| {
            let (why, hint) = ("too many event listeners", "try again later, or poll history.events");
            let failure = Failure::new(Class::Busy, "busy", "taking on", "a listener", why, hint);
            Failure { retry_after_ms: Some(10_000), ..failure }
        };
        let of_token = self.of_token(id).try_acquire_owned().map_err(full)?;
        Ok(ListenerSlot { _of_all: self.all.clone().try_acquire_owned().map_err(full)?, _of_token: of_token })
    }

    fn of_token(&self, id: &str) -> Arc<Semaphore> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Semaphore::new(LISTENERS_OF_TOKEN_MAX));
        tokens.entry(id.to_owned()).or_insert_with(fresh).clone()
    }
}

fn too_often(until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Failure {
    let wait = until.wait_time_from(DefaultClock::default().now());
    let hint = "send the same again after the time in retry_after_ms";
    let failure = Failure::new(Class::Busy, "rate", "taking on", "the request", "too many requests", hint);
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    Failure { retry_after_ms: Some(wait), ..failure }
}
