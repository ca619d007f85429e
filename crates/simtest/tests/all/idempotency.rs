//! Requests that come twice, at once or after a crash, and plans that left the
//! engine and come back.

use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};

use exokit_engine::engine::{Engine, Parts};
use exokit_engine::error::EngineError;
use exokit_engine::idempotency::{KeyedRequest, body_digest};
use exokit_engine::keyring::Keyring;
use exokit_engine::propose::ProvisionRequest;
use exokit_ledger::OperationState;
use exokit_ledger::{Filter, Ledger, SqliteLedger};
use exokit_model::canonical::Digest;
use exokit_model::cost::ApprovalLevel;
use exokit_model::event::Event;
use exokit_model::plan::Plan;
use exokit_sim::Config;
use exokit_simtest::rig::{Outfit, Rig, extension, person, request};
use exokit_simtest::setup;

/// A cloud, and a ledger of one of both sorts.
struct Host {
    rig: Rig,
    ledger: Arc<dyn Ledger>,
}

impl Host {
    fn new(ledger: Option<Arc<dyn Ledger>>) -> Self {
        let rig = Rig::new(Config::default());
        let ledger = ledger.unwrap_or_else(|| Arc::new(rig.ledger.clone()));
        Self { rig, ledger }
    }

    /// A new engine process.
    fn engine(&self) -> Engine {
        self.rig.engine_with(Outfit {
            ledger: Arc::clone(&self.ledger),
            clock: Arc::new(self.rig.clock()),
            transport: self.rig.transport(),
        })
    }

    /// How many plans the ledger has.
    async fn plans(&self) -> usize {
        let records = self.ledger.read(Filter::All, 0).await.unwrap();
        records.iter().filter(|record| matches!(record.entry.event, Event::PlanProposed { .. })).count()
    }
}

/// Runs `check` with an empty ledger of each sort.
fn check(check: impl AsyncFn(Host)) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(folder.path()).unwrap());
    for ledger in [None, Some(sqlite)] {
        block_on(async { check(Host::new(ledger)).await });
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn named(name: &str) -> ProvisionRequest {
    let mut request = request(1);
    request.spec.environment = name.parse().unwrap();
    request
}

/// The request of `dana` for an environment with this name, under this key.
fn keyed(engine: &Engine, key: &str, name: &str) -> KeyedRequest {
    engine.keyed(&person("dana"), key, body_digest(&name).unwrap())
}

async fn planned(engine: &Engine, request: &KeyedRequest, name: &str) -> Plan {
    assert!(engine.answered(request).await.unwrap().is_none());
    engine.plan_provision(named(name), Some(request)).await.unwrap()
}

async fn once(engine: &Engine, key: &str, name: &str) -> Result<OperationState, EngineError> {
    let request = keyed(engine, key, name);
    engine.propose_once(&request, engine.plan_provision(named(name), Some(&request))).await
}

fn code<T>(result: Result<T, EngineError>) -> &'static str {
    result.map(drop).map_err(|error| error.code()).unwrap_err()
}

#[test]
fn a_key_leads_to_one_operation_and_only_for_its_body() {
    check(async |host| {
        let (one, two) = (host.engine(), host.engine());
        let first = once(&one, "k", "first").await.unwrap();
        assert_eq!(once(&two, "k", "first").await.unwrap().operation, first.operation);
        let body = body_digest(&"first").unwrap();
        let asked = two.answered(&keyed(&two, "k", "first")).await.unwrap().unwrap();
        assert_eq!((asked.digest, asked.request), (first.digest, Some(body)));
        // With another body, whatever it asks for.
        for name in ["second", "third"] {
            assert_eq!(code(once(&two, "k", name).await), "idempotency-conflict");
        }
        // Of another requester, and another key.
        assert!(two.answered(&two.keyed(&person("alex"), "k", body)).await.unwrap().is_none());
        assert!(two.answered(&keyed(&two, "l", "first")).await.unwrap().is_none());
        assert_ne!(once(&two, "l", "second").await.unwrap().operation, first.operation);
        assert_eq!(host.plans().await, 2);
    });
}

