//! Random histories: what is kept up to date record by record, what a fold of
//! all records says, and what the tables say after a new start are the same.

use std::cell::RefCell;
use std::collections::BTreeSet;

use exokit_model::event::{Entry, Event, Record};
use exokit_model::ids::{EnvironmentName, OperationId, OwnerToken, Zone};
use exokit_model::kind::Kind;
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use exokit_model::ready_time::ReadyTime;
use exokit_model::text::ForeignText;
use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::rows::registry::Registry;
use crate::testing::fixtures::{at, entry, operation, plan};
use crate::{Condition, Environments, Ledger, MemoryLedger, Operations, SqliteLedger};

/// One step of a history: which environment, what happens, to which node, and
/// whether a batch ends here.
type Step = (u8, u8, u8, u8);

const ENVIRONMENTS: [&str; 3] = ["demo", "other", "third"];
const NODES: [&str; 3] = ["group", "cluster", "found-load-balancer-1"];

/// A history as it is told: only what can follow is taken in.
#[derive(Default)]
struct Teller {
    registry: Registry,
    records: Vec<Record>,
    plans: u8,
}

impl Teller {
    fn offer(&mut self, entry: Entry) -> bool {
        let head = self.registry.head.head;
        let record = Record::chain(head.hash, head.seq + 1, entry).unwrap();
        let taken = self.registry.apply(&record).is_ok();
        if taken {
            self.records.push(record);
        }
        taken
    }

    fn proposal(&mut self, name: &EnvironmentName, action: Action) -> (OperationId, Event) {
        self.plans += 1;
        let mut plan = plan(self.plans, action);
        plan.environment = name.clone();
        plan.requester = ["bob", "carol"][usize::from(self.plans % 2)].parse().unwrap();
        plan.team = (!self.plans.is_multiple_of(3)).then(|| "store".parse().unwrap());
        let nodes = plan.graph.nodes().iter().cloned().map(|mut node| {
            node.token = Some(token(self.plans, node.key.as_str()));
            node
        });
        plan.graph = exokit_model::graph::Graph::new(nodes.collect()).unwrap();
        let bytes = plan.to_bytes().unwrap();
        let digest = Plan::digest_of(&bytes);
        let plan = String::from_utf8(bytes).unwrap();
        // Every second one was asked for with an idempotency key.
        let request = self.plans.is_multiple_of(2).then_some(digest);
        (operation(self.plans), Event::PlanProposed { digest, plan, request, seal: request })
    }

    fn step(&mut self, (environment, what, node, _): Step) -> bool {
        let name: EnvironmentName = ENVIRONMENTS[usize::from(environment) % 3].parse().unwrap();
        let seconds = self.records.len() as i64 * 977;
        let mut told = Entry { at: at(seconds), environment: Some(name.clone()), ..entry(0) };
        let proposed = match what % 26 {
            0 => Some(Action::Provision),
            1 => Some(Action::Teardown),
            2 => Some(Action::Extend),
            _ => None,
        };
        if let Some(action) = proposed {
            let (operation, event) = self.proposal(&name, action);
            (told.operation, told.event) = (Some(operation), event);
            return self.offer(told);
        }
        if what % 26 == 3 {
            return self.offer(entry(u64::from(node % 8)));
        }
        let open = self.registry.find_operations(&Operations::Open(name));
        let Some(chosen) = open.get(usize::from(node) % open.len().max(1)) else { return false };
        told.epoch = u64::from(chosen.phase != Phase::AwaitingApproval);
        (told.operation, told.event) = (Some(chosen.operation.clone()), event(what, node, chosen.digest));
        self.offer(told)
    }
}

fn token(plan: u8, key: &str) -> OwnerToken {
    let mut mac = [plan; 32];
    mac[0] = u8::try_from(key.len()).unwrap();
    OwnerToken::from_mac(&mac)
}

fn event(what: u8, node: u8, digest: exokit_model::canonical::Digest) -> Event {
    let key = NODES[usize::from(node / 8) % 3];
    let id = || format!("id-{key}-{}", node % 2).parse().unwrap();
    let node = key.parse().unwrap();
    let (attempt, why) = (1, ForeignText::from("why"));
    match what % 26 {
        4 => Event::ApprovalRecorded { digest, person: "alice".parse().unwrap(), token: "token".to_owned() },
        5..=7 => Event::OperationStarted { digest },
        8 => Event::PlanRejected { why },
        9 => Event::CreateIntended { node, attempt, request: digest, expires_at: at(40) },
        10 => Event::CreateAccepted { node, attempt, id: Some(id()), cloud_operation: None, sealed: None },
        11 => Event::CreateInDoubt { node, attempt, why },
        12 => Event::CreateAdopted { node, attempt, id: id() },
        13 => Event::CreateAbsent { node, attempt },
        14 => Event::ResourceReady { node, id: id(), time: ready_time(what) },
        15 => Event::ResourceFailed { node, id: Some(id()), reason: why },
        16 => Event::DeleteIntended { node, id: id(), step: 0, request: digest, expires_at: at(40) },
        17 => Event::ResourceGone { node, id: id() },
        18 => Event::OperationParked { why: NeedsHuman::Unobservable { what: why }, owner: "bob".into() },
        19 => Event::OperationUnparked { by: why },
        20 | 24 => Event::RollbackStarted { cause: why },
        21 | 25 => Event::OperationRolledBack,
        22 => Event::OperationSucceeded { certificate: None },
        _ => Event::OperationResumed { holder: why },
    }
}

