//! One budget of API calls, shared by every caller of an account.
//!
//! The rate limits of the Exoscale API are not published, so exokit keeps its
//! own: a bucket of tokens in tokio's time, which tests can pause. Callers get
//! their turns in the order in which they asked, but those who only look again
//! at what they wait for let the others go first: otherwise a plan would wait
//! for the looks of all environments. When the cloud answers with `Retry-After`,
//! everyone waits, because the limit belongs to the account and not to the
//! caller that happened to hit it.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Longest pause that a reply can impose on all callers.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// A turn that is not taken within this time is given up.
const TURN_MAX: Duration = Duration::from_secs(1);

/// For how many turns a patient caller lets others go first, once it is the
/// first of the patient ones: of every two turns one of them asks for the next.
const LOW_PRIORITY_TURNS: u32 = 2;

/// A shared token bucket. Clones share the same tokens.
#[derive(Debug, Clone)]
pub struct Budget {
    interval: Duration,
    tolerance: Duration,
    state: Arc<Mutex<State>>,
    /// Where patient callers stand in line; its lock is fair.
    line: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// When the bucket will be full again, were no more tokens taken.
    full_at: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Budget {
    /// A budget of `per_second` calls in the long run, of which up to `burst`
    /// may go at once after a quiet time.
    #[must_use]
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let interval = Duration::from_secs(1) / per_second.get();
        let tolerance = interval * (burst.get() - 1);
        Self { interval, tolerance, state: Arc::default(), line: Arc::default() }
    }

    /// Waits for a turn and takes it. A caller that gives up while it waits has
    /// still used its turn.
    pub(crate) async fn take(&self) {
        let mut missed = false;
        loop {
            let turn = self.reserve(Instant::now());
            sleep_until(turn).await;
            // Whoever was stopped meanwhile has missed its turn; all who missed
            // theirs would go at once.
            if turn.elapsed() > TURN_MAX && !std::mem::replace(&mut missed, true) {
                continue;
            }
            // A pause that began meanwhile also holds for those who already
            // had a turn; they queue again, so that they do not all go at once.
            if self.state().paused_until.is_none_or(|until| until <= turn) {
                return;
            }
        }
    }

    /// As [`Budget::take`], for a caller that can wait. Patient callers stand in
    /// a line of their own; the first of them takes a turn that nobody else
    /// wants, or after two turns asks for one like everybody.
    pub(crate) async fn take_low_priority(&self) {
        let first = self.line.lock().await;
        let until = Instant::now() + self.interval * LOW_PRIORITY_TURNS;
        loop {
            let now = Instant::now();
            let (turn, _) = self.next(&self.state(), now);
            if turn <= now || now >= until {
                break;
            }
            sleep_until(turn.min(until)).await;
        }
        drop(first);
        self.take().await;
    }

