//! The judge of a run. It reads the cloud's journal, the durable ledger, the
//! log of what was acknowledged and sent, and what the schedule made true;
//! never an engine's memory. Each finding begins with the number of the
//! invariant that it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use exokit_model::canonical::Digest;
use exokit_model::event::{Event, Record};
use exokit_model::ids::{NodeKey, OperationId, PersonId};
use exokit_model::kind::Kind;
use exokit_model::plan::{Action, Plan};
use exokit_sim::{Effect, JournalEntry, LiveResource, World};

use super::simulation::{Simulation, Truth};
use super::witness::{Inner, Sent, arrived_digest};
use crate::oracle;

/// Everything that is looked at.
struct Case<'a> {
    records: Vec<Record>,
    plans: BTreeMap<OperationId, Plan>,
    journal: Vec<Arc<JournalEntry>>,
    live: Vec<LiveResource>,
    witness: &'a Inner,
    truth: &'a Truth,
    keys: Vec<(PersonId, [u8; 32])>,
}

/// What is wrong, one line each.
pub(super) fn judge(simulation: &Simulation) -> Vec<String> {
    let (journal, live) = simulation.rig.cloud(|world: &World| (world.journal().to_vec(), world.live()));
    let records = simulation.records();
    let truth = simulation.truth.borrow();
    let witness = simulation.witness.lock();
    let case = Case {
        plans: oracle::plans(&records),
        live: live.into_iter().filter(|live| !is_others(live, &truth)).collect(),
        keys: simulation.rig.public_keys(),
        records,
        journal,
        witness: &witness,
        truth: &truth,
    };
    let mut wrong = truth.wrong.clone();
    wrong.extend(case.cloud_equals_registry());
    wrong.extend(case.changes_were_intended());
    wrong.extend(case.nothing_foreign_was_changed());
    wrong.extend(case.data_was_listed());
    wrong.extend(case.acknowledged_is_durable());
    wrong.extend(case.votes_were_good());
    wrong.extend(case.nothing_began_after_the_end());
    wrong.extend(case.epochs_grow());
    wrong.extend(case.every_prefix_folds());
    wrong.extend(case.attempts_are_few());
    wrong.extend(case.keys_have_their_secrets());
    wrong.extend(case.rolled_back_is_empty());
    wrong.extend(case.rejected_did_nothing());
    wrong.extend(case.calls_are_within_the_budget(simulation.rig.budget_per_second));
    wrong.extend(case.no_secret_is_in_the_ledger());
    wrong
}

/// Whether a resource belongs to somebody else.
fn is_others(live: &LiveResource, truth: &Truth) -> bool {
    let planted = truth.planted.iter().any(|(_, id)| *id == live.id || live.parent.as_ref() == Some(id));
    planted
        || truth.foreign.contains(&live.id)
        || live.parent.as_ref().is_some_and(|id| truth.foreign.contains(id))
}

