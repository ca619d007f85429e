//! The projection in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Bound;

use exokit_model::canonical::Digest;
use exokit_model::event::Record;
use exokit_model::ids::{EnvironmentName, OperationId, PersonId, RoleName, Zone};
use exokit_model::phase::Phase;
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::rows::{Fault, ReadyKey, RequestKey, Rows, take};
use super::{
    EnvironmentView, Environments, Holdings, Misfit, OperationSummary, Operations, Request, tokens_of,
};
use crate::ledger::Head;
use crate::plans::Plans;

/// Everything that the ledger says about now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    head: Head,
    maps: Maps,
}

/// Requester and team.
type Asker = (PersonId, Option<RoleName>);

/// The rows, and what they are found by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Maps {
    roster: u64,
    environments: BTreeMap<EnvironmentName, EnvironmentView>,
    operations: BTreeMap<OperationId, OperationSummary>,
    requested: BTreeMap<Date, BTreeMap<Asker, Decimal>>,
    ready_times: BTreeMap<ReadyKey, Vec<ReadyTime>>,
    marks: BTreeMap<String, BTreeSet<OperationId>>,
    by_digest: BTreeMap<String, OperationId>,
    by_id: BTreeMap<String, BTreeSet<EnvironmentName>>,
    open: BTreeSet<OperationId>,
    expiring: BTreeSet<(Timestamp, EnvironmentName)>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { head: Head::EMPTY, maps: Maps::default() }
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

    /// What records say that are not all of the ledger, but all about one
    /// environment.
    pub(super) fn of_part(plans: &Plans, records: &[Record]) -> Result<Self, Misfit> {
        let mut registry = Self::default();
        for record in records {
            registry.take(plans, record)?;
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
        self.apply_with(&Plans::default(), record)
    }

    /// As [`Registry::apply`], with plans that were read before.
    pub(crate) fn apply_with(&mut self, plans: &Plans, record: &Record) -> Result<(), Misfit> {
        if record.seq <= self.head.seq {
            return Ok(());
        }
        if record.seq != self.head.seq + 1 || record.prev != self.head.hash {
            let why = format!("it does not follow record {}", self.head.seq);
            return Err(Misfit { seq: record.seq, why });
        }
        self.take(plans, record)?;
        self.head = Head::after(record);
        Ok(())
    }

    fn take(&mut self, plans: &Plans, record: &Record) -> Result<(), Misfit> {
        match take(&mut self.maps, plans, &record.entry) {
            Ok(()) => Ok(()),
            Err(Fault::Misfit(why)) => Err(Misfit { seq: record.seq, why }),
            Err(Fault::Rows(never)) => match never {},
        }
    }

    /// A registry that stands at `head`, with rows that come from elsewhere.
    pub(crate) fn filled(head: Head, fill: impl FnOnce(&mut Maps)) -> Self {
        let mut registry = Self { head, maps: Maps::default() };
        fill(&mut registry.maps);
        registry
    }

    /// Each id of a resource that exists, with its environment.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&str, &EnvironmentName)> {
        self.maps.by_id.iter().flat_map(|(id, names)| names.iter().map(move |name| (id.as_str(), name)))
    }

    /// The last record taken in.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Every environment that was ever planned, by name.
    #[must_use]
    pub fn environments(&self) -> &BTreeMap<EnvironmentName, EnvironmentView> {
        &self.maps.environments
    }

    /// One environment.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&EnvironmentView> {
        self.maps.environments.get(name)
    }

    /// Every operation, by id.
    #[must_use]
    pub fn operations(&self) -> &BTreeMap<OperationId, OperationSummary> {
        &self.maps.operations
    }

    /// Version of the newest roster; 0 without one.
    #[must_use]
    pub fn roster(&self) -> u64 {
        self.maps.roster
    }

    /// The environments that are asked for, by name.
    #[must_use]
    pub fn find_environments(&self, which: &Environments) -> Vec<EnvironmentView> {
        let maps = &self.maps;
        match which {
            Environments::All => maps.environments.values().cloned().collect(),
            Environments::Present => {
                maps.environments.values().filter(|view| !view.is_over()).cloned().collect()
            }
            Environments::Page { after, all, most } => {
                let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let later = maps.environments.range::<EnvironmentName, _>((from, Bound::Unbounded));
                let shown = later.map(|(_, view)| view).filter(|view| *all || !view.is_over());
                shown.take(usize::try_from(*most).unwrap_or(usize::MAX)).cloned().collect()
            }
            Environments::Named(name) => maps.environments.get(name).cloned().into_iter().collect(),
            Environments::Expired(now) => {
                let names = maps.expiring.iter().take_while(|(at, _)| at <= now).map(|(_, name)| name);
                let names: BTreeSet<&EnvironmentName> = names.collect();
                names.into_iter().filter_map(|name| maps.environments.get(name)).cloned().collect()
            }
        }
    }

    /// The operations that are asked for, by id.
    #[must_use]
    pub fn find_operations(&self, which: &Operations) -> Vec<OperationSummary> {
        let maps = &self.maps;
        let open = || maps.open.iter().filter_map(|id| maps.operations.get(id));
        let active = |phase: &Phase| matches!(phase, Phase::Running | Phase::RollingBack { .. });
        match which {
            Operations::All => maps.operations.values().cloned().collect(),
            Operations::Named(id) => maps.operations.get(id).cloned().into_iter().collect(),
            Operations::Active => open().filter(|o| active(&o.phase)).cloned().collect(),
            Operations::Waiting(now) => open()
                .filter(|o| o.phase == Phase::AwaitingApproval && o.not_after >= *now)
                .cloned()
                .collect(),
            Operations::Open(name) => open().filter(|o| o.environment == *name).cloned().collect(),
            Operations::Digest(digits) => {
                let found = maps.by_digest.range(digits.clone()..);
                let ids = found.take_while(|(digest, _)| digest.starts_with(digits)).map(|(_, id)| id);
                let ids: BTreeSet<&OperationId> = ids.collect();
                ids.into_iter().filter_map(|id| maps.operations.get(id)).cloned().collect()
            }
        }
    }

    /// What was asked for on a UTC day.
    #[must_use]
    pub fn requested(&self, day: Date) -> Vec<Request> {
        let of_day = self.maps.requested.get(&day).into_iter().flatten();
        of_day
            .map(|((requester, team), hourly)| Request {
                requester: requester.clone(),
                team: team.clone(),
                hourly: *hourly,
            })
            .collect()
    }

    /// How long the newest resources of each kind in a zone took to become
    /// ready, by kind, the last one last.
    #[must_use]
    pub fn ready_times(&self, zone: &Zone) -> Vec<ReadyTime> {
        let of_zone = self.maps.ready_times.iter().filter(|((place, _), _)| place == zone);
        of_zone.flat_map(|(_, times)| times).cloned().collect()
    }

    /// What is known of resources with these ids and these marks.
    #[must_use]
    pub fn holdings(&self, ids: &[String], marks: &[String]) -> Holdings {
        let maps = &self.maps;
        let live = ids.iter().filter(|id| maps.by_id.contains_key(*id)).cloned().collect();
        let mut known = BTreeMap::new();
        for mark in marks {
            let (from, to) = tokens_of(mark);
            for operation in maps.marks.range(from..to).flat_map(|(_, operations)| operations) {
                let own = maps.operations.get(operation).filter(|_| maps.open.contains(operation));
                *known.entry(mark.clone()).or_default() |=
                    own.is_some_and(|own| own.phase != Phase::AwaitingApproval);
            }
        }
        Holdings { live, marks: known }
    }
}

