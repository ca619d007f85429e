//! The rows in memory, for folding records that are at hand.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::event::Record;
use exokit_model::ids::{EnvironmentName, OperationId, Zone};
use exokit_model::kind::Kind;
use exokit_model::ready_time::ReadyTime;

use super::environment::EnvironmentView;
use super::operation::OperationSummary;
use super::query::{Environments, Operations};
use super::step::{Row, Rows, RowsHead, project, project_entry};
use crate::error::{IllegalRecord, LedgerError};
use crate::plans::Plans;
use crate::poll::ready;

/// The rows of a ledger in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    pub(crate) head: RowsHead,
    environments: BTreeMap<EnvironmentName, EnvironmentView>,
    operations: BTreeMap<OperationId, OperationSummary>,
    by_digest: BTreeMap<String, OperationId>,
    ready_times: BTreeMap<(Zone, Kind), Vec<ReadyTime>>,
    pub(crate) tokens: BTreeMap<String, BTreeSet<OperationId>>,
    pub(crate) resources: BTreeMap<String, BTreeSet<EnvironmentName>>,
}

impl Registry {
    /// The registry after `records`, which begin with the first of the ledger.
    ///
    /// # Errors
    /// The first record that does not fit.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Self, IllegalRecord> {
        let mut registry = Self::default();
        for record in records {
            registry.apply(record)?;
        }
        Ok(registry)
    }

    /// Takes in the next record. One that was taken in before is skipped, so
    /// that several sources of records may overlap.
    ///
    /// # Errors
    /// When it is not the next one, or its event cannot follow. The registry
    /// is unchanged then.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        self.apply_with(&Plans::default(), record)
    }

    /// As [`Registry::apply`], with plans that were read before.
    pub(crate) fn apply_with(&mut self, plans: &Plans, record: &Record) -> Result<(), IllegalRecord> {
        if record.seq <= self.head.head.seq {
            return Ok(());
        }
        ready(project(self, plans, record)).map_err(|error| as_illegal_record(record, error))
    }

    /// Every environment that was ever planned, by name.
    #[must_use]
    pub fn environments(&self) -> &BTreeMap<EnvironmentName, EnvironmentView> {
        &self.environments
    }

    /// Every operation, by id.
    #[must_use]
    pub fn operations(&self) -> &BTreeMap<OperationId, OperationSummary> {
        &self.operations
    }

    /// The environments that are asked for, by name.
    #[must_use]
    pub fn find_environments(&self, which: &Environments) -> Vec<EnvironmentView> {
        let limit = match which {
            Environments::Named(name) => return self.environments.get(name).cloned().into_iter().collect(),
            Environments::Page { most, .. } => usize::try_from(*most).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        self.environments.values().filter(|view| which.admits(view)).take(limit).cloned().collect()
    }

    /// The operations that are asked for, by id.
    #[must_use]
    pub fn find_operations(&self, which: &Operations) -> Vec<OperationSummary> {
        match which {
            Operations::Named(id) => self.operations.get(id).cloned().into_iter().collect(),
            Operations::Digest(digits) => {
                let found = self.by_digest.range(digits.clone()..);
                let ids = found.take_while(|(digest, _)| digest.starts_with(digits)).map(|(_, id)| id);
                let ids: BTreeSet<&OperationId> = ids.collect();
                ids.into_iter().filter_map(|id| self.operations.get(id)).cloned().collect()
            }
            _ => self.operations.values().filter(|operation| which.admits(operation)).cloned().collect(),
        }
    }

    /// How long the newest resources in a zone, and of one kind if one is
    /// named, took to become ready: by kind, the last one last.
    pub(crate) fn find_ready_times(&self, zone: &Zone, kind: Option<Kind>) -> Vec<ReadyTime> {
        let wanted = |(key, _): &(&(Zone, Kind), _)| key.0 == *zone && kind.is_none_or(|kind| key.1 == kind);
        self.ready_times.iter().filter(wanted).flat_map(|(_, times)| times).cloned().collect()
    }
}

/// What the records about one environment say of it; none when it was never
/// heard of.
///
/// # Errors
/// The first record that does not fit.
pub fn environment_view(
    plans: &Plans,
    name: &EnvironmentName,
    records: &[Record],
) -> Result<Option<EnvironmentView>, IllegalRecord> {
    let mut registry = Registry::default();
    for record in records {
        ready(project_entry(&mut registry, plans, record))
            .map_err(|error| as_illegal_record(record, error))?;
    }
    Ok(registry.environments.remove(name))
}

/// An error of rows in memory: nothing but a record can be wrong.
fn as_illegal_record(record: &Record, error: LedgerError) -> IllegalRecord {
    match error {
        LedgerError::IllegalRecord(illegal) => illegal,
        other => IllegalRecord { seq: record.seq, why: other.to_string() },
    }
}

impl Rows for Registry {
    async fn rows_head(&mut self) -> Result<RowsHead, LedgerError> {
        Ok(self.head)
    }

    async fn operations(&mut self, which: &Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        Ok(self.find_operations(which))
    }

    async fn environments(&mut self, which: &Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        Ok(self.find_environments(which))
    }

    async fn ready_times(&mut self, zone: &Zone, kind: Option<Kind>) -> Result<Vec<ReadyTime>, LedgerError> {
        Ok(self.find_ready_times(zone, kind))
    }

    async fn put(&mut self, row: Row<'_>) -> Result<(), LedgerError> {
        match row {
            Row::Head(head) => self.head = head,
            Row::Operation(operation) => {
                self.by_digest.insert(operation.digest.to_string(), operation.operation.clone());
                self.operations.insert(operation.operation.clone(), operation.clone());
            }
            Row::Environment(view) => {
                self.environments.insert(view.environment.clone(), view.clone());
            }
            Row::ReadyTimes(zone, kind, times) => {
                self.ready_times.insert((zone.clone(), kind), times.to_vec());
            }
            Row::Token(token, operation) => {
                self.tokens.entry(token.to_owned()).or_default().insert(operation.clone());
            }
            Row::Resource(id, name, true) => {
                self.resources.entry(id.to_string()).or_default().insert(name.clone());
            }
            Row::Resource(id, name, false) => {
                if let Some(names) = self.resources.get_mut(id.as_str()) {
                    names.remove(name);
                    if names.is_empty() {
                        self.resources.remove(id.as_str());
                    }
                }
            }
        }
        Ok(())
    }
}
