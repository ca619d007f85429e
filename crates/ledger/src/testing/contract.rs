//! The contract of a store, as tests that any store can run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use exokit_model::event::{Entry, Event};
use exokit_model::ids::EnvironmentName;
use exokit_model::plan::Action;
use jiff::SignedDuration;

use super::fixtures::{Story, entry, life, operation, plan};
use crate::condition::{Condition, Filter};
use crate::error::LedgerError;
use crate::head::Head;
use crate::lease::{Fence, LEASE_SECONDS};
use crate::ledger::Ledger;
use crate::rows::query::{Environments, Operations};
use crate::verify::verify;

/// A store under test.
pub struct Subject {
    /// An empty ledger.
    pub ledger: Box<dyn Ledger>,
    /// Moves the clock of the store ahead.
    pub advance: Box<dyn Fn(SignedDuration)>,
}

/// Checks every promise, each on an empty ledger.
///
/// # Panics
/// When a promise does not hold.
pub async fn check(fresh: impl Fn() -> Subject) {
    records_come_back_in_order_and_chained(&*fresh().ledger).await;
    requests_of_a_day_are_found(&*fresh().ledger).await;
    of_two_who_read_one_state_only_one_writes(&*fresh().ledger).await;
    an_operation_is_begun_once(&*fresh().ledger).await;
    of_two_who_begin_an_operation_at_once_only_one_writes(&*fresh().ledger).await;
    conditions_are_told_in_order(&*fresh().ledger).await;
    what_cannot_follow_is_refused_as_a_whole(&*fresh().ledger).await;
    rows_stand_for_the_records(&*fresh().ledger).await;
    a_lease_is_held_until_it_expires_or_is_released(&fresh()).await;
    a_writer_whose_lease_was_taken_over_is_refused(&fresh()).await;
    epochs_continue_from_imported_records(&*fresh().ledger).await;
}

fn about(environment: &str, number: u64) -> Entry {
    Entry { environment: Some(environment.parse().unwrap()), operation: Some(operation(1)), ..entry(number) }
}

async fn records_come_back_in_order_and_chained(ledger: &dyn Ledger) {
    let none = Condition::default();
    assert_eq!(ledger.head().await, Ok(Head::EMPTY));
    let first = ledger.append(&none, vec![entry(1), about("a", 2)]).await;
    let second = ledger.append(&none, vec![about("b", 3)]).await;
    let nothing = ledger.append(&none, Vec::new()).await;
    assert_eq!(nothing, Ok(Vec::new()));
    let mut written = first.unwrap();
    written.extend(second.unwrap());
    let all = ledger.read(Filter::All, 0).await.unwrap();
    assert_eq!(all, written);
    assert_eq!(verify(&all), Ok(ledger.head().await.unwrap()));
    let environment = |name: &str| Filter::Environment(name.parse().unwrap());
    for (filter, after, expected) in [
        (Filter::All, 1, &written[1..]),
        (Filter::All, 99, &[]),
        (Filter::Account, 0, &written[..1]),
        (environment("a"), 0, &written[1..2]),
        (environment("b"), 2, &written[2..]),
        (environment("c"), 0, &[]),
        (Filter::Operation(operation(1)), 0, &written[1..]),
        (Filter::Operation(operation(2)), 0, &[]),
    ] {
        assert_eq!(ledger.read(filter, after).await.unwrap(), expected);
    }
    assert_eq!(ledger.page(Filter::All, 0, 2).await.unwrap(), written[..2]);
}

async fn requests_of_a_day_are_found(ledger: &dyn Ledger) {
    const DAY: i64 = 86_400;
    let rejected = Event::PlanRejected { why: "alice denied it".into() };
    let stories = [
        Story::new(plan(1, Action::Provision), 0).then(rejected),
        Story::new(plan(2, Action::Provision), 100).start(),
        Story::new(plan(3, Action::Provision), DAY),
    ];
    let entries = stories.into_iter().flat_map(|story| story.entries).collect();
    let records = ledger.append(&Condition::default(), entries).await.unwrap();
    let date = |place: usize| records[place].entry.at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let last = records.len() - 1;
    let found = |date, after| ledger.read(Filter::Requests(date), after);
    assert_eq!(found(date(0), 0).await.unwrap(), records[..3]);
    assert_eq!(found(date(0), 1).await.unwrap(), records[1..3]);
    assert_eq!(found(date(last), 0).await.unwrap(), records[last..]);
    assert_eq!(found(date(last).tomorrow().unwrap(), 0).await.unwrap(), []);
}

