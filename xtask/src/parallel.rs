//! Work on several things at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

/// Calls `work` for each item, for at most so many at once, each as soon as
/// there is room. The results come in no particular order.
///
/// # Panics
/// When `work` does.
pub(crate) fn map<'i, T: Sync, R: Send>(
    items: &'i [T],
    at_once: usize,
    work: impl Fn(&'i T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let items = || items.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(items).map(&work).collect::<Vec<R>>()
    };
    std::thread::scope(|scope| {
        let workers: Vec<ScopedJoinHandle<'_, Vec<R>>> = (0..at_once).map(|_| scope.spawn(worker)).collect();
        let join = |worker: ScopedJoinHandle<'_, Vec<R>>| match worker.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once() {
        let items: Vec<u32> = (0..100).collect();
        for at_once in [1, 3, 200] {
            let mut doubled = map(&items, at_once, |item| item * 2);
            doubled.sort_unstable();
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }
}
