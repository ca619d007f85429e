//! Admission: limits on requests, operations and audits under way at once. At
//! capacity a request is refused with `busy` and the time after which to retry.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use exokit_model::plan::Action;
use exokit_wire::MESSAGE_BYTES_MAX;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::Verb;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests answered at once.
    pub requests: NonZeroUsize,
    /// Total bytes of their messages. A decoded message takes several times its
    /// encoded size.
    pub bytes: NonZeroUsize,
    /// Operations under way at once. One takes about 80 kB of memory.
    pub operations: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        let limit = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        Self { requests: limit(256), bytes: limit(16 << 20), operations: limit(2_000) }
    }
}

/// Time after which to retry an operation, in milliseconds: about as long as a
/// quick step takes.
const OPERATION_RETRY_MS: u64 = 10_000;

/// Time after which to retry a request, in milliseconds.
const REQUEST_RETRY_MS: u64 = 500;

/// Time after which to retry an audit, in milliseconds. One of a million records
/// takes 15 s.
const AUDIT_RETRY_MS: u64 = 2_000;

/// Counts requests, operations and audits against the limits.
#[derive(Debug)]
pub(crate) struct Admission {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// An audit reads every record, so there is one at a time.
    audits: Arc<Semaphore>,
    under_way: Arc<AtomicUsize>,
    limits: Limits,
}

/// The place of an admitted request, until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    pub(crate) verb: Verb,
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// The place of an operation that runs here, until this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Self {
        let requests = Arc::new(Semaphore::new(limits.requests.get()));
        let bytes = Arc::new(Semaphore::new(limits.bytes.get().min(Semaphore::MAX_PERMITS)));
        let audits = Arc::new(Semaphore::new(1));
        Self { requests, bytes, audits, under_way: Arc::default(), limits }
    }

    /// Counts an operation that starts here.
    pub(crate) fn begin(&self) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.under_way.clone())
    }

    /// Whether one more operation has room here.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) < self.limits.operations.get()
    }

    /// Admits the request for one more operation.
    pub(crate) fn room(&self, action: Action) -> Result<(), Failure> {
        match self.has_room() {
            true => Ok(()),
            false => {
                let why = format!("{} operations are under way", self.limits.operations);
                Err(busy(&action.to_string(), &why, OPERATION_RETRY_MS))
            }
        }
    }

    pub(crate) fn audit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = self.audits.clone().try_acquire_owned();
        permit.map_err(|_| busy("the audit", "another audit runs", AUDIT_RETRY_MS))
    }

    /// Admits a request with a message of this length, before it is decoded.
    pub(crate) fn admit(&self, verb: Verb, bytes: usize) -> Result<Admitted, Failure> {
        let request = self.requests.clone().try_acquire_owned().map_err(|_| {
            let why = format!("{} requests are being answered", self.limits.requests);
            busy(verb.subject(), &why, REQUEST_RETRY_MS)
        })?;
        // A longer message is refused before it is decoded.
        let counted = u32::try_from(bytes.min(MESSAGE_BYTES_MAX)).unwrap_or(u32::MAX);
        let bytes = self.bytes.clone().try_acquire_many_owned(counted).map_err(|_| {
            let why = format!("messages of {} bytes are being answered", self.limits.bytes);
            busy(verb.subject(), &why, REQUEST_RETRY_MS)
        })?;
        Ok(Admitted { verb, _request: request, _bytes: bytes })
    }
}

fn busy(on: &str, why: &str, retry_after_ms: u64) -> Failure {
    let hint = "nothing was recorded; send the same again after the time in retry_after_ms";
    let failure = Failure::new(Class::Busy, "busy", "taking on", on, why, hint);
    Failure { retry_after_ms: Some(retry_after_ms), ..failure }
}
