//! Stopping a future at a chosen await, as a crash would.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// What became of a future that may have been stopped.
#[derive(Debug)]
pub enum Ran<T> {
    /// It ended by itself after so many polls.
    Done(T, u64),
    /// It was dropped after the allowed polls.
    Crashed,
}

/// Polls `future` at most `polls` times, then drops it. Every await at which
/// it suspends is the end of one poll, so each number of polls is one place
/// to crash.
pub async fn after_polls<F: Future>(future: F, polls: u64) -> Ran<F::Output> {
    let mut future = pin!(future);
    let mut done = 0;
    std::future::poll_fn(move |context| {
        if done == polls {
            return Poll::Ready(Ran::Crashed);
        }
        done += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Ran::Done(value, done)),
            // The wake-up that follows the last allowed poll may never come
            // (its timer is dropped with the future), so stop right away.
            Poll::Pending if done == polls => Poll::Ready(Ran::Crashed),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
