//! When a resource will be ready: guessed at first, then learned from how long
//! those before it took; and when to look whether it is.

use std::collections::BTreeMap;
use std::time::Duration;

use exokit_model::kind::Kind;
use exokit_model::ready_time::ReadyTime;

/// Shortest time between two looks.
pub const LOOK_MIN: Duration = Duration::from_millis(250);

/// Longest time between two looks, reached by what is long overdue.
pub const LOOK_MAX: Duration = Duration::from_secs(60);

/// Longest time between two looks while the end is expected.
const NEAR_MAX: Duration = Duration::from_secs(2);

/// Longest time between two looks before that: an early failure is noticed
/// within this time.
const EARLY_MAX: Duration = Duration::from_secs(30);

/// As [`EARLY_MAX`], of what is only guessed.
const EARLY_MAX_GUESSED: Duration = Duration::from_secs(15);

/// Assumed when there is no prediction.
const PREDICTED_DEFAULT: Duration = Duration::from_secs(30);

/// Into how many parts the looks divide the time in which the end is expected.
const LOOKS: u32 = 20;

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

    /// When such a resource is expected to be ready. None without history.
    #[must_use]
    pub fn forecast(&self, kind: Kind) -> Option<Forecast> {
        let times = self.0.get(&kind)?;
        let from = Duration::from_millis(times.iter().map(|time| time.after_ms).min()?);
        let to = Duration::from_millis(times.iter().map(|time| time.by_ms).max()?);
        // The next one may fall outside of what was seen so far: of so many
        // draws, about one in as many does.
        let spread = to.saturating_sub(from).max(from / 10);
        let margin = spread / u32::try_from(times.len()).unwrap_or(u32::MAX);
        Some(Forecast { from: from.saturating_sub(margin), to: to + margin, learned: true })
    }
}

/// When a resource is expected to be ready, counted from its accepted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    from: Duration,
    to: Duration,
    learned: bool,
}

impl Forecast {
    /// Without history: about `predicted` (zero: nothing is predicted).
    #[must_use]
    pub fn guess(predicted: Duration) -> Self {
        let predicted = if predicted.is_zero() { PREDICTED_DEFAULT } else { predicted };
        Self { from: predicted.saturating_mul(3) / 4, to: predicted.saturating_mul(3), learned: false }
    }

    /// The same on a cloud that runs `speed` times as fast.
    #[must_use]
    pub fn scaled(self, scale: impl Fn(Duration) -> Duration) -> Self {
        Self { from: scale(self.from), to: scale(self.to), ..self }
    }

    /// How long to wait before the first look: not at all for a guess, since
    /// many things are ready at once.
    #[must_use]
    pub fn first_look(&self, elapsed: Duration) -> Duration {
        match self.learned && elapsed < self.from {
            true => self.next_look(elapsed),
            false => Duration::ZERO,
        }
    }

    /// Whether it should have been ready long ago.
    #[must_use]
    pub fn is_overdue(&self, elapsed: Duration) -> bool {
        elapsed > self.to
    }

    /// How long to wait before the next look, `elapsed` after the request.
    ///
    /// - Before the end is expected: until then, with a look now and then in
    ///   case it failed.
    /// - While it is expected: a fiftieth of the elapsed time, so that noticing
    ///   it costs about one per cent, and less where the end is known closely;
    ///   between 0.25 s and 2 s.
    /// - After that the time between looks grows by a tenth of the overdue
    ///   time, up to 60 s.
    #[must_use]
    pub fn next_look(&self, elapsed: Duration) -> Duration {
        if elapsed < self.from {
            let early = if self.learned { EARLY_MAX } else { EARLY_MAX_GUESSED };
            return (self.from - elapsed).clamp(LOOK_MIN, early);
        }
        let close = self.to.saturating_sub(self.from) / LOOKS;
        let near = (elapsed / 50).min(close).clamp(LOOK_MIN, NEAR_MAX);
        let overdue = elapsed.saturating_sub(self.to);
        near.max(overdue / 10).min(LOOK_MAX)
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

    /// When something that takes `end` is noticed, and with how many looks.
    fn watch(forecast: Forecast, end: Duration) -> (Duration, u32) {
        let (mut now, mut looks) = (Duration::ZERO, 0);
        while now < end {
            now += forecast.next_look(now);
            looks += 1;
        }
        (now, looks)
    }

    #[test]
    fn a_guess_is_sparse_then_dense_then_sparse() {
        let guess = Forecast::guess(seconds(100.0));
        let at = |elapsed| guess.next_look(seconds(elapsed)).as_secs_f64();
        assert_eq!(at(0.0), 15.0);
        assert_eq!(at(70.0), 5.0);
        assert_eq!(at(74.9), 0.25);
        assert_eq!(at(75.0), 1.5);
        assert_eq!(at(299.0), 2.0);
        assert_eq!(at(400.0), 10.0);
        assert_eq!(at(5000.0), 60.0);
        assert!(!guess.is_overdue(seconds(299.0)) && guess.is_overdue(seconds(301.0)));
    }

    #[test]
    fn what_was_seen_to_take_one_time_is_noticed_at_that_time() {
        let end = seconds(118.0);
        let (first, _) = watch(Forecast::guess(seconds(100.0)), end);
        assert!(first < seconds(120.0), "{first:?}");
        let seen = [(116_400, 118_300); 8];
        let (later, looks) = watch(times(&seen).forecast(Kind::SksCluster).unwrap(), end);
        assert!(later - end < seconds(0.3) && looks < 20, "noticed at {later:?} with {looks} looks");
    }

    #[test]
    fn the_first_of_all_does_not_make_sure_of_the_second() {
        let once = times(&[(99_000, 100_000)]).forecast(Kind::SksCluster).unwrap();
        for end in [91.0, 95.0, 99.5, 104.0, 130.0, 250.0] {
            let (noticed, looks) = watch(once, seconds(end));
            let overdue = f64::max(0.0, end - 110.0);
            let late = (noticed - seconds(end)).as_secs_f64();
            assert!(late < 2.0 + overdue / 9.0, "{end}: {noticed:?}");
            assert!(looks < 70, "{end}: {looks}");
        }
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
        fn the_next_look_is_always_within_its_limits(elapsed: u64, predicted: u64, seen: Vec<(u64, u64)>) {
            let elapsed = Duration::from_millis(elapsed);
            let guess = Forecast::guess(Duration::from_millis(predicted));
            let learned = times(&seen).forecast(Kind::SksCluster);
            for forecast in learned.into_iter().chain([guess]) {
                prop_assert!((LOOK_MIN..=LOOK_MAX).contains(&forecast.next_look(elapsed)));
            }
        }

        #[test]
        fn drawn_from_a_range_half_of_it_wide_the_end_is_noticed_within_two_per_cent(
            seen in proptest::collection::vec(90_000_u64..146_000, 8..32), end in 90_000_u64..146_000,
        ) {
            let seen: Vec<(u64, u64)> = seen.iter().map(|by| (by - 1_500, *by)).collect();
            let end = Duration::from_millis(end);
            let (noticed, looks) = watch(times(&seen).forecast(Kind::SksCluster).unwrap(), end);
            let late = (noticed - end).as_secs_f64();
            // What ends before all others did is noticed when they are expected.
            let first = seen.iter().map(|(after, _)| *after).min().unwrap();
            let unusual = Duration::from_millis(first).saturating_sub(end).as_secs_f64();
            prop_assert!(late <= 2.0 + unusual && looks < 50, "{late} s late, {looks} looks");
        }
    }
}
