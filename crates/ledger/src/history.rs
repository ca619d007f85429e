//! The story of what happened, in sentences.

use std::collections::BTreeMap;

use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::event::{Difference, Entry, Event, Record};
use exokit_model::ids::{NodeKey, OperationId};
use exokit_model::plan::{Action, Plan};
use exokit_model::text::{Escaped, ForeignText};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, by the clock of the engine that wrote it.
    pub at: Timestamp,
    /// What, as one sentence.
    pub text: String,
}

/// Tells records as a story, one sentence for each; a removal that the cloud
/// refuses again and again for the same reason is told once. The records may be those
/// of the whole ledger, of one environment or of one operation; what a
/// sentence would need from records that are missing is left out.
#[must_use]
pub fn history(records: &[Record]) -> Vec<Line> {
    let mut teller = Teller::default();
    let told = records.iter().filter(|record| !teller.is_repetition(&record.entry));
    let told: Vec<&Record> = told.collect();
    told.into_iter().map(|record| Line { at: record.entry.at, text: teller.tell(record) }).collect()
}

/// What has to be remembered to tell the next record.
#[derive(Default)]
struct Teller {
    plans: BTreeMap<OperationId, Plan>,
    /// When the making or removing of a node began.
    began: BTreeMap<(Option<OperationId>, NodeKey, bool), Timestamp>,
    started: BTreeMap<Option<OperationId>, Timestamp>,
    /// The last reason for which the cloud did not remove a node.
    refused: BTreeMap<(Option<OperationId>, NodeKey), ForeignText>,
}

impl Teller {
    /// Whether an entry only says again that a removal was asked for and
    /// refused.
    fn is_repetition(&mut self, entry: &Entry) -> bool {
        let Some(node) = entry.event.node() else { return false };
        let place = (entry.operation.clone(), node.clone());
        match &entry.event {
            Event::DeleteIntended { .. } => self.refused.contains_key(&place),
            Event::DeleteRefused { message, .. } => {
                self.refused.insert(place, message.clone()).as_ref() == Some(message)
            }
            _ => {
                self.refused.remove(&place);
                false
            }
        }
    }

    fn tell(&mut self, record: &Record) -> String {
        let operation = &record.entry.operation;
        let at = record.entry.at;
        let what = self.what(operation);
        match &record.entry.event {
            Event::RosterInstalled { version, .. } => {
                format!("Version {version} of the roster came into force.")
            }
            Event::AccountBound { organization } => {
                format!("The ledger is about organisation {organization} from now on.")
            }
            Event::PlanProposed { digest, plan, .. } => match Plan::from_bytes(plan.as_bytes()) {
                Ok(plan) => {
                    let text = proposal(&plan, &digest.short());
                    self.plans.insert(plan.plan_id.operation(), plan);
                    text
                }
                Err(error) => format!("A plan was made that cannot be read: {error}."),
            },
            Event::ApprovalRecorded { digest, person, .. } => {
                format!("{person} approved plan {}.", digest.short())
            }
            Event::DenialRecorded { digest, person, .. } => {
                format!("{person} denied plan {}.", digest.short())
            }
            Event::ApprovalRefused { code, why } => {
                format!("A vote was refused ({code}): {why}.")
            }
            Event::PlanRejected { why } => format!("{what} will not happen: {why}."),
            Event::OperationStarted { .. } => {
                self.started.insert(operation.clone(), at);
                format!("{what} began.")
            }
            Event::OperationResumed { holder } => format!("{holder} went on with it."),
            Event::RollbackStarted { cause } if self.removes(operation) => {
                format!("{what} goes no further: {cause}.")
            }
            Event::RollbackStarted { cause } => {
                format!("{what} cannot be completed and takes back what it made: {cause}.")
            }
            Event::OperationParked { why, owner } => {
                format!("It stopped and waits for {owner}: {why}.")
            }
            Event::OperationUnparked { by } => format!("{by} let it go on."),
            Event::OperationSucceeded { certificate } => {
                let ended = format!("{what} is done{}", self.since_start(operation, at));
                match certificate {
                    Some(certificate) => format!("{ended}; {}.", proof(certificate)),
                    None => format!("{ended}."),
                }
            }
            Event::OperationRolledBack if self.removes(operation) => {
                format!("{what} has stopped; what is left takes a new plan.")
            }
            Event::OperationRolledBack => {
                format!("Everything that it had made is gone{}.", self.since_start(operation, at))
            }
            Event::DriftObserved { differences } => drift(differences),
            Event::KeptAlive { by, until } => format!("{by} keeps it until {until}."),
            Event::AccessGranted { by, proof, access, expires_at, plan } => {
                format!("{by} ({proof}) got {access}{}.", terms(*expires_at, plan.as_ref()))
            }
            Event::ExpiryWarned { expires_at } => format!("It expires at {expires_at}."),
            Event::ExpiryNoticed { expired_at, digest } => {
                format!("Its time was over at {expired_at}; plan {} removes it.", digest.short())
            }
            event => self.tell_node(operation, event, at),
        }
    }

