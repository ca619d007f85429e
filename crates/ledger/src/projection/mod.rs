//! The registry: what the records say about environments and operations now.
//!
//! A pure fold. A record that cannot follow is an error that names it, so a
//! ledger that was altered is noticed instead of shown.

mod environment;
mod operation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::graph::Node;
use exokit_model::ids::{EnvironmentName, OperationId, PersonId, ResourceId, RoleName};
use exokit_model::plan::{Action, Plan};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

pub use environment::{EnvironmentView, ResourceState, ResourceView};
pub use operation::OperationView;

use crate::ledger::Head;

/// A record that cannot be taken into the registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} does not fit: {why}")]
pub struct Misfit {
    /// The record.
    pub seq: u64,
    /// Why.
    pub why: String,
}

impl Misfit {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "run `exokit audit verify`; if the chain is whole, a newer version wrote the ledger"
    }
}

/// What was asked for on one day, as sums of hourly rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requested {
    /// By the requester and everyone with the same human behind them.
    pub by_requester: Decimal,
    /// By the requester's team; zero without a team.
    pub by_team: Decimal,
}

/// Everything that the ledger says about now.
#[derive(Debug, Clone)]
pub struct Registry {
    head: Head,
    environments: BTreeMap<EnvironmentName, EnvironmentView>,
    operations: BTreeMap<OperationId, OperationView>,
    by_digest: BTreeMap<Digest, OperationId>,
    by_day: BTreeMap<Date, Vec<OperationId>>,
    roster: Option<(u64, String)>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            head: Head::EMPTY,
            environments: BTreeMap::new(),
            operations: BTreeMap::new(),
            by_digest: BTreeMap::new(),
            by_day: BTreeMap::new(),
            roster: None,
        }
    }
}

