//! Counts of calls by operation id and outcome.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::transport::{HttpResponse, TransportError};

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOutcome {
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

impl CallOutcome {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CallOutcome::Done => "done",
            CallOutcome::Throttled => "throttled",
            CallOutcome::Refused => "refused",
            CallOutcome::Failed => "failed",
            CallOutcome::Silent => "silent",
        }
    }

    pub(crate) fn of(outcome: &Result<HttpResponse, TransportError>) -> Self {
        match outcome.as_ref().map(|reply| reply.status().as_u16()) {
            Ok(200..=299) => CallOutcome::Done,
            Ok(429) => CallOutcome::Throttled,
            Ok(500..) => CallOutcome::Failed,
            Ok(_) => CallOutcome::Refused,
            Err(_) => CallOutcome::Silent,
        }
    }
}

/// Calls by operation id and outcome.
pub type CallCounts = BTreeMap<(String, CallOutcome), u64>;

#[derive(Debug, Default)]
pub(crate) struct CallCounter(Mutex<CallCounts>);

impl CallCounter {
    pub(crate) fn count(&self, operation: &str, outcome: &Result<HttpResponse, TransportError>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((operation.to_owned(), CallOutcome::of(outcome))).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> CallCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