/// In one zone or another, or none at all.
fn ready_time(draw: u8) -> Option<ReadyTime> {
    let zone = ["ch-gva-2", "de-fra-1"].get(usize::from(draw / 26 % 3))?.parse().unwrap();
    let kind = Kind::CLOUD[usize::from(draw) % Kind::CLOUD.len()];
    Some(ReadyTime { kind, zone, after_ms: 0, by_ms: u64::from(draw) })
}

#[test]
fn fold_live_state_and_tables_are_one() {
    let seen = RefCell::new(BTreeSet::new());
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ended = TestRunner::new(config).run(&vec(proptest::arbitrary::any::<Step>(), 40..120), |steps| {
        let mut teller = Teller::default();
        let mut ends = Vec::new();
        for step in steps {
            if teller.step(step) && step.3.is_multiple_of(8) {
                ends.push((teller.registry.clone(), step.3.is_multiple_of(32)));
            }
        }
        ends.push((teller.registry.clone(), true));
        seen.borrow_mut().extend(teller.records.iter().map(|record| record.entry.event.name()));
        runtime.block_on(follow(&teller, &ends))
    });
    ended.unwrap();
    let seen = seen.into_inner();
    // Of 20 sorts; the rarest may be missing in some runs.
    assert!(seen.len() >= 16, "too little happened: {seen:?}");
}

/// Writes a history in batches, with a new start after some of them.
async fn follow(teller: &Teller, ends: &[(Registry, bool)]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        SqliteLedger::open_with_progress(folder.path(), &mut |_, _| panic!("there was nothing to convert"))
    };
    let mut sqlite = open().unwrap();
    let memory = MemoryLedger::default();
    let mut from = 0;
    for (registry, restart) in ends {
        let to = usize::try_from(registry.head.head.seq).unwrap();
        let batch: Vec<Entry> = teller.records[from..to].iter().map(|record| record.entry.clone()).collect();
        memory.append(&Condition::default(), batch.clone()).await.unwrap();
        sqlite.append(&Condition::default(), batch).await.unwrap();
        if *restart {
            drop(sqlite);
            sqlite = open().unwrap();
        }
        let fold = Registry::fold(&teller.records[..to]).unwrap();
        proptest::prop_assert_eq!(&fold, registry);
        let audit = sqlite.audit(None).await.unwrap();
        proptest::prop_assert_eq!(audit.differing, Vec::<String>::new());
        proptest::prop_assert_eq!(audit.head, fold.head.head);
        for ledger in [&sqlite as &dyn Ledger, &memory, &memory.crash(false)] {
            same_answers(ledger, &fold).await?;
        }
        from = to;
    }
    Ok(())
}

async fn same_answers(ledger: &dyn Ledger, fold: &Registry) -> Result<(), TestCaseError> {
    let now = at(40 * 977);
    let name = || ENVIRONMENTS[0].parse().unwrap();
    let page = |all, after, most| Environments::Page { after, all, most };
    let pages = [page(true, None, 1), page(false, None, 9), page(true, Some(name()), 9)];
    for which in
        [Environments::All, Environments::Present, Environments::Named(name()), Environments::Expired(now)]
            .into_iter()
            .chain(pages)
    {
        proptest::prop_assert_eq!(
            ledger.environments(which.clone()).await.unwrap(),
            fold.find_environments(&which)
        );
    }
    let digest = fold.operations().values().next().map(|operation| operation.digest.to_string());
    for which in [
        Operations::All,
        Operations::Named(operation(1)),
        Operations::Active,
        Operations::Waiting(now),
        Operations::Open(name()),
        Operations::Digest(digest.unwrap_or_default()[..].chars().take(9).collect()),
    ] {
        proptest::prop_assert_eq!(
            ledger.operations(which.clone()).await.unwrap(),
            fold.find_operations(&which)
        );
    }
    for zone in ["ch-gva-2", "de-fra-1", "at-vie-1"] {
        let zone: Zone = zone.parse().unwrap();
        proptest::prop_assert_eq!(
            ledger.ready_times(zone.clone()).await.unwrap(),
            fold.find_ready_times(&zone, None)
        );
    }
    let ids: Vec<String> =
        NODES.iter().flat_map(|key| [format!("id-{key}-0"), format!("id-{key}")]).collect();
    let tokens = (1..4).map(|plan| token(plan, "group"));
    let marks: Vec<String> = tokens
        .flat_map(|token| [token.to_string(), token.short().to_owned(), token.short()[..9].to_owned()])
        .collect();
    let found = ledger.holdings(ids.clone(), marks.clone()).await.unwrap();
    proptest::prop_assert_eq!(found, crate::testing::memory::holdings(fold, &ids, &marks));
    Ok(())
}
