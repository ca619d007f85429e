//! One environment with its operations in full, from its own records.

use exokit_model::event::{Event, Record};
use exokit_model::ids::EnvironmentName;

use super::environment::EnvironmentView;
use super::operation::OperationView;
use super::{Misfit, Registry};
use crate::error::LedgerError;
use crate::ledger::{Filter, Ledger};
use crate::plans::Plans;

/// An environment and everything that was ever done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentStory {
    /// Where it stands.
    pub view: EnvironmentView,
    /// Its operations, oldest first.
    pub operations: Vec<OperationView>,
}

impl EnvironmentStory {
    /// Reads and folds the records about one environment; none when it was
    /// never heard of.
    ///
    /// # Errors
    /// When the ledger cannot be read or a record does not fit.
    pub async fn read(ledger: &dyn Ledger, name: &EnvironmentName) -> Result<Option<Self>, LedgerError> {
        let records = ledger.read(Filter::Environment(name.clone()), 0).await?;
        Ok(Self::fold(ledger.plans(), name, &records)?)
    }

    fn fold(plans: &Plans, name: &EnvironmentName, records: &[Record]) -> Result<Option<Self>, Misfit> {
        let registry = Registry::of_part(plans, records)?;
        let Some(view) = registry.environment(name).cloned() else { return Ok(None) };
        let proposed = records.iter().filter(|r| matches!(r.entry.event, Event::PlanProposed { .. }));
        let ids = proposed.filter_map(|record| record.entry.operation.as_ref());
        let operations = ids.filter_map(|id| OperationView::fold(plans, id, records).transpose());
        Ok(Some(Self { view, operations: operations.collect::<Result<_, _>>()? }))
    }
}