async fn of_two_who_read_one_state_only_one_writes(ledger: &dyn Ledger) {
    let name: EnvironmentName = "a".parse().unwrap();
    let fresh = Condition::environment(&name, 0);
    assert!(ledger.append(&fresh, vec![about("a", 1)]).await.is_ok());
    assert!(ledger.append(&Condition::default(), vec![about("b", 2)]).await.is_ok());
    let stale = ledger.append(&fresh, vec![about("a", 3)]).await;
    let (expected, found) = (0, 1);
    let environment = name.clone();
    assert_eq!(stale, Err(LedgerError::Stale { environment, expected, found }));
    let known = Condition::environment(&name, 1);
    assert!(ledger.append(&known, vec![about("a", 4)]).await.is_ok());
    let moved = ledger.append(&Condition::head(2), vec![entry(5)]).await;
    assert_eq!(moved, Err(LedgerError::HeadMoved { expected: 2, found: 3 }));
    assert_eq!(ledger.head().await.unwrap().seq, 3);
}

/// What demands that nothing is known of this operation.
fn unused(number: u8) -> Condition {
    Condition { unused: Some(operation(number)), ..Condition::default() }
}

async fn an_operation_is_begun_once(ledger: &dyn Ledger) {
    let used = Err(LedgerError::Used(operation(1)));
    // Records about no operation, and of another one, are in nobody's way.
    ledger.append(&unused(1), vec![entry(1)]).await.unwrap();
    ledger.append(&unused(2), vec![about("a", 2)]).await.unwrap();
    for environment in ["a", "b"] {
        assert_eq!(ledger.append(&unused(1), vec![about(environment, 3)]).await, used);
    }
    // Not even something else can be written under the condition.
    assert_eq!(ledger.append(&unused(1), vec![entry(4)]).await, used);
    assert!(ledger.append(&unused(3), vec![entry(5)]).await.is_ok());
    assert_eq!(ledger.head().await.unwrap().seq, 3);
}

async fn of_two_who_begin_an_operation_at_once_only_one_writes(ledger: &dyn Ledger) {
    let condition = unused(1);
    let (one, two) = tokio::join!(
        ledger.append(&condition, vec![about("a", 1), about("a", 2)]),
        ledger.append(&condition, vec![about("b", 3)]),
    );
    assert_eq!(one.unwrap().len(), 2);
    assert_eq!(two, Err(LedgerError::Used(operation(1))));
    assert_eq!(ledger.head().await.unwrap().seq, 2);
}