    fn plan(&self, operation: &Option<OperationId>) -> Option<&Plan> {
        self.plans.get(operation.as_ref()?)
    }

    /// Whether an operation is a teardown, which has nothing to take back.
    fn removes(&self, operation: &Option<OperationId>) -> bool {
        self.plan(operation).is_some_and(|plan| plan.action == Action::Teardown)
    }

    /// An event of one resource.
    fn tell_node(&mut self, operation: &Option<OperationId>, event: &Event, at: Timestamp) -> String {
        let Some(key) = event.node() else {
            return format!("{} happened.", event.name());
        };
        let name = self.name(operation, key);
        let slot = |make: bool| (operation.clone(), key.clone(), make);
        match event {
            Event::CreateIntended { attempt, .. } => {
                self.began.entry(slot(true)).or_insert(at);
                match attempt {
                    1 => format!("Asked the cloud for {name}."),
                    more => format!("Asked the cloud for {name}, attempt {more}."),
                }
            }
            Event::CreateAccepted { id, .. } => match id {
                Some(id) => format!("The cloud accepted {name} as {id}."),
                None => format!("The cloud accepted {name}."),
            },
            Event::CreateRefused { status, message, .. } => {
                format!("The cloud refused {name} ({status}): {message}.")
            }
            Event::CreateInDoubt { why, .. } => {
                format!("It is in doubt whether {name} was made: {why}.")
            }
            Event::CreateAdopted { id, .. } => {
                format!("The doubt is resolved: {name} was made, it is {id}.")
            }
            Event::CreateAbsent { .. } => {
                format!("The doubt is resolved: {name} was not made.")
            }
            Event::ResourceReady { id, .. } => {
                let took = after(self.began.remove(&slot(true)), at);
                format!("{name} is ready as {id}{took}.")
            }
            Event::ResourceFailed { reason, .. } => format!("{name} failed: {reason}."),
            Event::DeleteIntended { id, .. } => {
                self.began.entry(slot(false)).or_insert(at);
                format!("Asked the cloud to remove {name} ({id}).")
            }
            Event::DeleteAccepted { .. } => format!("The cloud accepted to remove {name}."),
            Event::DeleteRefused { status, message, .. } => {
                format!("The cloud did not remove {name} ({status}): {message}.")
            }
            Event::ResourceGone { id, .. } => {
                let took = after(self.began.remove(&slot(false)), at);
                format!("{name} ({id}) is gone{took}.")
            }
            other => format!("{} happened to {name}.", other.name()),
        }
    }

    /// The operation as the subject of a sentence.
    fn what(&self, operation: &Option<OperationId>) -> String {
        match self.plan(operation).map(|plan| (plan.action, &plan.environment)) {
            Some((Action::Provision, name)) => format!("The provision of {name}"),
            Some((Action::Teardown, name)) => format!("The teardown of {name}"),
            Some((Action::Extend, name)) => format!("The extension of {name}"),
            Some((Action::Access, name)) => format!("The access to {name}"),
            None => "The operation".to_owned(),
        }
    }

    fn name(&self, operation: &Option<OperationId>, key: &NodeKey) -> String {
        match self.plan(operation).and_then(|plan| plan.graph.node(key)) {
            Some(node) => format!("{} {}", node.kind, Escaped(&node.name)),
            None => key.to_string(),
        }
    }

    fn since_start(&self, operation: &Option<OperationId>, at: Timestamp) -> String {
        after(self.started.get(operation).copied(), at)
    }
}

fn proposal(plan: &Plan, digest: &str) -> String {
    let about = match plan.action {
        Action::Provision => format!(
            "to provision {} from {} in {}: {} resources, {} {} per hour",
            plan.environment,
            plan.template,
            plan.zone,
            plan.graph.nodes().len(),
            plan.cost.hourly,
            Escaped(&plan.cost.currency),
        ),
        Action::Teardown => format!(
            "to remove {}: {} resources, {} of them with data",
            plan.environment,
            plan.destroys.len(),
            plan.destroys.iter().filter(|destroy| destroy.data).count(),
        ),
        Action::Extend => {
            format!("to let {} live {} s longer", plan.environment, plan.extend_seconds.unwrap_or(0))
        }
        Action::Access => {
            let what = plan.access.as_ref().map(|terms| terms.access.to_string()).unwrap_or_default();
            format!("for {what} of {}", plan.environment)
        }
    };
    let glass = plan.break_glass.as_ref().map(|why| format!(", and breaks the glass: {why}"));
    let glass = glass.unwrap_or_default();
    format!("{} asked {about}{glass}; level {}, plan {digest}.", plan.requester, plan.level)
}

