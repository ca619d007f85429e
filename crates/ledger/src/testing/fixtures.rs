//! Plans, entries and whole stories for tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use exokit_model::canonical::Digest;
use exokit_model::cost::{ApprovalLevel, CostBand, CostEstimate};
use exokit_model::event::{Entry, Event, Record};
use exokit_model::graph::{Graph, Node, Presence};
use exokit_model::ids::{OperationId, PlanId};
use exokit_model::kind::Kind;
use exokit_model::plan::{Action, PLAN_SCHEMA, Plan};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

/// `seconds` after a fixed noon in UTC.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_014_400 + seconds)
}

/// The operation with a number.
pub fn operation(number: u8) -> OperationId {
    PlanId::from_random([number; 10]).operation()
}

/// An entry about no environment and no operation.
pub fn entry(number: u64) -> Entry {
    Entry {
        at: at(0),
        environment: None,
        operation: None,
        epoch: 0,
        event: Event::RosterInstalled { version: number, signed: String::new() },
    }
}

/// Entries with numbers, chained from the beginning of a ledger.
pub fn chain(entries: impl IntoIterator<Item = Entry>) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    for entry in entries {
        let prev = records.last().map_or(Digest([0; 32]), |last| last.hash);
        let seq = records.len() as u64 + 1;
        records.push(Record::chain(prev, seq, entry).unwrap());
    }
    records
}

/// A plan for `demo` with one security group and one cluster. Its id is made
/// of `number`.
pub fn plan(number: u8, action: Action) -> Plan {
    let desired = match action {
        Action::Teardown => Presence::Absent,
        _ => Presence::Present,
    };
    let node = |key: &str, kind| Node {
        key: key.parse().unwrap(),
        kind,
        name: format!("demo-{key}"),
        zone: "ch-dk-2".parse().unwrap(),
        token: None,
        depends_on: Vec::new(),
        desired,
        existing: (desired == Presence::Absent).then(|| format!("id-{key}").parse().unwrap()),
        create: None,
        delete: Vec::new(),
        protects_data: false,
        predicted_seconds: 10,
    };
    let mut nodes = vec![node("group", Kind::SecurityGroup), node("cluster", Kind::SksCluster)];
    if action == Action::Teardown {
        nodes.push(node("found-load-balancer-1", Kind::LoadBalancer));
    }
    let hourly = match action {
        Action::Teardown => Decimal::ZERO,
        _ => Decimal::new(25, 2),
    };
    Plan {
        schema: PLAN_SCHEMA.to_owned(),
        plan_id: PlanId::from_random([number; 10]),
        action,
        environment: "demo".parse().unwrap(),
        requester: "bob".parse().unwrap(),
        team: Some("store".parse().unwrap()),
        created_at: at(0),
        not_after: at(24 * 3600),
        zone: "ch-dk-2".parse().unwrap(),
        template: "T1".parse().unwrap(),
        template_digest: Digest::of("test", b"template"),
        price_digest: Digest::of("test", b"prices"),
        roster_version: 1,
        base_seq: 0,
        spec: None,
        graph: match action {
            Action::Extend => Graph::default(),
            _ => Graph::new(nodes).unwrap(),
        },
        cost: CostEstimate {
            currency: "CHF".to_owned(),
            price_date: "2026-11-23".to_owned(),
            hourly,
            monthly: hourly * Decimal::new(720, 0),
            ttl: None,
            lines: Vec::new(),
            unknown: Vec::new(),
        },
        band: CostBand::High,
        level: ApprovalLevel::Two,
        level_reasons: Vec::new(),
        destroys: Vec::new(),
        template_level: ApprovalLevel::One,
        rollback_destroys: Vec::new(),
        critical_path_seconds: 10,
        corrections: Vec::new(),
        access: None,
        additions: Default::default(),
        extend_seconds: (action == Action::Extend).then_some(3600),
        break_glass: None,
    }
}