impl Rows for Maps {
    type Error = Infallible;

    fn roster(&mut self) -> Result<u64, Infallible> {
        Ok(self.roster)
    }

    fn operation(&mut self, id: &OperationId) -> Result<Option<OperationSummary>, Infallible> {
        Ok(self.operations.get(id).cloned())
    }

    fn operation_of(&mut self, digest: &Digest) -> Result<Option<OperationId>, Infallible> {
        Ok(self.by_digest.get(&digest.to_string()).cloned())
    }

    fn environment(&mut self, name: &EnvironmentName) -> Result<Option<EnvironmentView>, Infallible> {
        Ok(self.environments.get(name).cloned())
    }

    fn requested(&mut self, (day, asker): &RequestKey) -> Result<Decimal, Infallible> {
        let sum = self.requested.get(day).and_then(|sums| sums.get(asker));
        Ok(sum.copied().unwrap_or_default())
    }

    fn ready_times(&mut self, key: &ReadyKey) -> Result<Vec<ReadyTime>, Infallible> {
        Ok(self.ready_times.get(key).cloned().unwrap_or_default())
    }

    fn put_roster(&mut self, version: u64) {
        self.roster = version;
    }

    fn put_operation(&mut self, operation: OperationSummary) {
        let id = operation.operation.clone();
        match operation.phase.is_terminal() {
            true => self.open.remove(&id),
            false => self.open.insert(id.clone()),
        };
        self.by_digest.insert(operation.digest.to_string(), id.clone());
        self.operations.insert(id, operation);
    }

    fn put_environment(&mut self, environment: EnvironmentView) {
        let name = environment.environment.clone();
        if let Some(before) = self.environments.remove(&name) {
            self.forget(&before);
        }
        for id in environment.live_ids() {
            self.by_id.entry(id.to_string()).or_default().insert(name.clone());
        }
        if let (Some(at), false) = (environment.expires_at, environment.is_over()) {
            self.expiring.insert((at, name.clone()));
        }
        self.environments.insert(name, environment);
    }

    fn put_requested(&mut self, (day, asker): RequestKey, hourly: Decimal) {
        let mut sums = self.requested.remove(&day).unwrap_or_default();
        match hourly.is_zero() {
            true => sums.remove(&asker),
            false => sums.insert(asker, hourly),
        };
        if !sums.is_empty() {
            self.requested.insert(day, sums);
        }
    }

    fn put_ready_times(&mut self, key: ReadyKey, times: Vec<ReadyTime>) {
        self.ready_times.insert(key, times);
    }

    fn put_mark(&mut self, token: &str, operation: &OperationId) {
        self.marks.entry(token.to_owned()).or_default().insert(operation.clone());
    }
}

impl Maps {
    /// Takes an environment out of what environments are found by.
    fn forget(&mut self, before: &EnvironmentView) {
        let name = &before.environment;
        for id in before.live_ids() {
            if let Some(names) = self.by_id.get_mut(id.as_str()) {
                names.remove(name);
                if names.is_empty() {
                    self.by_id.remove(id.as_str());
                }
            }
        }
        if let Some(at) = before.expires_at {
            self.expiring.remove(&(at, name.clone()));
        }
    }
}
