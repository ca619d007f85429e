//! Writing what depends on the end of the ledger, while others write too.

use std::time::Duration;

use crate::error::EngineError;

/// Pause before the end of the ledger is read again.
const PAUSE: Duration = Duration::from_millis(50);

/// So often it is tried, for two minutes: somebody who writes may have been
/// stopped in the middle of it, but nobody waits for him for ever.
const TURNS_MAX: u32 = 2_400;

/// Counts in how many turns somebody else was quicker.
#[derive(Default)]
pub(crate) struct Turns(u32);

impl Turns {
    /// Waits for another turn; gives the error back when there were enough.
    pub(crate) async fn after(&mut self, error: EngineError) -> Result<(), EngineError> {
        self.0 += 1;
        match self.0 < TURNS_MAX {
            true => {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
            false => Err(error),
        }
    }
}
