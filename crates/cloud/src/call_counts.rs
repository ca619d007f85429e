//! What became of the calls, counted where all of them pass.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::transport::{HttpResponse, TransportError};

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// A status of 2xx.
    Done,
    /// 429: the account asked for too much.
    Throttled,
    /// Another status below 500.
    Refused,
    /// A status of 5xx.
    Failed,
    /// No reply, or none that could be read to its end.
    Silent,
}

impl Answer {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Done => "done",
            Answer::Throttled => "throttled",
            Answer::Refused => "refused",
            Answer::Failed => "failed",
            Answer::Silent => "silent",
        }
    }

    pub(crate) fn of(outcome: &Result<HttpResponse, TransportError>) -> Self {
        match outcome.as_ref().map(|reply| reply.status().as_u16()) {
            Ok(200..=299) => Answer::Done,
            Ok(429) => Answer::Throttled,
            Ok(500..) => Answer::Failed,
            Ok(_) => Answer::Refused,
            Err(_) => Answer::Silent,
        }
    }
}

/// Calls by operation id and by what became of them.
pub type Counts = BTreeMap<(String, Answer), u64>;

#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    pub(crate) fn count(&self, operation: &str, outcome: &Result<HttpResponse, TransportError>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((operation.to_owned(), Answer::of(outcome))).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