#[test]
fn without_a_key_a_plan_is_recorded_once_and_a_second_time_is_a_conflict() {
    check(async |host| {
        let engine = host.engine();
        let plan = engine.plan_provision(named("first"), None).await.unwrap();
        assert_eq!(engine.propose(&plan, None).await.unwrap().request, None);
        assert_eq!(code(engine.propose(&plan, None).await), "conflict");
        // What was recorded without a key is no answer to one.
        let request = KeyedRequest { plan_id: plan.plan_id.clone(), body: plan.digest().unwrap() };
        assert_eq!(code(engine.propose(&plan, Some(&request)).await), "idempotency-conflict");
        let other = engine.plan_provision(named("second"), None).await.unwrap();
        assert_eq!(code(engine.propose(&other, Some(&request)).await), "idempotency-key");
        assert_eq!(host.plans().await, 1);
    });
}

/// Two processes of one thread each have heard of nothing, have planned, and
/// record at the same moment what they are asked for under one key.
fn race(ledger: Option<Arc<dyn Ledger>>, names: [&str; 2]) -> Vec<Result<OperationState, EngineError>> {
    let host = block_on(async { Host::new(ledger) });
    let barrier = Barrier::new(2);
    let process = |name: &str| {
        let engine = host.engine();
        block_on(async {
            // Else the two might be in each other's way here.
            let request = keyed(&engine, "k", name);
            let plan = planned(&engine, &request, name).await;
            barrier.wait();
            engine.propose(&plan, Some(&request)).await
        })
    };
    let ended = std::thread::scope(|scope| {
        let process = &process;
        let both = names.map(|name| scope.spawn(move || process(name)));
        both.map(|one| one.join().unwrap())
    });
    assert_eq!(block_on(host.plans()), 1);
    ended.into()
}

