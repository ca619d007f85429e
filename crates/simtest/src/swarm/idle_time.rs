//! The idle time between provision and teardown: interventions, drift checks,
//! expiry, restored backups; and the sweep at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use exokit_approval::roster::change_policy;
use exokit_engine::sweep::Verdict;
use exokit_ledger::{Condition, Filter, Ledger as _, MemoryLedger};
use exokit_model::cost::{ApprovalLevel, CostPolicy};
use exokit_model::event::{Event, Record};
use exokit_model::ids::OperationId;
use exokit_model::plan::Plan;
use exokit_sim::{Effect, Kind, LiveResource, World};
use rust_decimal::Decimal;

use super::effect::State;
use super::interventions::Interventions;
use super::schedule::{BadRequest, Stage, What};
use super::simulation::{Simulation, passes};
use crate::rig::{Outfit, person, request};

impl Simulation {
    /// Ten minutes at rest, then whatever the schedule wants to be tried.
    pub(super) async fn rest(&mut self, provision: &OperationId) {
        self.read_ledger();
        let interventions = Interventions::of(self, Stage::Rest);
        let wait = tokio::time::sleep(Duration::from_secs(600));
        tokio::select! {
            biased;
            () = wait => {}
            () = interventions.perform(self, Some(provision)) => {}
        }
        interventions.end(self);
        self.look_for_drift().await;
        for item in self.schedule.items.clone() {
            match item.what {
                What::Backup => self.look_at_backup().await,
                What::Flip { pick } => self.flip(pick),
                What::Ask(BadRequest::Structuring) => self.structure().await,
                What::Outlive => self.outlive().await,
                _ => {}
            }
        }
    }

    /// What a human deleted must be reported, and nothing be changed by it.
    async fn look_for_drift(&self) {
        // What arrives late from a client that died is not of the check.
        let changes = |world: &World| {
            let journal = world.journal().iter();
            journal.filter(|entry| entry.delivered && entry.effect != Effect::None).count()
        };
        let before = self.rig.cloud(changes);
        let drift = self.engine().drift(&self.environment()).await;
        let after = self.rig.cloud(changes);
        if before != after {
            self.wrong("I27 a drift check changed something".to_owned());
        }
        let Ok(drift) = drift else { return };
        let live: BTreeSet<String> = self.rig.cloud(World::live).into_iter().map(|live| live.id).collect();
        let gone = self.witness.lock().tracker.ready().filter(|id| !live.contains(*id)).count();
        let reported = drift.differences.iter().filter(|difference| difference.field == "presence").count();
        if reported < gone {
            self.wrong(format!("I27 {gone} resources are gone, drift reports {reported}"));
        }
    }

    /// An older copy of the ledger that knows of no operation: everything that
    /// was made must be found by its mark.
    async fn look_at_backup(&mut self) {
        let records = self.records();
        let started = records.iter().position(|record| record.entry.event.name() == "operation-started");
        let older: Vec<Record> = records[..started.unwrap_or_default()].to_vec();
        let ledger = MemoryLedger::default();
        let entries = older.into_iter().map(|record| record.entry).collect();
        if ledger.append(&Condition::default(), entries).await.is_err() {
            return;
        }
        let engine = self.rig.engine_with(Outfit {
            ledger: Arc::new(ledger),
            clock: Arc::new(self.rig.clock()),
            transport: self.transport(),
        });
        tokio::time::sleep(Duration::from_secs(300)).await;
        let Ok(found) = engine.orphans(&crate::rig::request(1).spec.zone).await else { return };
        let found: BTreeSet<String> = found
            .into_iter()
            .filter(|orphan| orphan.verdict == Verdict::Orphan)
            .map(|orphan| orphan.id)
            .collect();
        let live = self.marked();
        let missed: Vec<&LiveResource> = live.iter().filter(|live| !found.contains(&live.id)).collect();
        match missed.first() {
            None if !live.is_empty() => {
                self.witness.note("restored backup: left over found by the sweep");
            }
            None => {}
            Some(one) => {
                self.wrong(format!("I2 with an older ledger the sweep does not find {} {}", one.kind, one.id))
            }
        }
    }

    /// What exists and still carries the mark that it was made with.
    fn marked(&self) -> Vec<LiveResource> {
        let truth = self.truth.borrow();
        let live = self.rig.cloud(World::live);
        let marked = |live: &LiveResource| {
            !truth.foreign.contains(&live.id)
                && !truth.touched.contains(&live.id)
                && (live.labels.contains_key("exokit-token") || live.description.starts_with("exokit "))
                // What is inside a cluster goes with it, and is in no list of the cloud.
                && live.kind != Kind::KubernetesObject
                && live.kind != Kind::Instance
                && live.kind != Kind::InstancePool
        };
        live.into_iter().filter(marked).collect()
    }