    /// Makes every caller wait for `pause`, at most [`PAUSE_MAX`]. A pause
    /// that is already longer stays.
    pub(crate) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause.min(PAUSE_MAX);
        let mut state = self.state();
        state.paused_until = state.paused_until.max(Some(until));
        // After a pause the bucket is empty, not full.
        state.full_at = Some(until + self.tolerance);
    }

    /// Takes the next free turn and says when it is.
    fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.state();
        let (turn, full_at) = self.next(&state, now);
        state.full_at = Some(full_at + self.interval);
        turn
    }

    /// The next free turn, and when the bucket is full if it is not taken.
    fn next(&self, state: &State, now: Instant) -> (Instant, Instant) {
        let earliest = state.paused_until.map_or(now, |until| until.max(now));
        let full_at = state.full_at.map_or(earliest, |full_at| full_at.max(earliest));
        let turn = full_at.checked_sub(self.tolerance).map_or(earliest, |turn| turn.max(earliest));
        (turn, full_at)
    }

    /// The state is plain counters, valid even if a thread died holding it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Budget {
    /// Ten calls per second with bursts of twenty. An assumption: Exoscale
    /// publishes no limit, and its own clients keep none.
    fn default() -> Self {
        Self::new(const { NonZeroU32::new(10).unwrap() }, const { NonZeroU32::new(20).unwrap() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(per_second: u32, burst: u32) -> Budget {
        Budget::new(per_second.try_into().unwrap(), burst.try_into().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_then_the_rate_holds() {
        let (budget, start) = (budget(10, 5), Instant::now());
        for _ in 0..5 {
            budget.take().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            budget.take().await;
        }
        let elapsed = start.elapsed();
        assert!(
            elapsed >= Duration::from_millis(2000) && elapsed < Duration::from_millis(2050),
            "{elapsed:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_the_budget() {
        let (budget, start) = (budget(1, 1), Instant::now());
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move { budget.take().await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everyone_back_and_is_followed_by_no_burst() {
        let (budget, start) = (budget(1, 3), Instant::now());
        budget.pause(Duration::from_secs(30));
        for _ in 0..4 {
            budget.take().await;
        }
        assert_eq!(start.elapsed().as_secs(), 33);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_also_holds_those_who_wait_already() {
        let (budget, start) = (budget(1, 1), Instant::now());
        budget.take().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let budget = budget.clone();
                tokio::spawn(async move {
                    budget.take().await;
                    start.elapsed().as_secs()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        budget.pause(Duration::from_secs(60));
        let mut turns = Vec::new();
        for task in waiting {
            turns.push(task.await.unwrap());
        }
        turns.sort_unstable();
        assert_eq!(turns, [60, 61, 62]);
    }

    /// Lets callers queue up, and says when each had its turn.
    async fn queued(budget: &Budget, callers: u32, patient: bool) -> Vec<tokio::task::JoinHandle<u64>> {
        let start = Instant::now();
        let called = (0..callers).map(|_| {
            let budget = budget.clone();
            tokio::spawn(async move {
                match patient {
                    true => budget.take_low_priority().await,
                    false => budget.take().await,
                }
                start.elapsed().as_secs()
            })
        });
        let called = called.collect();
        tokio::task::yield_now().await;
        called
    }

    async fn turns(called: Vec<tokio::task::JoinHandle<u64>>) -> Vec<u64> {
        let mut turns = Vec::new();
        for called in called {
            turns.push(called.await.unwrap());
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hurries_waits_for_one_who_is_patient_and_not_for_all() {
        let budget = budget(1, 1);
        let patient = queued(&budget, 100, true).await;
        let hurried = queued(&budget, 3, false).await;
        assert_eq!(turns(hurried).await, [1, 2, 3]);
        assert_eq!(turns(patient).await.last(), Some(&102));
    }

    /// When the last of so many patient callers had its turn, while so many
    /// others always want one: of 10 turns per second.
    async fn last_of(patient: u32, hurrying: u32) -> u64 {
        let budget = budget(10, 1);
        let hurrying = (0..hurrying).map(|_| {
            let budget = budget.clone();
            tokio::spawn(async move {
                loop {
                    budget.take().await;
                }
            })
        });
        let hurrying: Vec<_> = hurrying.collect();
        tokio::task::yield_now().await;
        let patient = turns(queued(&budget, patient, true).await).await;
        hurrying.iter().for_each(tokio::task::JoinHandle::abort);
        assert!(patient.is_sorted(), "{patient:?}");
        patient.last().copied().unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_patient_is_not_forgotten() {
        // Behind 256 in line the first waits 25.6 s; the others follow it closely.
        assert_eq!(last_of(1, 256).await, 25);
        assert!(last_of(100, 256).await <= 2 * 35);
        assert!(last_of(5, 5).await <= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hostile_retry_after_is_capped() {
        let (budget, start) = (budget(1, 1), Instant::now());
        budget.pause(Duration::from_secs(u64::MAX));
        budget.take().await;
        assert_eq!(start.elapsed(), PAUSE_MAX);
    }
}