impl Registry {
    /// The registry after `records`, which begin with the first of the ledger.
    ///
    /// # Errors
    /// The first record that does not fit.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Self, Misfit> {
        let mut registry = Self::default();
        for record in records {
            registry.apply(record)?;
        }
        Ok(registry)
    }

    /// Takes in the next record. One that was taken in before is passed over,
    /// so that several sources of records may overlap.
    ///
    /// # Errors
    /// When it is not the next one, or its event cannot follow. The registry
    /// is unchanged then.
    pub fn apply(&mut self, record: &Record) -> Result<(), Misfit> {
        let misfit = |why: String| Misfit { seq: record.seq, why };
        if record.seq <= self.head.seq {
            return Ok(());
        }
        if record.seq != self.head.seq + 1 || record.prev != self.head.hash {
            return Err(misfit(format!("it does not follow record {}", self.head.seq)));
        }
        self.take(&record.entry).map_err(misfit)?;
        self.head = Head::after(record);
        Ok(())
    }

    /// The last record taken in.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Every environment that was ever planned, by name.
    #[must_use]
    pub fn environments(&self) -> &BTreeMap<EnvironmentName, EnvironmentView> {
        &self.environments
    }

    /// One environment.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&EnvironmentView> {
        self.environments.get(name)
    }

    /// Every operation, by id.
    #[must_use]
    pub fn operations(&self) -> &BTreeMap<OperationId, OperationView> {
        &self.operations
    }

    /// One operation.
    #[must_use]
    pub fn operation(&self, id: &OperationId) -> Option<&OperationView> {
        self.operations.get(id)
    }

    /// The operation of the plan with this digest.
    #[must_use]
    pub fn operation_of(&self, digest: &Digest) -> Option<&OperationView> {
        self.operations.get(self.by_digest.get(digest)?)
    }

    /// Whether the plan has been executed, or is being executed.
    #[must_use]
    pub fn executed(&self, digest: &Digest) -> bool {
        self.operation_of(digest).is_some_and(|operation| operation.started_at.is_some())
    }

    /// Version and signed text of the newest roster.
    #[must_use]
    pub fn roster(&self) -> Option<(u64, &str)> {
        self.roster.as_ref().map(|(version, signed)| (*version, signed.as_str()))
    }

    /// What an environment consists of now: each resource that has an id and
    /// is not gone, with its node in the plan that made or found it.
    #[must_use]
    pub fn live(&self, name: &EnvironmentName) -> Vec<(&Node, &ResourceId)> {
        let Some(environment) = self.environments.get(name) else {
            return Vec::new();
        };
        let node = |key| {
            let plans = environment.operations.iter().rev();
            let mut plans = plans.filter_map(|id| self.operations.get(id));
            // The plan that made it says more than a later one.
            let made = self.operations.get(&environment.made_by);
            made.and_then(|operation| operation.plan.graph.node(key))
                .or_else(|| plans.find_map(|operation| operation.plan.graph.node(key)))
        };
        environment
            .resources
            .iter()
            .filter(|resource| resource.state != ResourceState::Gone)
            .filter_map(|resource| Some((node(&resource.key)?, resource.id.as_ref()?)))
            .collect()
    }

    /// What was asked for on the UTC day of `now`: the hourly rates of all
    /// plans but those rejected, so that a large request cannot be split.
    /// `principal` names the human behind a requester.
    #[must_use]
    pub fn requested_today(
        &self,
        requester: &PersonId,
        team: Option<&RoleName>,
        principal: &dyn Fn(&PersonId) -> PersonId,
        now: Timestamp,
    ) -> Requested {
        let human = principal(requester);
        let mut requested = Requested::default();
        for id in self.by_day.get(&day(now)).into_iter().flatten() {
            let Some(operation) = self.operations.get(id).filter(|o| !o.is_rejected()) else {
                continue;
            };
            let plan = &operation.plan;
            if principal(&plan.requester) == human {
                requested.by_requester = requested.by_requester.saturating_add(plan.cost.hourly);
            }
            if team.is_some() && plan.team.as_ref() == team {
                requested.by_team = requested.by_team.saturating_add(plan.cost.hourly);
            }
        }
        requested
    }

    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.event {
            Event::RosterInstalled { version, signed } => {
                if self.roster().is_some_and(|(newest, _)| *version < newest) {
                    return Err(format!("roster version {version} is older than the newest"));
                }
                self.roster = Some((*version, signed.clone()));
                Ok(())
            }
            Event::PlanProposed { digest, plan } => self.propose(entry, *digest, plan),
            Event::AccountBound { .. }
            | Event::ApprovalRefused { .. }
            | Event::DriftObserved { .. }
            | Event::ExpiryNoticed { .. } => Ok(()),
            _ => self.advance(entry),
        }
    }

    fn propose(&mut self, entry: &Entry, digest: Digest, bytes: &str) -> Result<(), String> {
        let plan = Plan::from_bytes(bytes.as_bytes()).map_err(|error| error.to_string())?;
        if Plan::digest_of(bytes.as_bytes()) != digest {
            return Err("the plan does not have the recorded digest".to_owned());
        }
        let operation = OperationView::new(plan, digest, entry);
        let id = operation.operation.clone();
        let other = |named: Option<bool>| named == Some(false);
        if other(entry.operation.as_ref().map(|named| *named == id))
            || other(entry.environment.as_ref().map(|named| *named == operation.plan.environment))
        {
            return Err("the plan is for another operation or environment".to_owned());
        }
        if self.operations.contains_key(&id) {
            return Err(format!("{} was proposed before", id.plan()));
        }
        self.show_plan(&operation, entry.at);
        self.by_digest.insert(digest, id.clone());
        self.by_day.entry(day(entry.at)).or_default().push(id.clone());
        self.operations.insert(id, operation);
        Ok(())
    }

    /// Lets a proposed plan appear in its environment.
    fn show_plan(&mut self, operation: &OperationView, at: Timestamp) {
        let name = &operation.plan.environment;
        let shown = self.environments.get_mut(name);
        match shown {
            Some(view) if operation.plan.action != Action::Provision || !view.is_replaceable() => {
                view.operations.push(operation.operation.clone());
            }
            _ => {
                let before = shown.map(|view| view.operations.clone()).unwrap_or_default();
                let view = EnvironmentView::planned(operation, before, at);
                self.environments.insert(name.clone(), view);
            }
        }
    }

    /// Events of an operation that was proposed before.
    fn advance(&mut self, entry: &Entry) -> Result<(), String> {
        let named = match &entry.event {
            Event::ApprovalRecorded { digest, .. }
            | Event::DenialRecorded { digest, .. }
            | Event::OperationStarted { digest } => self.by_digest.get(digest),
            _ => entry.operation.as_ref(),
        };
        let id = named.ok_or_else(|| format!("{} is about no plan", entry.event.name()))?;
        if entry.operation.as_ref().is_some_and(|other| other != id) {
            return Err("its digest belongs to another operation".to_owned());
        }
        let operation = self.operations.get_mut(id).ok_or_else(|| format!("{id} was never proposed"))?;
        operation.apply(entry)?;
        if let Some(view) = self.environments.get_mut(&operation.plan.environment) {
            view.apply(operation, entry);
        }
        Ok(())
    }
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}
