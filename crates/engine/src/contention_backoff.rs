//! Backoff for an append whose condition another writer made false.

use std::time::Duration;

use crate::error::EngineError;

/// Pause before the end of the ledger is read again.
const PAUSE: Duration = Duration::from_millis(50);

/// Maximum attempts (two minutes in total). Another writer may be paused
/// mid-write; give up rather than wait forever.
const ATTEMPTS_MAX: u32 = 2_400;

/// Counts the attempts in which another writer was quicker.
#[derive(Default)]
pub(crate) struct ContentionBackoff(u32);

impl ContentionBackoff {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// `error` itself after too many attempts.
    pub(crate) async fn wait(&mut self, error: EngineError) -> Result<(), EngineError> {
        self.0 += 1;
        match self.0 < ATTEMPTS_MAX {
            true => {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            false => Err(error),
        }
    }
}
