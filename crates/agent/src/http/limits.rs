//! How often may be asked: by one token, and by all who have none.

use std::num::NonZeroU32;

use exokit_wire::failure::{Class, Failure};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};

/// Requests per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of one token.
    pub token: NonZeroU32,
    /// Of all requests without a good token together: guessing is slow.
    pub strangers: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self { token: rate(100), strangers: rate(20) }
    }
}

/// The limits at work.
pub struct RateLimits {
    tokens: DefaultKeyedRateLimiter<String>,
    strangers: DefaultDirectRateLimiter,
}

impl RateLimits {
    /// Limits by these rates.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            tokens: RateLimiter::keyed(Quota::per_second(rates.token)),
            strangers: RateLimiter::direct(Quota::per_second(rates.strangers)),
        }
    }

    /// Counts a request of a token. Only tokens that exist come here, so there
    /// are no more counters than tokens.
    pub(super) fn bearer(&self, id: &str) -> Result<(), Failure> {
        self.tokens.check_key(&id.to_owned()).map_err(|until| often(&until))
    }

    /// Counts a request of nobody.
    pub(super) fn stranger(&self) -> Result<(), Failure> {
        self.strangers.check().map_err(|until| often(&until))
    }
}

fn often(until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Failure {
    let wait = until.wait_time_from(DefaultClock::default().now());
    let hint = "send the same again after the time in retry_after_ms";
    let failure =
        Failure::new(Class::Busy, "rate", "taking on", "the request", "it is asked too often", hint);
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    Failure { retry_after_ms: Some(wait), ..failure }
}
