//! Running futures that never wait.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::error::LedgerError;

/// The output of a future that is ready when it is first polled, such as the
/// logic of the ledger over a store that answers without waiting.
///
/// # Errors
/// [`LedgerError::Failed`] when it would have to wait, which is a mistake in
/// the store.
pub(crate) fn ready<T>(future: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => Err(LedgerError::Failed("a store that never waits did".to_owned())),
    }
}
