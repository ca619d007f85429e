//! Time limits of the engine, in one place, with the reason for each.

use std::time::Duration;

use jiff::SignedDuration;

/// How long the engine waits for things.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// Cloud seconds per real second: 1 for a real cloud. A simulated cloud
    /// that runs 20 times as fast is also polled 20 times as often.
    pub speed: f64,
    /// Longest time after which a list shows what exists. A request in doubt
    /// is settled only after nothing has appeared for this long.
    pub list_lag: Duration,
    /// Longest wait for a resource to become ready after its request was
    /// accepted. SKS clusters were seen to take 10 minutes.
    pub ready_max: Duration,
    /// Longest wait for a resource to go away after its request was accepted.
    pub gone_max: Duration,
    /// Longest wait for everything to disappear from all lists at the end of
    /// a teardown.
    pub clean_max: Duration,
}

/// How long the signature of a change holds. It bounds how late a request can
/// still take effect.
pub(crate) const SIGNATURE: Duration = Duration::from_secs(30);

/// A change is sent only while the lease lasts at least this much longer.
pub(crate) const LEASE_MARGIN: SignedDuration = SignedDuration::from_secs(35);

/// The signature ends this long before the lease does.
pub(crate) const SKEW_MARGIN: Duration = Duration::from_secs(2);

/// Pause between two lists while a request in doubt is settled.
pub(crate) const SETTLE_POLL: Duration = Duration::from_secs(2);

impl Default for Timing {
    fn default() -> Self {
        Self {
            speed: 1.0,
            list_lag: Duration::from_secs(60),
            ready_max: Duration::from_secs(30 * 60),
            gone_max: Duration::from_secs(20 * 60),
            clean_max: Duration::from_secs(20 * 60),
        }
    }
}

impl Timing {
    /// How long something takes here that takes `cloud` at normal speed.
    #[must_use]
    pub fn scaled(&self, cloud: Duration) -> Duration {
        match self.speed > 0.0 {
            true => cloud.div_f64(self.speed),
            false => cloud,
        }
    }

    /// How long something that took `here` takes at normal speed.
    pub(crate) fn of_cloud(&self, here: Duration) -> Duration {
        match self.speed > 0.0 {
            true => here.mul_f64(self.speed),
            false => here,
        }
    }

    /// Pause before repeating a create request that was refused for a passing
    /// reason: 1 s, then half as long again each time, at most 60 s.
    pub(crate) fn create_backoff(&self, refusals: u32) -> Duration {
        self.scaled(backoff(Duration::from_secs(1), refusals, Duration::from_secs(60)))
    }

    /// Pause before repeating a delete request that was refused: 2 s, growing
    /// to 60 s. Machines hold their groups for minutes.
    pub(crate) fn delete_backoff(&self, refusals: u32) -> Duration {
        self.scaled(backoff(Duration::from_secs(2), refusals, Duration::from_secs(60)))
    }
}

/// `first` after the first refusal, half as long again after each further one.
fn backoff(first: Duration, refusals: u32, longest: Duration) -> Duration {
    match refusals {
        0 => Duration::ZERO,
        n => (1..n.min(20)).fold(first, |pause, _| (pause * 3 / 2).min(longest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_its_limit_and_scales() {
        let timing = Timing::default();
        assert_eq!(timing.delete_backoff(0), Duration::ZERO);
        assert_eq!(timing.delete_backoff(1), Duration::from_secs(2));
        assert_eq!(timing.delete_backoff(99), Duration::from_secs(60));
        let fast = Timing { speed: 20.0, ..timing };
        assert_eq!(fast.delete_backoff(99), Duration::from_secs(3));
    }

    #[test]
    fn the_deletes_that_may_be_refused_outlast_lingering_machines() {
        let timing = Timing::default();
        let total: Duration =
            (1..exokit_core::walk::DELETE_REFUSALS_MAX).map(|n| timing.delete_backoff(n)).sum();
        assert!(total > Duration::from_secs(34 * 60), "{total:?}");
    }
}