async fn conditions_are_told_in_order(ledger: &dyn Ledger) {
    let name: EnvironmentName = "a".parse().unwrap();
    let lease = ledger.acquire(&operation(1), "one").await.unwrap();
    ledger.append(&Condition::default(), vec![about("a", 1)]).await.unwrap();
    let fences = [lease.fence(), Fence { epoch: 9, ..lease.fence() }];
    // Whether the fence, the operation, the environment and the head fit.
    for bits in 0..16_u8 {
        let holds = [0, 1, 2, 3].map(|bit| bits & (1 << bit) == 0);
        let head = ledger.head().await.unwrap().seq;
        let last = ledger.read(Filter::Environment(name.clone()), 0).await.unwrap().last().unwrap().seq;
        let condition = Condition {
            fence: Some(fences[usize::from(!holds[0])].clone()),
            unused: Some(operation(if holds[1] { 2 } else { 1 })),
            environment_head: Some((name.clone(), last + u64::from(!holds[2]))),
            head: Some(head + u64::from(!holds[3])),
        };
        let epoch = condition.fence.as_ref().map_or(0, |fence| fence.epoch);
        let written = ledger.append(&condition, vec![Entry { epoch, ..about("a", 2) }]).await;
        let expected = holds.iter().position(|holds| !holds);
        let found = match written {
            Ok(_) => None,
            Err(LedgerError::Fenced { .. }) => Some(0),
            Err(LedgerError::Used { .. }) => Some(1),
            Err(LedgerError::Stale { .. }) => Some(2),
            Err(LedgerError::HeadMoved { .. }) => Some(3),
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(found, expected, "{bits:04b}");
        assert_eq!(ledger.head().await.unwrap().seq, head + u64::from(expected.is_none()));
    }
}

async fn what_cannot_follow_is_refused_as_a_whole(ledger: &dyn Ledger) {
    let none = Condition::default();
    let good = |number| Story::new(plan(number, Action::Provision), 0).entries;
    ledger.append(&none, good(1)).await.unwrap();
    let again: Vec<Entry> = good(2).into_iter().chain(good(1)).collect();
    let (refused, other) = tokio::join!(ledger.append(&none, again), ledger.append(&none, good(3)));
    assert!(matches!(refused, Err(LedgerError::IllegalRecord(_))), "{refused:?}");
    assert_eq!(other.unwrap()[0].seq, 2);
    let known = ledger.operations(Operations::All).await.unwrap();
    let known: Vec<_> = known.into_iter().map(|operation| operation.operation).collect();
    assert_eq!(known, [operation(1), operation(3)]);
    assert_eq!(ledger.append(&none, good(2)).await.unwrap()[0].seq, 3);
}

async fn rows_stand_for_the_records(ledger: &dyn Ledger) {
    let named = || Environments::Named("demo".parse().unwrap());
    let mut phases: Vec<String> = Vec::new();
    for record in life() {
        let written = ledger.append(&Condition::default(), vec![record.entry]).await.unwrap();
        assert_eq!(written[0].hash, record.hash);
        let phase = ledger.environments(named()).await.unwrap()[0].phase.clone();
        if phases.last() != Some(&phase) {
            phases.push(phase);
        }
    }
    assert_eq!(phases, ["awaiting-approval", "provisioning", "ready", "tearing-down", "gone"]);
    assert_eq!(ledger.environments(Environments::Present).await.unwrap(), []);
    assert_eq!(ledger.operations(Operations::All).await.unwrap().len(), 3);
}

async fn a_lease_is_held_until_it_expires_or_is_released(Subject { ledger, advance }: &Subject) {
    let op = operation(1);
    let term = SignedDuration::from_secs(LEASE_SECONDS);
    let second = SignedDuration::from_secs(1);
    let is_held = |result: Result<_, LedgerError>| matches!(result, Err(LedgerError::LeaseHeld { .. }));
    let one = ledger.acquire(&op, "one").await.unwrap();
    assert_eq!(one.epoch, 1);
    advance(term - second * 5);
    let held = ledger.acquire(&op, "two").await;
    let (operation, holder, until) = (op.clone(), "one".to_owned(), one.until);
    assert_eq!(held, Err(LedgerError::LeaseHeld { operation, holder, until }));
    let one = ledger.renew(&one).await.unwrap();
    assert!(one.until >= until + term - second * 5);
    advance(term - second * 5);
    assert!(is_held(ledger.acquire(&op, "two").await));

    advance(second * 5);
    let two = ledger.acquire(&op, "two").await.unwrap();
    assert_eq!(two.epoch, 2);
    let fenced = ledger.renew(&one).await;
    assert!(matches!(fenced, Err(LedgerError::Fenced { epoch: 1, current: 2, .. })), "{fenced:?}");
    // A late release by the old holder changes nothing.
    assert_eq!(ledger.release(&one).await, Ok(()));
    assert!(ledger.renew(&two).await.is_ok());

    assert_eq!(ledger.release(&two).await, Ok(()));
    assert!(ledger.renew(&two).await.is_err());
    let three = ledger.acquire(&op, "three").await.unwrap();
    assert_eq!(three.epoch, 3);
    let again = ledger.acquire(&op, "three").await.unwrap();
    assert_eq!(again.epoch, 4);
}

async fn a_writer_whose_lease_was_taken_over_is_refused(Subject { ledger, advance }: &Subject) {
    let op = operation(1);
    let under = |epoch| Entry { epoch, ..about("a", 1) };
    let one = ledger.acquire(&op, "one").await.unwrap();
    let fence = Condition::fenced(&one);
    assert!(ledger.append(&fence, vec![under(1)]).await.is_ok());
    let unmarked = ledger.append(&fence, vec![under(1), under(0)]).await;
    assert!(matches!(unmarked, Err(LedgerError::Entry { .. })));

    advance(SignedDuration::from_secs(LEASE_SECONDS));
    let two = ledger.acquire(&op, "two").await.unwrap();
    let fenced = ledger.append(&fence, vec![under(1)]).await;
    assert!(matches!(fenced, Err(LedgerError::Fenced { .. })));
    assert!(ledger.append(&Condition::fenced(&two), vec![under(2)]).await.is_ok());
    ledger.release(&two).await.unwrap();
    let released = ledger.append(&Condition::fenced(&two), vec![under(2)]).await;
    assert!(matches!(released, Err(LedgerError::Fenced { .. })));
    assert_eq!(ledger.head().await.unwrap().seq, 2);
}

async fn epochs_continue_from_imported_records(ledger: &dyn Ledger) {
    let imported = Entry { epoch: 9, ..about("a", 1) };
    ledger.append(&Condition::default(), vec![imported]).await.unwrap();
    let lease = ledger.acquire(&operation(1), "one").await.unwrap();
    assert_eq!(lease.epoch, 10);
}
