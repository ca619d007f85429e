//! When a resource will be ready: guessed at first, then learned from how long
//! those before it took; and when to poll it.

use std::collections::BTreeMap;
use std::time::Duration;

use exokit_model::kind::Kind;
use exokit_model::ready_time::ReadyTime;

/// Shortest time between two polls.
const POLL_MIN: Duration = Duration::from_millis(250);

/// Longest time between two polls, reached by what is long overdue.
const POLL_MAX: Duration = Duration::from_secs(60);

/// Longest time between two polls while the end is expected.
const NEAR_MAX: Duration = Duration::from_secs(2);

/// Longest time between two polls before that: an early failure is noticed
/// within this time.
const EARLY_MAX: Duration = Duration::from_secs(20);

/// Assumed when there is no prediction.
const PREDICTED_DEFAULT: Duration = Duration::from_secs(30);

/// Into how many parts the polls divide the time in which all those before
/// became ready.
const POLLS: u32 = 50;

/// Longest time between two polls of what nothing waits for.
const SPARE_MAX: Duration = Duration::from_secs(5);

/// So many times must be known before polls outside of them become fewer.
const TIMES_FEW: u32 = 8;

/// The times that resources of one zone took to become ready, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(BTreeMap<Kind, Vec<ReadyTime>>);

impl History {
    /// The history that consists of these times.
    #[must_use]
    pub fn new(times: Vec<ReadyTime>) -> Self {
        let mut by_kind: BTreeMap<Kind, Vec<ReadyTime>> = BTreeMap::new();
        for time in times {
            by_kind.entry(time.kind).or_default().push(time);
        }
        Self(by_kind)
    }

    /// How long such a resource usually takes, in whole seconds, rounded up:
    /// the median. None without history.
    #[must_use]
    pub fn typical_seconds(&self, kind: Kind) -> Option<u32> {
        let mut times: Vec<u64> = self.0.get(&kind)?.iter().map(|time| time.by_ms).collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2)?;
        Some(u32::try_from(median.div_ceil(1000)).unwrap_or(u32::MAX))
    }

    /// When such a resource is expected to be ready.
    #[must_use]
    pub fn forecast(&self, kind: Kind) -> Forecast {
        let usual = exokit_kinds::of(kind).predicted.create_seconds;
        let guess = Forecast::guess(Duration::from_secs(u64::from(usual)));
        let times = self.0.get(&kind).map_or(&[][..], Vec::as_slice);
        let first = times.iter().map(|time| time.after_ms).min();
        let last = times.iter().map(|time| time.by_ms).max();
        let (Some(first), Some(last)) = (first, last) else { return guess };
        let (first, last) = (Duration::from_millis(first), Duration::from_millis(last));
        let known = u32::try_from(times.len()).unwrap_or(u32::MAX);
        // Of so many draws from a range, about one in as many is outside of
        // what those before it have shown.
        let margin = last.saturating_sub(first).max(first / 10) / known;
        let (from, to) = (first.saturating_sub(margin), last.saturating_add(margin));
        Forecast { maybe: guess.maybe.min(from), from, to, overdue: guess.overdue.max(to), known, ..guess }
    }
}

/// When a resource is expected to be ready, counted from its accepted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Hardly before this.
    maybe: Duration,
    /// Earliest expected completion.
    from: Duration,
    /// Latest expected completion.
    to: Duration,
    /// Too late after this.
    overdue: Duration,
    /// How many times that is learned from.
    known: u32,
    /// Polls need not be closer than this.
    spare: Duration,
}

impl Forecast {
    /// Without history: about `predicted` (zero: nothing is predicted).
    #[must_use]
    pub fn guess(predicted: Duration) -> Self {
        let predicted = if predicted.is_zero() { PREDICTED_DEFAULT } else { predicted };
        // What takes minutes was measured to take 0.72 of its middle at least.
        let from = predicted.saturating_mul(7) / 10;
        let to = predicted.saturating_mul(3);
        Self { maybe: from, from, to, overdue: to, known: 0, spare: Duration::ZERO }
    }

    /// Of something that may be noticed late, as what needs it will wait for
    /// other things for so long.
    #[must_use]
    pub fn with_slack(self, slack: Duration) -> Self {
        Self { spare: (slack / POLLS).min(SPARE_MAX), ..self }
    }

    /// The same in another measure of time.
    #[must_use]
    pub fn scaled(self, scale: impl Fn(Duration) -> Duration) -> Self {
        Self {
            maybe: scale(self.maybe),
            from: scale(self.from),
            to: scale(self.to),
            overdue: scale(self.overdue),
            known: self.known,
            spare: scale(self.spare),
        }
    }

    /// How long to wait before the first poll: not at all for a guess, since
    /// many things are ready at once.
    #[must_use]
    pub fn first_poll(&self, elapsed: Duration) -> Duration {
        match self.known > 0 && elapsed < self.from {
            true => self.next_poll(elapsed),
            false => Duration::ZERO,
        }
    }

    /// Whether it should have been ready long ago.
    #[must_use]
    pub fn is_overdue(&self, elapsed: Duration) -> bool {
        elapsed > self.overdue
    }