impl Case<'_> {
    fn operation_of<'r>(&self, record: &'r Record) -> Option<(&'r OperationId, &Plan)> {
        let operation = record.entry.operation.as_ref()?;
        Some((operation, self.plans.get(operation)?))
    }

    /// Invariants 2 and 3.
    fn cloud_equals_registry(&self) -> Vec<String> {
        let mut wrong: Vec<String> = oracle::registry_equals_cloud(&self.records, &self.plans, &self.live)
            .into_iter()
            .map(|line| format!("I2 {line}"))
            .collect();
        wrong.extend(oracle::no_duplicates(&self.live).into_iter().map(|line| format!("I3 {line}")));
        wrong
    }

    /// Invariants 1, 4, 18 and 20: every change that took effect was sent
    /// after its intent was acknowledged as durable, is byte for byte what the
    /// intent names, was executed before the signature expired, and was signed
    /// for no longer than the lease.
    fn changes_were_intended(&self) -> Vec<String> {
        let intents = self.intents();
        let mut wrong = Vec::new();
        for entry in self.journal.iter().filter(|entry| entry.effect != Effect::None) {
            let place = format!("{} {} at {}", entry.method, entry.path, entry.at_ms);
            if !entry.path.starts_with("/v2/") && !entry.in_cluster {
                match self.is_our_bucket(entry) {
                    false => wrong.push(format!("I1 unplanned: {place}")),
                    true => wrong.extend(self.check_storage(entry, &place)),
                }
                continue;
            }
            let digest = arrived_digest(entry);
            let sent = self.sent_before(digest, entry);
            // The certificate for a cluster ends with the lease, see `check_times`.
            if !self.truth.clock_was_wrong && !entry.in_cluster && is_signed_long(&sent, entry) {
                wrong.push(format!("I18 signed for more than 30 s: {place}"));
            }
            let acknowledged = sent.iter().map(|sent| sent.acknowledged).max().unwrap_or_default();
            let intended = oracle::intended_digest(&self.plans, entry);
            let intents = intents.get(&intended).map(Vec::as_slice).unwrap_or_default();
            match intent_of(intents, acknowledged, entry) {
                None => wrong.push(format!("I4 unintended: {place}")),
                Some(intent) => wrong.extend(check_times(intent, entry, &place)),
            }
            if matches!(entry.effect, Effect::Created { .. }) && !oracle::body_is_planned(&self.plans, entry)
            {
                wrong.push(format!("I1 unplanned: {place} has a body that no plan holds"));
            }
        }
        wrong
    }

    /// The sendings of a request until it arrived.
    fn sent_before(&self, digest: Digest, entry: &JournalEntry) -> Vec<&Sent> {
        let sent = self.witness.sent.iter();
        sent.filter(|sent| sent.digest == digest && sent.at_ms <= entry.at_ms).collect()
    }

    /// Acknowledged intents by the request that they name, in the order of the
    /// ledger.
    fn intents(&self) -> BTreeMap<Digest, Vec<Intent>> {
        let by_seq: BTreeMap<u64, &Record> = self.records.iter().map(|record| (record.seq, record)).collect();
        let mut intents: BTreeMap<Digest, Vec<Intent>> = BTreeMap::new();
        for (at, acknowledged) in self.witness.acknowledged.iter().enumerate() {
            let Some(record) = by_seq.get(&acknowledged.seq) else { continue };
            let (request, expires) = match &record.entry.event {
                Event::CreateIntended { request, expires_at, .. }
                | Event::DeleteIntended { request, expires_at, .. } => (*request, *expires_at),
                _ => continue,
            };
            intents.entry(request).or_default().push(Intent {
                seq: acknowledged.seq,
                at,
                expires_ms: expires.as_millisecond(),
                lease_until_ms: acknowledged.lease_until_ms,
            });
        }
        intents.values_mut().for_each(|intents| intents.sort_by_key(|intent| intent.seq));
        intents
    }

    fn is_our_bucket(&self, entry: &JournalEntry) -> bool {
        let name = oracle::bucket(entry);
        self.plans.values().flat_map(|plan| plan.graph.nodes()).any(|node| node.name == name)
    }

    /// One intent covers as many requests to object storage as emptying a bucket
    /// takes; none of them is signed for longer than it.
    fn check_storage(&self, entry: &JournalEntry, place: &str) -> Option<String> {
        let signed_until = entry.request_expires_ms.unwrap_or(i64::MAX);
        let intended = self.records.iter().any(|record| match &record.entry.event {
            Event::CreateIntended { node, expires_at, .. }
            | Event::DeleteIntended { node, expires_at, .. } => {
                let node = self.operation_of(record).and_then(|(_, plan)| plan.graph.node(node));
                node.is_some_and(|node| node.name == oracle::bucket(entry))
                    && (self.truth.clock_was_wrong || record.entry.at.as_millisecond() <= entry.at_ms)
                    && signed_until <= expires_at.as_millisecond()
            }
            _ => false,
        });
        (!intended).then(|| format!("I4 signed for longer than intended: {place}"))
    }

    /// Invariant 5: what was changed or deleted was made by a create of ours,
    /// or stands in an approved teardown.
    fn nothing_foreign_was_changed(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for entry in &self.journal {
            if let Effect::Updated { id, .. } | Effect::Deleted { id, .. } = &entry.effect
                && self.truth.foreign.contains(id)
            {
                wrong.push(format!("I5 foreign: {} {} at {}", entry.method, entry.path, entry.at_ms));
            }
        }
        wrong
    }

    /// Invariant 6: what holds data is deleted only by a teardown that lists
    /// it, or by the operation that made it.
    fn data_was_listed(&self) -> Vec<String> {
        let mut made: BTreeSet<(&OperationId, String)> = BTreeSet::new();
        let mut wrong = Vec::new();
        for record in &self.records {
            let Some((operation, plan)) = self.operation_of(record) else { continue };
            match &record.entry.event {
                Event::CreateAccepted { id: Some(id), .. }
                | Event::CreateAdopted { id, .. }
                | Event::ResourceReady { id, .. }
                | Event::ResourceFailed { id: Some(id), .. } => {
                    made.insert((operation, id.to_string()));
                }
                Event::DeleteIntended { node, id, .. } => {
                    let holds_data = plan.graph.node(node).is_some_and(|node| node.kind.holds_data());
                    let listed = plan.destroys.iter().any(|destroy| destroy.id == *id);
                    if holds_data && !listed && !made.contains(&(operation, id.to_string())) {
                        wrong.push(format!("I6 unlisted data: {node} {id}"));
                    }
                }
                _ => {}
            }
        }
        wrong
    }

    /// Invariants 7 and 22: what was acknowledged is there at the end.
    fn acknowledged_is_durable(&self) -> Vec<String> {
        let kept: BTreeMap<u64, Digest> =
            self.records.iter().map(|record| (record.seq, record.hash)).collect();
        let lost = self.witness.acknowledged.iter().filter(|own| kept.get(&own.seq) != Some(&own.hash));
        let mut wrong: Vec<String> =
            lost.map(|own| format!("I7 acknowledged and lost: record {}", own.seq)).collect();
        let tokens: BTreeSet<&String> = self.records.iter().filter_map(token_of).collect();
        let missing = self.truth.counted.iter().filter(|token| !tokens.contains(token)).count();
        if missing > 0 {
            wrong.push(format!("I7 {missing} votes were counted and are not in the ledger"));
        }
        let plans = self.records.iter().filter_map(|record| match &record.entry.event {
            Event::PlanProposed { digest, .. } => Some(*digest),
            _ => None,
        });
        let plans: BTreeSet<Digest> = plans.collect();
        if !self.truth.proposed.is_subset(&plans) {
            wrong.push("I7 a plan was recorded and is not in the ledger".to_owned());
        }
        wrong
    }

    /// Invariants 13 and 14: only good votes are recorded, their signatures
    /// verify, and an operation begins with those of as many distinct people,
    /// none of them the requester, as the level demands.
    fn votes_were_good(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut voters: BTreeMap<&OperationId, BTreeSet<&PersonId>> = BTreeMap::new();
        for record in &self.records {
            let Some((operation, plan)) = self.operation_of(record) else { continue };
            match &record.entry.event {
                Event::ApprovalRecorded { person, token, .. } => {
                    if !self.truth.good_votes.contains(token) || !self.verifies(person, token) {
                        wrong.push(format!("I14 a bad vote of {person} was recorded for {operation}"));
                    }
                    if *person != plan.requester {
                        voters.entry(operation).or_default().insert(person);
                    }
                }
                Event::OperationStarted { .. } => {
                    let have = voters.get(operation).map_or(0, BTreeSet::len);
                    let need = plan.level.persons();
                    if have < need {
                        wrong.push(format!("I13 {operation} began with {have} of {need} votes"));
                    }
                }
                _ => {}
            }
        }
        wrong
    }

    /// Whether a token is signed by a key of a person, by a check of its own.
    fn verifies(&self, person: &PersonId, token: &str) -> bool {
        let Some((signed, signature)) = token.rsplit_once('.') else { return false };
        let Ok(signature) = BASE64URL_NOPAD.decode(signature.as_bytes()) else { return false };
        let Ok(signature) = Signature::from_slice(&signature) else { return false };
        self.keys.iter().filter(|(owner, _)| owner == person).any(|(_, key)| {
            VerifyingKey::from_bytes(key)
                .is_ok_and(|key| key.verify_strict(signed.as_bytes(), &signature).is_ok())
        })
    }

    /// Invariant 15: no new creation is intended after a denial, and none
    /// after the operation began to roll back.
    fn nothing_began_after_the_end(&self) -> Vec<String> {
        let mut ended: BTreeSet<&OperationId> = BTreeSet::new();
        let mut wrong = Vec::new();
        for record in &self.records {
            let Some((operation, _)) = self.operation_of(record) else { continue };
            match &record.entry.event {
                Event::DenialRecorded { .. } | Event::RollbackStarted { .. } => {
                    ended.insert(operation);
                }
                Event::CreateIntended { node, .. } if ended.contains(operation) => {
                    wrong.push(format!("I15 {node} of {operation} was asked for after the end"));
                }
                _ => {}
            }
        }
        wrong
    }

    /// Invariant 18: nothing is written under an older epoch than before.
    fn epochs_grow(&self) -> Vec<String> {
        let mut newest: BTreeMap<&OperationId, u64> = BTreeMap::new();
        let mut wrong = Vec::new();
        for record in self.records.iter().filter(|record| record.entry.epoch > 0) {
            let Some((operation, _)) = self.operation_of(record) else { continue };
            let newest = newest.entry(operation).or_default();
            if record.entry.epoch < *newest {
                wrong.push(format!(
                    "I18 record {} is of epoch {}, after {newest}",
                    record.seq, record.entry.epoch
                ));
            }
            *newest = record.entry.epoch.max(*newest);
        }
        wrong
    }

    /// Invariants 19 and 20: the chain is whole, each prefix of it can be
    /// folded, and no engine tried to write what cannot be.
    fn every_prefix_folds(&self) -> Vec<String> {
        let mut wrong: Vec<String> =
            oracle::chain_is_whole(&self.records).into_iter().map(|line| format!("I20 {line}")).collect();
        wrong.extend(self.witness.illegal_records.iter().map(|illegal| format!("I19 refused: {illegal}")));
        let mut registry = exokit_ledger::Registry::default();
        for record in &self.records {
            if let Err(illegal) = registry.apply(record) {
                wrong.push(format!("I19 {illegal}"));
                break;
            }
        }
        wrong
    }

    /// Invariant 25: no step is tried for ever.
    fn attempts_are_few(&self) -> Vec<String> {
        let mut attempts: BTreeMap<(OperationId, NodeKey), u32> = BTreeMap::new();
        for record in &self.records {
            if let (Some(operation), Event::CreateIntended { node, .. }) =
                (&record.entry.operation, &record.entry.event)
            {
                *attempts.entry((operation.clone(), node.clone())).or_default() += 1;
            }
        }
        let over = attempts.into_iter().filter(|(_, count)| *count > ATTEMPTS_MAX);
        over.map(|((_, node), count)| format!("I25 {node} was asked for {count} times")).collect()
    }

    /// A key that was found and not made has lost its secret, and is useless.
    fn keys_have_their_secrets(&self) -> Vec<String> {
        let adopted = self.records.iter().filter_map(|record| match &record.entry.event {
            Event::CreateAdopted { node, .. } => Some((self.operation_of(record)?.1.graph.node(node)?, node)),
            _ => None,
        });
        adopted
            .filter(|(node, _)| node.kind == Kind::ApiKey)
            .map(|(_, key)| format!("F26 {key} was adopted without its secret"))
            .collect()
    }

    /// Invariant 10: what was rolled back has left nothing.
    fn rolled_back_is_empty(&self) -> Vec<String> {
        let rolled_back =
            self.records.iter().filter(|record| matches!(record.entry.event, Event::OperationRolledBack));
        let mut wrong = Vec::new();
        for (operation, plan) in rolled_back.filter_map(|record| self.operation_of(record)) {
            if plan.action != Action::Provision {
                continue;
            }
            let tokens: BTreeSet<&str> = plan
                .graph
                .nodes()
                .iter()
                .filter_map(|node| node.token.as_ref())
                .map(|token| token.as_str())
                .collect();
            let left = self.live.iter().filter(|live| {
                live.labels.get("exokit-token").is_some_and(|token| tokens.contains(token.as_str()))
            });
            wrong.extend(left.map(|live| format!("I10 {operation} left {} {}", live.kind, live.id)));
        }
        wrong
    }

    /// Invariant 30: what never began sent nothing.
    fn rejected_did_nothing(&self) -> Vec<String> {
        let started: BTreeSet<&OperationId> = self
            .records
            .iter()
            .filter(|record| matches!(record.entry.event, Event::OperationStarted { .. }))
            .filter_map(|record| record.entry.operation.as_ref())
            .collect();
        let acted = self.records.iter().filter(|record| record.entry.event.node().is_some());
        acted
            .filter_map(|record| record.entry.operation.as_ref())
            .filter(|operation| !started.contains(operation))
            .map(|operation| format!("I30 {operation} acted and never began"))
            .collect()
    }

    /// Invariant 25: in no second does a process make more calls than its
    /// budget allows.
    fn calls_are_within_the_budget(&self, per_second: u32) -> Vec<String> {
        // A burst of a second's worth, and another second's worth.
        let most = per_second as usize * 2;
        let over = self.witness.calls.iter().filter_map(|(process, calls)| {
            let window = calls.windows(most + 1).find(|window| window[most] - window[0] < 1000)?;
            Some(format!(
                "I25 process {process} made more than {most} calls in the second from {}",
                window[0]
            ))
        });
        over.collect()
    }

    /// Invariant 23.
    fn no_secret_is_in_the_ledger(&self) -> Vec<String> {
        let text = match serde_json::to_string(&self.records) {
            Ok(text) => text,
            Err(error) => return vec![format!("I23 the ledger cannot be searched: {error}")],
        };
        let keys = PRIVATE_KEY.iter().map(|text| (*text).to_owned());
        let secrets = self.witness.secrets.iter().cloned().chain(keys);
        let found = secrets.filter(|secret| text.contains(secret)).count();
        (found > 0).then(|| format!("I23 {found} secrets are in the ledger")).into_iter().collect()
    }
}

