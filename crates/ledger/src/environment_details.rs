//! One environment with its operations in full, from its own records.

use exokit_model::ids::EnvironmentName;

use crate::condition::Filter;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::operation::OperationState;
use crate::rows::environment::EnvironmentView;
use crate::rows::registry::environment_view;

/// An environment and everything that was ever done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentDetails {
    /// Where it stands.
    pub view: EnvironmentView,
    /// Its operations, oldest first.
    pub operations: Vec<OperationState>,
}

impl EnvironmentDetails {
    /// Reads and folds the records about one environment; none when it was
    /// never heard of.
    ///
    /// # Errors
    /// When the ledger cannot be read or a record does not fit.
    pub async fn read(ledger: &dyn Ledger, name: &EnvironmentName) -> Result<Option<Self>, LedgerError> {
        let records = ledger.read(Filter::Environment(name.clone()), 0).await?;
        let Some(view) = environment_view(ledger.plans(), name, &records)? else { return Ok(None) };
        Ok(Some(Self { view, operations: OperationState::fold_all(ledger.plans(), &records)? }))
    }
}