    /// How long to wait before the next poll, `elapsed` after the request.
    ///
    /// - Hardly expected yet: now and then, in case it failed.
    /// - Expected: every sixtieth of the elapsed time, so that noticing it
    ///   costs about one per cent, and more often where those before it became
    ///   ready within a short time; between 0.25 s and 2 s.
    /// - Expected, but earlier or later than all before it: the less often, the
    ///   more of them there were.
    /// - Overdue: less and less often, by a tenth of the overdue time, down to
    ///   once a minute.
    #[must_use]
    pub fn next_poll(&self, elapsed: Duration) -> Duration {
        if elapsed < self.maybe {
            return (self.maybe - elapsed).clamp(POLL_MIN, EARLY_MAX);
        }
        let near = (elapsed / 60).min(NEAR_MAX);
        let rare = near * (self.known / TIMES_FEW).max(1);
        let poll = match (elapsed < self.from, elapsed < self.to, self.known) {
            (true, ..) => rare.min(self.from - elapsed),
            (_, true, 1..) => near.min((self.to - self.from) / POLLS),
            _ => rare.max(elapsed.saturating_sub(self.overdue) / 10),
        };
        poll.max(self.spare).clamp(POLL_MIN, POLL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn times(of: &[(u64, u64)]) -> History {
        let time = |(after, by): &(u64, u64)| ReadyTime {
            kind: Kind::SksCluster,
            zone: "ch-gva-2".parse().unwrap(),
            after_ms: *after,
            by_ms: *by,
        };
        History::new(of.iter().map(time).collect())
    }

    /// When something that takes `end` is noticed, and with how many polls.
    fn watch(forecast: Forecast, end: Duration) -> (Duration, u32) {
        let (mut now, mut polls) = (Duration::ZERO, 0);
        while now < end {
            now += forecast.next_poll(now);
            polls += 1;
        }
        (now, polls)
    }

    #[test]
    fn a_guess_is_sparse_then_dense_then_sparse() {
        let guess = Forecast::guess(seconds(100.0));
        let at = |elapsed| guess.next_poll(seconds(elapsed)).as_secs_f64();
        assert_eq!(at(0.0), 20.0);
        assert_eq!(at(65.0), 5.0);
        assert_eq!(at(69.9), 0.25);
        assert_eq!(at(75.0), 1.25);
        assert_eq!(at(299.0), 2.0);
        assert_eq!(at(400.0), 10.0);
        assert_eq!(at(5000.0), 60.0);
        assert!(!guess.is_overdue(seconds(299.0)) && guess.is_overdue(seconds(301.0)));
    }

    fn learned(of: &[(u64, u64)]) -> Forecast {
        times(of).forecast(Kind::SksCluster)
    }

    #[test]
    fn what_was_seen_to_take_one_time_is_noticed_at_that_time() {
        let end = seconds(118.0);
        let (first, before) = watch(Forecast::guess(seconds(100.0)), end);
        assert!(first < seconds(120.0), "{first:?}");
        let (later, polls) = watch(learned(&[(116_400, 118_300); 32]), end);
        assert!(later - end < seconds(0.3), "noticed at {later:?}");
        assert!(polls < before && polls < 25, "{polls} polls, {before} before");
    }

    #[test]
    fn the_first_of_all_does_not_make_sure_of_the_second() {
        let once = learned(&[(99_000, 100_000)]);
        for end in [84.0, 91.0, 95.0, 99.5, 104.0, 130.0, 200.0] {
            let (noticed, polls) = watch(once, seconds(end));
            let late = (noticed - seconds(end)).as_secs_f64();
            assert!(late < 0.02 * end, "{end}: {late} s late");
            assert!(polls < 120, "{end}: {polls}");
        }
    }

    #[test]
    fn what_nothing_waits_for_needs_few_polls() {
        let (_, close) = watch(Forecast::guess(seconds(2.0)), seconds(3.0));
        let (noticed, few) = watch(Forecast::guess(seconds(2.0)).with_slack(seconds(100.0)), seconds(3.0));
        assert!(close > 5 && few <= 3 && noticed < seconds(6.0), "{close} polls, {few} polls: {noticed:?}");
        let spare = Forecast::guess(seconds(2.0)).with_slack(seconds(100_000.0)).spare;
        assert_eq!(spare, SPARE_MAX);
    }

    #[test]
    fn a_plan_predicts_what_is_usual() {
        assert_eq!(History::default().typical_seconds(Kind::SksCluster), None);
        let history = times(&[(80_000, 90_000), (99_000, 100_001), (100_000, 300_000)]);
        assert_eq!(history.typical_seconds(Kind::SksCluster), Some(101));
        assert_eq!(history.typical_seconds(Kind::DbaasPg), None);
    }

    proptest! {
        #[test]
        fn the_next_poll_is_always_within_its_limits(elapsed: u64, predicted: u64, seen: Vec<(u64, u64)>) {
            let elapsed = Duration::from_millis(elapsed);
            for forecast in [learned(&seen), Forecast::guess(Duration::from_millis(predicted))] {
                prop_assert!((POLL_MIN..=POLL_MAX).contains(&forecast.next_poll(elapsed)));
            }
        }

        #[test]
        fn drawn_from_a_wide_range_the_end_is_noticed_within_two_per_cent(
            seen in proptest::collection::vec(90_000_u64..146_000, 0..16), end in 90_000_u64..146_000,
        ) {
            let seen: Vec<(u64, u64)> = seen.iter().map(|by| (by - 1_500, *by)).collect();
            let end = Duration::from_millis(end);
            let (noticed, polls) = watch(learned(&seen), end);
            let late = (noticed - end).as_secs_f64();
            prop_assert!(late <= 0.02 * end.as_secs_f64(), "{late} s late");
            prop_assert!(polls < 90, "{polls} polls");
        }
    }
}