fn proof(certificate: &Certificate) -> String {
    let body = &certificate.body;
    let found: u64 = body.checked.iter().map(|checked| checked.found).sum();
    let digest = certificate.digest.short();
    match body.clean {
        true => format!("certificate {digest}: {} listings, nothing of it was left", body.checked.len()),
        false => format!("certificate {digest}: {found} resources of it were left"),
    }
}

/// Until when, and by which approved plan, somebody has access.
fn terms(expires_at: Option<Timestamp>, plan: Option<&Digest>) -> String {
    let until = expires_at.map(|end| format!(", until {end:.0}")).unwrap_or_default();
    let by = plan.map(|digest| format!(", by plan {}", digest.short())).unwrap_or_default();
    format!("{until}{by}")
}

fn drift(differences: &[Difference]) -> String {
    match differences {
        [] => "Compared with the cloud: everything is as planned.".to_owned(),
        [first, ..] => format!(
            "Compared with the cloud: {} difference(s), first {} {} is {} and should be {}.",
            differences.len(),
            first.node,
            first.field,
            first.observed,
            first.planned
        ),
    }
}

/// How long something took, in whole seconds or minutes and seconds; nothing
/// where its beginning is not known.
fn after(began: Option<Timestamp>, at: Timestamp) -> String {
    let Some(began) = began else { return String::new() };
    match at.duration_since(began).as_secs().max(0) {
        seconds @ 0..120 => format!(" after {seconds} s"),
        seconds => format!(" after {} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use exokit_model::plan::Action;

    use super::*;
    use crate::testing::fixtures::{Story, chain, life, plan};

    #[test]
    fn a_life_reads_as_a_story() {
        let digest = |number, action| plan(number, action).digest().unwrap().short();
        let provision = digest(1, Action::Provision);
        let expected = [
            format!(
                "bob asked to provision demo from T1 in ch-dk-2: 2 resources, 0.25 CHF per hour; level 2, plan {provision}."
            ),
            format!("alice approved plan {provision}."),
            "The provision of demo began.".to_owned(),
            "Asked the cloud for security-group demo-group.".to_owned(),
            "The cloud accepted security-group demo-group as id-group.".to_owned(),
            "security-group demo-group is ready as id-group after 20 s.".to_owned(),
            "Asked the cloud for sks-cluster demo-cluster.".to_owned(),
            "It is in doubt whether sks-cluster demo-cluster was made: the connection broke.".to_owned(),
            "The doubt is resolved: sks-cluster demo-cluster was made, it is id-cluster.".to_owned(),
            "sks-cluster demo-cluster is ready as id-cluster after 30 s.".to_owned(),
            "The provision of demo is done after 80 s.".to_owned(),
        ];
        let lines = history(&life());
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts[..expected.len()], expected);
        assert_eq!(*texts.last().unwrap(), "The teardown of demo is done after 70 s.");
        assert!(texts.contains(
            &"load-balancer demo-found-load-balancer-1 (id-found-load-balancer-1) is gone after 10 s."
        ));
    }

    #[test]
    fn a_part_of_a_story_can_be_told() {
        let records = life();
        for start in 0..records.len() {
            for line in history(&records[start..]) {
                assert!(line.text.ends_with('.'), "{}", line.text);
            }
        }
    }

    #[test]
    fn a_refused_vote_and_a_second_attempt_are_told() {
        let story = Story::new(plan(1, Action::Provision), 0)
            .then(Event::ApprovalRefused { code: "expired".into(), why: "the vote of alice expired".into() })
            .start()
            .intend("cluster", 2);
        let lines = history(&chain(story.entries));
        assert_eq!(lines[1].text, "A vote was refused (expired): the vote of alice expired.");
        assert_eq!(lines[4].text, "Asked the cloud for sks-cluster demo-cluster, attempt 2.");
    }

    #[test]
    fn a_removal_that_is_refused_again_and_again_is_told_once() {
        let node: NodeKey = "cluster".parse().unwrap();
        let id = "c-1".parse().unwrap();
        let refuse = |message: &str| Event::DeleteRefused {
            node: node.clone(),
            id: "c-1".parse().unwrap(),
            status: 409,
            message: message.into(),
        };
        let mut story = Story::new(plan(1, Action::Provision), 0);
        for message in ["busy", "busy", "busy", "locked"] {
            story = story.then(refuse(message));
        }
        let story = story.then(Event::ResourceGone { node: node.clone(), id });
        let texts: Vec<String> = history(&chain(story.entries)).into_iter().map(|line| line.text).collect();
        let about = |word: &str| texts.iter().filter(|text| text.contains(word)).count();
        assert_eq!((about("busy"), about("locked"), about("is gone")), (1, 1, 1), "{texts:?}");
    }
}