/// Writes the events of one plan, each 10 s after the one before.
pub struct Story {
    /// The plan.
    pub plan: Plan,
    /// When the last entry happened, as [`at`] counts.
    pub seconds: i64,
    /// The entries so far.
    pub entries: Vec<Entry>,
}

impl Story {
    /// Begins with the proposal of the plan.
    pub fn new(plan: Plan, seconds: i64) -> Self {
        let bytes = plan.to_bytes().unwrap();
        let digest = Plan::digest_of(&bytes);
        let proposed = Event::PlanProposed {
            digest,
            plan: String::from_utf8(bytes).unwrap(),
            request: None,
            seal: None,
        };
        let story = Self { plan, seconds: seconds - 10, entries: Vec::new() };
        story.then(proposed)
    }

    /// Another event of the same operation.
    pub fn then(mut self, event: Event) -> Self {
        self.seconds += 10;
        let started = self.seconds > 0 && event.node().is_some();
        self.entries.push(Entry {
            at: at(self.seconds),
            environment: Some(self.plan.environment.clone()),
            operation: Some(self.plan.plan_id.operation()),
            epoch: u64::from(started),
            event,
        });
        self
    }

    /// The digest of the plan.
    pub fn digest(&self) -> Digest {
        self.plan.digest().unwrap()
    }

    /// A vote by alice and the start.
    pub fn start(self) -> Self {
        let digest = self.digest();
        self.then(Event::ApprovalRecorded {
            digest,
            person: "alice".parse().unwrap(),
            token: "token".to_owned(),
        })
        .then(Event::OperationStarted { digest })
    }

    /// An intent to create a node.
    pub fn intend(self, key: &str, attempt: u32) -> Self {
        let expires_at = at(self.seconds + 40);
        self.then(Event::CreateIntended {
            node: key.parse().unwrap(),
            attempt,
            request: Digest::of("test", b"request"),
            expires_at,
        })
    }

    /// Asked for, accepted and ready.
    pub fn make(self, key: &str) -> Self {
        let id = Some(format!("id-{key}").parse().unwrap());
        self.intend(key, 1)
            .then(Event::CreateAccepted {
                node: key.parse().unwrap(),
                attempt: 1,
                id,
                cloud_operation: None,
                sealed: None,
            })
            .ready(key)
    }

    /// A node is ready.
    pub fn ready(self, key: &str) -> Self {
        self.then(Event::ResourceReady {
            node: key.parse().unwrap(),
            id: format!("id-{key}").parse().unwrap(),
            time: None,
        })
    }

    /// Asked to go, and gone.
    pub fn remove(self, key: &str) -> Self {
        let expires_at = at(self.seconds + 40);
        self.then(Event::DeleteIntended {
            node: key.parse().unwrap(),
            id: format!("id-{key}").parse().unwrap(),
            step: 0,
            request: Digest::of("test", b"request"),
            expires_at,
        })
        .then(Event::ResourceGone { node: key.parse().unwrap(), id: format!("id-{key}").parse().unwrap() })
    }

    /// The operation has succeeded.
    pub fn succeed(self) -> Self {
        self.then(Event::OperationSucceeded { certificate: None })
    }
}

/// The life of `demo`: provisioned with one doubt, extended, removed.
pub fn life() -> Vec<Record> {
    let provision = Story::new(plan(1, Action::Provision), 0)
        .start()
        .make("group")
        .intend("cluster", 1)
        .then(Event::CreateInDoubt {
            node: "cluster".parse().unwrap(),
            attempt: 1,
            why: "the connection broke".into(),
        })
        .then(Event::CreateAdopted {
            node: "cluster".parse().unwrap(),
            attempt: 1,
            id: "id-cluster".parse().unwrap(),
        })
        .ready("cluster")
        .succeed();
    let extend = Story::new(plan(2, Action::Extend), 1000).start().succeed();
    let teardown = Story::new(plan(3, Action::Teardown), 2000)
        .start()
        .remove("found-load-balancer-1")
        .remove("cluster")
        .remove("group")
        .succeed();
    chain([provision, extend, teardown].into_iter().flat_map(|story| story.entries))
}