    /// A bit of a record is flipped: reading it back must fail, or the chain.
    fn flip(&self, pick: u32) {
        let mut records = self.records();
        let at = pick as usize % records.len().max(1);
        let Some(record) = records.get(at).cloned() else { return };
        let Ok(mut bytes) = serde_json::to_vec(&record) else { return };
        let place = (pick as usize / 7) % bytes.len();
        bytes[place] ^= 1 << (pick % 7);
        match serde_json::from_slice::<Record>(&bytes) {
            Err(_) => self.witness.note("flipped bit in a record noticed"),
            Ok(changed) if changed == record => {}
            Ok(changed) => {
                records[at] = changed;
                match exokit_ledger::verify::verify(&records) {
                    Err(_) => self.witness.note("flipped bit in a record noticed"),
                    Ok(_) => self.wrong(format!("I21 a flipped bit in record {} is not noticed", record.seq)),
                }
            }
        }
    }

    /// Many small requests in place of a large one: together they exceed the
    /// cap of the day, and the last must need the highest level.
    async fn structure(&self) {
        let Some(roster) = self.truth.borrow().roster.clone() else { return };
        let small = |name: &str| {
            let mut small = request(1);
            small.spec.environment = name.parse().unwrap_or(small.spec.environment);
            small
        };
        let engine = self.engine();
        let Ok(first) = engine.plan_provision(small("small-1"), None).await else { return };
        let cap = first.cost.hourly * Decimal::new(15, 1);
        let asked = self.hourly_asked().await;
        let policy = CostPolicy { requester_daily_max: Some(asked + cap), ..roster.policy.clone() };
        let Ok(next) = change_policy(&roster, policy, self.rig.now()) else { return };
        if !self.install(next).await || engine.propose(&first, None).await.is_err() {
            return;
        }
        match engine.plan_provision(small("small-2"), None).await {
            Ok(second) if second.level == ApprovalLevel::Three && first.level < ApprovalLevel::Three => {
                self.witness.note_in("structuring raised the level", State::Asking);
            }
            Ok(second) if second.level < ApprovalLevel::Three => {
                self.wrong(format!("I16 the second of two small requests has level {}", second.level));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// The sum of the hourly rates that `dana` has asked for today.
    async fn hourly_asked(&self) -> Decimal {
        let day = self.rig.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let Ok(records) = self.rig.ledger.read(Filter::Requests(day), 0).await else { return Decimal::ZERO };
        let mut asked: BTreeMap<Option<OperationId>, Decimal> = BTreeMap::new();
        for record in records {
            match &record.entry.event {
                Event::PlanProposed { plan, .. } => {
                    let Ok(plan) = Plan::from_bytes(plan.as_bytes()) else { continue };
                    if person_of(&plan.requester) == person("dana") {
                        asked.insert(record.entry.operation, plan.cost.hourly);
                    }
                }
                _ => drop(asked.remove(&record.entry.operation)),
            }
        }
        asked.values().sum()
    }

    /// The environment outlives its time: two processes notice, one asks.
    async fn outlive(&self) {
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
        let (one, two) = (self.engine(), self.engine());
        let (first, second) = tokio::join!(one.expire(), two.expire());
        let again = self.engine().expire().await;
        let asked = [first, second, again].into_iter().filter_map(|asked| match asked {
            Ok(plans) => Some(plans.len()),
            Err(error) if passes(&error) => Some(0),
            Err(error) => {
                self.wrong(format!("I12 expiry: {error:?}"));
                None
            }
        });
        match asked.sum::<usize>() {
            0 => {}
            1 => self.witness.note_in("expiry asked once", State::Resting),
            more => self.wrong(format!("I12 expiry asked {more} times")),
        }
    }

    /// The look over everything at the end: what is ours must be gone, and a
    /// sweep must say so.
    pub(super) async fn sweep(&self) {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        match self.engine().orphans(&request(1).spec.zone).await {
            Ok(found) => {
                let own = found.iter().filter(|orphan| {
                    orphan.verdict != Verdict::ForeignMark
                        && !self.truth.borrow().foreign.contains(&orphan.id)
                });
                for orphan in own {
                    self.wrong(format!("I2 the sweep finds {} {} {}", orphan.kind, orphan.id, orphan.name));
                }
            }
            Err(error) => self.wrong(format!("I8 the sweep ends with {error:?}")),
        }
    }
}

fn person_of(person: &exokit_model::ids::PersonId) -> exokit_model::ids::PersonId {
    match person.as_str() {
        "dana-agent" => crate::rig::person("dana"),
        _ => person.clone(),
    }
}
