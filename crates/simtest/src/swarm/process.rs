//! Processes that crash or stop: a future that is dropped, or that is not
//! polled for a while.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;
use std::time::Duration;

use exokit_cloud::clock::Clock;
use jiff::{SignedDuration, Timestamp};

use super::schedule::{Stage, What};
use crate::rig::VirtualClock;

/// What becomes of a process by the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It lives on.
    None,
    /// The host crashes.
    Crash {
        /// After so many polls.
        polls: u64,
        /// Whether the unsynced half of the ledger survives.
        keep: bool,
        /// Whether others can tell that it died.
        seen: bool,
    },
    /// It stops for a while.
    Pause {
        /// After so many polls.
        polls: u64,
        /// For so long.
        length: Duration,
    },
}

impl Fate {
    /// The fate of the n-th process of a stage, if an item says one.
    #[must_use]
    pub(super) fn of(what: &What, stage: Stage, process: u32) -> Option<Self> {
        match *what {
            What::Crash { stage: s, process: p, polls, keep, seen } if s == stage && p == process => {
                Some(Fate::Crash { polls, keep, seen })
            }
            What::Pause { stage: s, process: p, polls, seconds } if s == stage && p == process => {
                Some(Fate::Pause { polls, length: Duration::from_secs(u64::from(seconds)) })
            }
            _ => None,
        }
    }
}

/// Polls a future, but after `polls` polls not for `length`. `begun` tells
/// others that it has stopped.
pub(super) async fn with_pause<F: Future>(
    future: F,
    polls: u64,
    length: Duration,
    begun: &Cell<bool>,
) -> F::Output {
    let mut future = pin!(future);
    let mut done = 0;
    let mut pause = None;
    std::future::poll_fn(move |context| {
        if done == polls {
            let pause = pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(length)));
            begun.set(true);
            if pause.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        done += 1;
        let polled = future.as_mut().poll(context);
        if polled.is_pending() && done == polls {
            // The pause begins now; whatever wakes the task meanwhile waits.
            context.waker().wake_by_ref();
        }
        polled
    })
    .await
}

/// The clock of a host that may be wrong.
#[derive(Debug, Clone)]
pub(super) struct HostClock {
    truth: VirtualClock,
    ahead_ms: Arc<AtomicI64>,
}

impl HostClock {
    /// A clock that is right until it is set.
    #[must_use]
    pub(super) fn new(truth: VirtualClock) -> Self {
        Self { truth, ahead_ms: Arc::default() }
    }

    /// Makes it wrong, or right again.
    pub(super) fn set_ahead(&self, seconds: i32) {
        self.ahead_ms.store(i64::from(seconds) * 1000, Ordering::Relaxed);
    }
}

impl HostClock {
    /// How far it is ahead of the truth.
    pub(super) fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed))
    }
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        self.truth.now().saturating_add(self.ahead()).unwrap_or(Timestamp::MAX)
    }
}
