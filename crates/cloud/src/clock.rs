//! Time of day: where it comes from, and how far the cloud's is from it.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// Tells the time of day. Waiting is done with `tokio::time`, which tests can
/// pause, so a test clock follows that.
pub trait Clock: Send + Sync {
    /// The time of day at this host.
    fn now(&self) -> Timestamp;
}

/// The clock of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter through which time comes in")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// How far the cloud's clock is ahead of this host's.
///
/// Measured from the `Date` of a reply, which has a resolution of a second and
/// was written at some moment between sending and receiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// Cloud time less host time; negative when the cloud is behind.
    pub ahead: SignedDuration,
    /// The true value is at most this far from `ahead`.
    pub uncertainty: Duration,
}

impl Skew {
    /// Measures with one exchange. `None` when `date` is not an HTTP date.
    pub(crate) fn measure(date: &str, sent: Timestamp, received: Timestamp) -> Option<Skew> {
        let second = DateTimeParser::new().parse_timestamp(date).ok()?;
        let trip = received.duration_since(sent).max(SignedDuration::ZERO);
        let half_second = SignedDuration::from_millis(500);
        let written = second.checked_add(half_second).ok()?;
        let ahead = written.duration_since(sent.checked_add(trip / 2).ok()?);
        Some(Skew { ahead, uncertainty: (half_second + trip / 2).unsigned_abs() })
    }

    /// Whether, at `now` on this host, the cloud's clock has surely passed
    /// `moment`. A request whose signature expires at `moment` can then no
    /// longer begin.
    #[must_use]
    pub fn surely_past(&self, moment: Timestamp, now: Timestamp) -> bool {
        let left = moment.duration_since(now);
        let uncertainty = SignedDuration::try_from(self.uncertainty).unwrap_or(SignedDuration::MAX);
        self.ahead.checked_sub(uncertainty).is_some_and(|least| least > left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_skew_is_the_date_less_the_middle_of_the_exchange() {
        let (sent, received) = (at("2026-11-23T10:00:00Z"), at("2026-11-23T10:00:02Z"));
        let skew = Skew::measure("Mon, 23 Nov 2026 10:00:31 GMT", sent, received).unwrap();
        assert_eq!(skew.ahead, SignedDuration::from_millis(30_500));
        assert_eq!(skew.uncertainty, Duration::from_millis(1_500));
    }

    #[test]
    fn a_bad_date_measures_nothing() {
        let now = at("2026-11-23T10:00:00Z");
        for date in ["", "yesterday", "Mon, 99 Nov 2026 10:00:31 GMT", "0"] {
            assert_eq!(Skew::measure(date, now, now), None, "{date}");
        }
    }

    #[test]
    fn what_is_past_for_sure_takes_the_uncertainty_into_account() {
        let skew = Skew { ahead: SignedDuration::from_secs(-10), uncertainty: Duration::from_secs(1) };
        let moment = at("2026-11-23T10:00:00Z");
        assert!(!skew.surely_past(moment, at("2026-11-23T10:00:10.9Z")));
        assert!(skew.surely_past(moment, at("2026-11-23T10:00:11.1Z")));
    }
}
