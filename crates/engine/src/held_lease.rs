//! A lease as its holder sees it: with its end by the clocks of this process.
//!
//! The store ends a lease by its own clock, which may differ from ours. So the
//! end is counted here, one term from before the lease was asked for: the store
//! granted it later than that, so it ends there no earlier. Two clocks are
//! read, and the earlier end counts. The wall clock goes on while the machine
//! is suspended; the monotonic one does not jump when the wall clock is set
//! back.

use exokit_ledger::{LEASE_SECONDS, Lease};
use exokit_mutant::{Mutant, planted};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Both clocks of this process at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockReading {
    wall: Timestamp,
    monotonic: Instant,
}

impl ClockReading {
    /// The reading of this moment, at which the clock of the engine shows
    /// `wall`.
    pub(crate) fn at(wall: Timestamp) -> Self {
        Self { wall, monotonic: Instant::now() }
    }

    /// How much time has passed since an earlier reading, by the clock that
    /// says more.
    fn since(&self, earlier: &Self) -> SignedDuration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        let monotonic = SignedDuration::try_from(monotonic).unwrap_or(SignedDuration::MAX);
        self.wall.duration_since(earlier.wall).max(monotonic)
    }
}

/// A lease that this process holds.
#[derive(Debug, Clone)]
pub(crate) struct HeldLease {
    pub(crate) lease: Lease,
    requested_at: ClockReading,
}

impl HeldLease {
    /// A lease that was requested at this moment, before the store granted it.
    pub(crate) fn new(lease: Lease, requested_at: ClockReading) -> Self {
        Self { lease, requested_at }
    }

    /// How long the lease still lasts; negative after its end.
    pub(crate) fn left(&self, now: &ClockReading) -> SignedDuration {
        let seconds = if planted(Mutant::OutliveLease) { 2 * LEASE_SECONDS } else { LEASE_SECONDS };
        SignedDuration::from_secs(seconds).saturating_sub(now.since(&self.requested_at))
    }

    /// When the lease ends, by the clock of the engine.
    pub(crate) fn until(&self, now: &ClockReading) -> Timestamp {
        now.wall.saturating_add(self.left(now)).unwrap_or(now.wall)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lease_ends_by_the_clock_that_says_so_first() {
        let start = ClockReading::at(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000));
        let operation = exokit_model::ids::PlanId::from_random([7; 10]).operation();
        // The clock of the store is years away from ours.
        let lease = Lease { operation, epoch: 1, holder: "one".to_owned(), until: Timestamp::UNIX_EPOCH };
        let held = HeldLease::new(lease, start);
        for (wall, monotonic, left) in [
            (0, 0, 90),
            // Both clocks agree.
            (30, 30, 60),
            // The machine was suspended: the wall clock is ahead.
            (70, 30, 20),
            (90, 30, 0),
            (5_000, 30, -4_910),
            // The wall clock was set back.
            (10, 30, 60),
            (-3_600, 30, 60),
            (-3_600, 91, -1),
        ] {
            let now = ClockReading {
                wall: start.wall + SignedDuration::from_secs(wall),
                monotonic: start.monotonic + Duration::from_secs(monotonic),
            };
            let left = SignedDuration::from_secs(left);
            assert_eq!((held.left(&now), held.until(&now)), (left, now.wall + left), "{wall} {monotonic}");
        }
    }
}