/// How a private key begins in PEM, and in base64 of PEM as a kubeconfig has it.
const PRIVATE_KEY: [&str; 2] = ["PRIVATE KEY-----", "LS0tLS1CRUdJTiBQUklWQVRF"];

/// Longest time for which a change is signed. The signature counts in whole
/// seconds.
const SIGNATURE_MS: i64 = 30_000;

/// Most creates of one node: three attempts with an effect and twelve refusals,
/// as much again each time that a human let it go on, and room for attempts
/// that were broken off.
const ATTEMPTS_MAX: u32 = 15 * 7;

/// An acknowledged intent.
struct Intent {
    seq: u64,
    /// Its position among what was acknowledged. A writer that is paused learns
    /// late that its record is durable, so this order is not that of the ledger.
    at: usize,
    expires_ms: i64,
    lease_until_ms: Option<i64>,
}

/// The intent under which a request was signed, of those among the first
/// `acknowledged` acknowledgements: the newest whose expiry is that of the
/// signature, or else the newest of all. Several processes may intend the same
/// request, and it may arrive after a later sending of it.
fn intent_of<'i>(intents: &'i [Intent], acknowledged: usize, entry: &JournalEntry) -> Option<&'i Intent> {
    let signed_until = entry.request_expires_ms.unwrap_or(i64::MAX);
    let fits = |intent: &&Intent| (0..1000).contains(&intent.expires_ms.saturating_sub(signed_until));
    let intended = || intents.iter().rev().filter(|intent| intent.at < acknowledged);
    intended().find(fits).or_else(|| intended().next())
}

/// Whether no sending of a request is within 30 s of the end of the signature
/// with which it arrived.
fn is_signed_long(sent: &[&Sent], entry: &JournalEntry) -> bool {
    let Some(expires) = entry.request_expires_ms else { return true };
    sent.iter().map(|sent| expires - sent.at_ms).min().is_none_or(|shortest| shortest > SIGNATURE_MS)
}

fn check_times(intent: &Intent, entry: &JournalEntry, place: &str) -> Option<String> {
    let signed_until = entry.request_expires_ms.unwrap_or(i64::MAX);
    if signed_until > intent.expires_ms {
        return Some(format!("I4 signed for longer than intended: {place}"));
    }
    match intent.lease_until_ms {
        Some(until) if signed_until > until => Some(format!("I18 signed beyond the lease: {place}")),
        _ => None,
    }
}

fn token_of(record: &Record) -> Option<&String> {
    match &record.entry.event {
        Event::ApprovalRecorded { token, .. } => Some(token),
        _ => None,
    }
}
