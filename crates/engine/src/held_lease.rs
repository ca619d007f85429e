//! A lease as its holder sees it: with its end by the clocks of this process.
//!
//! The store ends a lease by its own clock, which may differ from ours. So the
//! end is counted here, one term from before the lease was asked for: the store
//! granted it later than that, so it ends there no earlier. Two clocks are
//! read, and the earlier end counts. The wall clock goes on while the machine
//! is suspended; the monotonic one does not jump when the wall clock is set
//! back.

use std::time::Duration;

use exokit_ledger::{LEASE_SECONDS, Lease};
use exokit_mutant::{Mutant, planted};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// When a lease was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockReading {
    wall: Timestamp,
    monotonic: Instant,
}

impl ClockReading {
    /// Before a lease is asked for, at `now` by the clock of the engine.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { wall: now, monotonic: Instant::now() }
    }
}

/// A lease that this process holds.
#[derive(Debug, Clone)]
pub(crate) struct HeldLease {
    pub(crate) lease: Lease,
    requested_at: ClockReading,
}

impl HeldLease {
    pub(crate) fn new(lease: Lease, requested_at: ClockReading) -> Self {
        Self { lease, requested_at }
    }

    /// When the lease ends, as a time of the engine's clock, which shows `now`.
    /// A lease that has ended ends in the past.
    pub(crate) fn until(&self, now: Timestamp) -> Timestamp {
        let term = SignedDuration::from_secs(if planted(Mutant::OutliveLease) {
            2 * LEASE_SECONDS
        } else {
            LEASE_SECONDS
        });
        let by_wall = self.requested_at.wall.checked_add(term).unwrap_or(Timestamp::MAX);
        let elapsed =
            SignedDuration::try_from(self.requested_at.monotonic.elapsed()).unwrap_or(SignedDuration::MAX);
        let left = term.checked_sub(elapsed).unwrap_or(SignedDuration::MIN);
        by_wall.min(now.checked_add(left).unwrap_or(now))
    }

    /// How long the lease still lasts; zero after its end.
    pub(crate) fn left(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.until(now).duration_since(now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
    }

    fn held() -> HeldLease {
        let operation = exokit_model::ids::PlanId::from_random([7; 10]).operation();
        // Another clock, years away from ours.
        let lease = Lease { operation, epoch: 1, holder: "one".to_owned(), until: Timestamp::UNIX_EPOCH };
        HeldLease::new(lease, ClockReading::at(at(0)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_by_the_clock_that_says_so_first() {
        let held = held();
        tokio::time::advance(Duration::from_secs(30)).await;
        for (now, left) in [
            // Both clocks agree.
            (30, 60),
            // The machine was suspended: the wall clock is ahead.
            (70, 20),
            (90, 0),
            (5_000, 0),
            // The wall clock was set back.
            (10, 60),
            (-3_600, 60),
        ] {
            assert_eq!(held.left(at(now)), Duration::from_secs(left), "{now}");
            assert!(held.until(at(now)) <= at(now) + SignedDuration::from_secs(60));
        }
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(held.left(at(10)), Duration::ZERO);
        assert!(held.until(at(10)) < at(10));
    }
}
