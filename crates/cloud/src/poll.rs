//! When to look at a cloud operation again.

use std::time::Duration;

/// Shortest time between two looks.
pub const POLL_MIN: Duration = Duration::from_millis(250);

/// Longest time between two looks, reached by operations that are long overdue.
pub const POLL_MAX: Duration = Duration::from_secs(60);

/// Longest time between two looks before the end is near. An early failure is
/// noticed within this time.
const EARLY_MAX: Duration = Duration::from_secs(15);

/// Longest time between two looks while the end is expected.
const NEAR_MAX: Duration = Duration::from_secs(2);

/// Assumed when there is no prediction.
const PREDICTED_DEFAULT: Duration = Duration::from_secs(30);

/// How long to wait before looking at an operation that was sent `elapsed`
/// ago and is predicted to take `predicted` (zero: no prediction).
///
/// - Up to 85 % of the prediction: wait until then, at most 15 s at once.
/// - From there: a fiftieth of the elapsed time, between 0.25 s and 2 s, so
///   that noticing the end costs about one per cent on average.
/// - Beyond three times the prediction the time between looks grows by a tenth
///   of the overdue time, up to 60 s.
#[must_use]
pub fn poll_delay(elapsed: Duration, predicted: Duration) -> Duration {
    let predicted = if predicted.is_zero() { PREDICTED_DEFAULT } else { predicted };
    let near = predicted.saturating_mul(17) / 20;
    if elapsed < near {
        return (near - elapsed).clamp(POLL_MIN, EARLY_MAX);
    }
    let dense = (elapsed / 50).clamp(POLL_MIN, NEAR_MAX);
    let overdue = elapsed.saturating_sub(predicted.saturating_mul(3));
    dense.max(overdue / 10).min(POLL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delay(elapsed: f64, predicted: f64) -> f64 {
        poll_delay(Duration::from_secs_f64(elapsed), Duration::from_secs_f64(predicted)).as_secs_f64()
    }

    #[test]
    fn sparse_then_dense_then_sparse() {
        assert_eq!(delay(0.0, 100.0), 15.0);
        assert_eq!(delay(80.0, 100.0), 5.0);
        assert_eq!(delay(84.9, 100.0), 0.25);
        assert_eq!(delay(85.0, 100.0), 1.7);
        assert_eq!(delay(299.0, 100.0), 2.0);
        assert_eq!(delay(400.0, 100.0), 10.0);
        assert_eq!(delay(5000.0, 100.0), 60.0);
        assert_eq!(delay(3.0, 3.0), 0.25);
    }

    #[test]
    fn a_step_of_a_hundred_seconds_needs_few_looks_and_is_noticed_at_once() {
        let (mut now, mut looks) = (0.0, 0);
        while now < 100.0 {
            now += delay(now, 100.0);
            looks += 1;
        }
        assert!(now < 102.0 && looks < 20, "noticed after {now} s with {looks} looks");
    }

    proptest! {
        #[test]
        fn the_delay_is_always_within_its_limits(elapsed: u64, predicted: u64) {
            let delay = poll_delay(Duration::from_millis(elapsed), Duration::from_millis(predicted));
            prop_assert!((POLL_MIN..=POLL_MAX).contains(&delay));
        }
    }
}
