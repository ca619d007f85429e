//! The conditions of an append, the same for every ledger.

use exokit_model::event::Entry;
use exokit_model::ids::{EnvironmentName, OperationId};

use crate::error::LedgerError;
use crate::ledger::{Condition, Fence};

/// Under a fence, every entry carries its epoch.
pub(crate) fn check_entries(condition: &Condition, entries: &[Entry]) -> Result<(), LedgerError> {
    let Some(fence) = &condition.fence else {
        return Ok(());
    };
    match entries.iter().find(|entry| entry.epoch != fence.epoch) {
        None => Ok(()),
        Some(entry) => Err(LedgerError::Entry {
            why: format!("{} carries epoch {}, the fence {}", entry.event.name(), entry.epoch, fence.epoch),
        }),
    }
}

pub(crate) fn check_epoch(fence: &Fence, current: u64, held: bool) -> Result<(), LedgerError> {
    match held && fence.epoch == current {
        true => Ok(()),
        false => Err(LedgerError::Fenced { operation: fence.operation.clone(), epoch: fence.epoch, current }),
    }
}

pub(crate) fn check_unused(operation: &OperationId, used: bool) -> Result<(), LedgerError> {
    match used {
        true => Err(LedgerError::Used { operation: operation.clone() }),
        false => Ok(()),
    }
}

pub(crate) fn check_environment(
    environment: &EnvironmentName,
    expected: u64,
    found: u64,
) -> Result<(), LedgerError> {
    match expected == found {
        true => Ok(()),
        false => Err(LedgerError::Stale { environment: environment.clone(), expected, found }),
    }
}

pub(crate) fn check_head(condition: &Condition, found: u64) -> Result<(), LedgerError> {
    match condition.head {
        Some(expected) if expected != found => Err(LedgerError::HeadMoved { expected, found }),
        _ => Ok(()),
    }
}