#[test]
fn of_two_at_the_same_moment_one_records_and_the_other_gets_its_answer() {
    for round in 0..16 {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = || -> Option<Arc<dyn Ledger>> {
            (round % 2 > 0).then(|| Arc::new(SqliteLedger::open(folder.path()).unwrap()) as _)
        };
        let names = if round % 4 < 2 { ["same", "same"] } else { ["one", "another"] };
        let (states, errors): (Vec<_>, Vec<_>) = race(sqlite(), names).into_iter().partition(Result::is_ok);
        let states: Vec<OperationState> = states.into_iter().map(Result::unwrap).collect();
        match names[0] == names[1] {
            true => {
                assert_eq!(states.len(), 2, "{errors:?}");
                assert_eq!(states[0].operation, states[1].operation);
                assert_eq!(states[0].digest, states[1].digest);
            }
            false => {
                let codes: Vec<_> = errors.into_iter().map(code).collect();
                assert_eq!((states.len(), codes), (1, vec!["idempotency-conflict"]));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_its_twin_before_that_is_durable_waits_for_it() {
    for yields in 0..6 {
        let host = Host::new(None);
        let (one, two) = (host.engine(), host.engine());
        let request = keyed(&one, "k", "first");
        let (first, second) =
            (planned(&one, &request, "first").await, planned(&two, &request, "first").await);
        one.propose(&one.plan_provision(named("other"), None).await.unwrap(), None).await.unwrap();
        let later = async {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            two.propose(&second, Some(&request)).await
        };
        let (first, second) = tokio::join!(one.propose(&first, Some(&request)), later);
        assert_eq!(first.unwrap().digest, second.unwrap().digest, "{yields}");
        assert_eq!(host.plans().await, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_of_a_proposal_leaves_one_operation_or_none() {
    let mut recorded = 0;
    for (polls, keep) in (0..6).flat_map(|polls| [(polls, true), (polls, false)]) {
        let mut rig = Rig::new(Config::default());
        let engine = rig.engine();
        // The account is bound, so that the proposal is one append.
        engine.propose(&engine.plan_provision(named("other"), None).await.unwrap(), None).await.unwrap();
        let request = keyed(&engine, "k", "first");
        let plan = planned(&engine, &request, "first").await;
        {
            let mut proposal = pin!(engine.propose(&plan, Some(&request)));
            let mut context = Context::from_waker(Waker::noop());
            let _ = (0..polls).any(|_| proposal.as_mut().poll(&mut context).is_ready());
        }
        rig.crash(keep);
        let engine = rig.engine();
        let before = engine.answered(&request).await.unwrap();
        recorded += usize::from(before.is_some());
        let state = once(&engine, "k", "first").await.unwrap();
        assert!(before.is_none_or(|before| before.digest == state.digest), "{polls} {keep}");
        assert_eq!(code(once(&engine, "k", "second").await), "idempotency-conflict");
        assert_eq!(Host { ledger: Arc::new(rig.ledger.clone()), rig }.plans().await, 2);
    }
    assert!((1..12).contains(&recorded), "{recorded}");
}

#[test]
fn a_key_is_known_after_the_ledger_was_closed_and_opened() {
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Option<Arc<dyn Ledger>> { Some(Arc::new(SqliteLedger::open(folder.path()).unwrap())) };
    block_on(async {
        let plan = {
            let host = Host::new(open());
            let engine = host.engine();
            planned(&engine, &keyed(&engine, "k", "first"), "first").await
        };
        // Planned by one process, recorded by the next, asked for of a third.
        let state = {
            let engine = Host::new(open()).engine();
            engine.propose(&plan, Some(&keyed(&engine, "k", "first"))).await.unwrap()
        };
        let engine = Host::new(open()).engine();
        assert_eq!(once(&engine, "k", "first").await.unwrap().digest, state.digest);
        assert_eq!(code(once(&engine, "k", "second").await), "idempotency-conflict");
    });
}

#[tokio::test(start_paused = true)]
async fn every_sort_of_plan_has_the_id_of_its_request() {
    let host = Host::new(None);
    host.rig.install_roster().await;
    let (engine, dana) = (host.engine(), person("dana"));
    let mut wanted = request(1);
    wanted.spec.ttl_seconds = Some(3600);
    let state = setup::approved(&host.rig, wanted).await.unwrap();
    engine.run(&state.operation).await.unwrap();
    let name = &state.plan.environment;
    let (extend, teardown) = (keyed(&engine, "e", "extend"), keyed(&engine, "t", "teardown"));
    for _ in 0..2 {
        let plan = engine.plan_extend(extension(name, 3600), Some(&extend));
        let extended = engine.propose_once(&extend, plan).await.unwrap();
        assert_eq!(extended.plan.plan_id, extend.plan_id);
        let plan = engine.plan_teardown(name, &dana, Some(&teardown));
        let removed = engine.propose_once(&teardown, plan).await.unwrap();
        assert_eq!(removed.plan.plan_id, teardown.plan_id);
    }
    assert_eq!(host.plans().await, 3);
}

#[test]
fn a_twin_that_was_quicker_is_the_answer_although_planning_is_refused() {
    check(async |host| {
        let (engine, twin) = (host.engine(), host.engine());
        let request = keyed(&engine, "k", "first");
        // By the time that this one plans, the name is taken.
        let late = async {
            once(&twin, "k", "first").await?;
            Err(EngineError::Exists("first".parse().unwrap()))
        };
        let answer = engine.propose_once(&request, late).await.unwrap();
        assert_eq!(answer.operation, request.plan_id.operation());
        // Without a twin the refusal stands.
        let refused = async { Err(EngineError::Exists("first".parse().unwrap())) };
        assert_eq!(code(engine.propose_once(&keyed(&engine, "l", "first"), refused).await), "exists");
    });
}

async fn come_back(
    engine: &Engine,
    text: &str,
    seal: &Digest,
    request: Option<&KeyedRequest>,
) -> Result<OperationState, EngineError> {
    engine.propose_opened(engine.open_sealed(text.to_owned(), seal)?, request).await
}

#[test]
fn a_plan_comes_back_only_as_it_left() {
    check(async |host| {
        let engine = host.engine();
        let mut asked = named("first");
        asked.wanted_level = Some(ApprovalLevel::Two);
        let plan = engine.plan_provision(asked, None).await.unwrap();
        let seal = engine.seal(&plan.digest().unwrap());
        let text = |plan: &Plan| String::from_utf8(plan.to_bytes().unwrap()).unwrap();
        let altered = |change: fn(&mut Plan)| {
            let mut plan = plan.clone();
            change(&mut plan);
            text(&plan)
        };
        let other = Parts { keyring: Keyring::new(&[6; 32]), ..engine.parts().clone() };
        let cases = [
            ("plan-seal", altered(|plan| plan.level = ApprovalLevel::One), seal),
            ("plan-seal", altered(|plan| plan.requester = person("alex")), seal),
            ("plan-seal", altered(|plan| plan.base_seq += 1), seal),
            ("plan-seal", text(&plan), Engine::new(other).seal(&plan.digest().unwrap())),
            ("plan-seal", text(&plan), Digest([0; 32])),
            ("plan-seal", text(&plan), plan.digest().unwrap()),
            ("plan-seal", format!("{} ", text(&plan)), seal),
            ("plan-seal", String::new(), seal),
            ("plan-unreadable", "{}".to_owned(), engine.seal(&Plan::digest_of(b"{}"))),
        ];
        for (expected, text, seal) in cases {
            let refused = come_back(&engine, &text, &seal, None).await.unwrap_err();
            assert_eq!(refused.code(), expected);
            assert!(!refused.hint().is_empty());
        }
        assert_eq!(host.plans().await, 0);
        // Another process with the same root secret knows it too.
        let state = come_back(&host.engine(), &text(&plan), &seal, None).await.unwrap();
        assert_eq!((state.digest, state.plan.level), (plan.digest().unwrap(), ApprovalLevel::Two));
        assert_eq!(code(come_back(&engine, &text(&plan), &seal, None).await), "conflict");
    });
}

#[test]
fn a_level_one_plan_cannot_be_made_of_a_higher_one_and_an_old_one_is_stale() {
    check(async |host| {
        let engine = host.engine();
        let plan = engine.plan_provision(named("first"), None).await.unwrap();
        assert_eq!(plan.level, ApprovalLevel::One);
        let seal = engine.seal(&plan.digest().unwrap());
        let text = String::from_utf8(plan.to_bytes().unwrap()).unwrap();
        for level in [ApprovalLevel::Two, ApprovalLevel::Three] {
            let altered = Plan { level, ..plan.clone() };
            let altered = String::from_utf8(altered.to_bytes().unwrap()).unwrap();
            assert_eq!(code(come_back(&engine, &altered, &seal, None).await), "plan-seal");
        }
        // The seal says who made it, not that it still fits.
        once(&engine, "k", "first").await.unwrap();
        let stale = come_back(&engine, &text, &seal, None).await.unwrap_err();
        assert!(matches!(stale, EngineError::Ledger(exokit_ledger::LedgerError::Stale { .. })), "{stale:?}");
        // Its own id is a key for whoever sends it.
        let fresh = engine.plan_provision(named("second"), None).await.unwrap();
        let (seal, text) =
            (engine.seal(&fresh.digest().unwrap()), String::from_utf8(fresh.to_bytes().unwrap()).unwrap());
        let request = KeyedRequest { plan_id: fresh.plan_id.clone(), body: fresh.digest().unwrap() };
        for _ in 0..2 {
            let state = come_back(&engine, &text, &seal, Some(&request)).await.unwrap();
            assert_eq!(state.digest, request.body);
        }
        assert_eq!(host.plans().await, 2);
    });
}
