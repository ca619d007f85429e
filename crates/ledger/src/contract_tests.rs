//! What every ledger must do, run against each of them.

use exokit_model::event::Entry;
use exokit_model::ids::EnvironmentName;

use crate::testing::{at, entry, operation};
use crate::verify::verify;
use crate::{Condition, Fence, Filter, Head, Ledger, LedgerError, MemoryLedger, SqliteLedger};

/// Runs `check` on an empty ledger of each sort.
fn check<F, R>(check: F)
where
    F: Fn(Box<dyn Ledger>) -> R,
    R: Future<Output = ()>,
{
    let folder = tempfile::tempdir().unwrap();
    let sorts: [Box<dyn Ledger>; 2] =
        [Box::new(MemoryLedger::new()), Box::new(SqliteLedger::open(folder.path()).unwrap())];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for ledger in sorts {
        runtime.block_on(check(ledger));
    }
}

fn about(environment: &str, number: u64) -> Entry {
    Entry { environment: Some(environment.parse().unwrap()), operation: Some(operation(1)), ..entry(number) }
}

#[test]
fn records_come_back_in_order_and_chained() {
    check(async |ledger| {
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
            (environment("a"), 0, &written[1..2]),
            (environment("b"), 2, &written[2..]),
            (environment("c"), 0, &[]),
            (Filter::Operation(operation(1)), 0, &written[1..]),
            (Filter::Operation(operation(2)), 0, &[]),
        ] {
            assert_eq!(ledger.read(filter, after).await.unwrap(), expected);
        }
    });
}

#[test]
fn of_two_who_read_one_state_only_one_writes() {
    check(async |ledger| {
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
    });
}

/// What demands that nothing is known of this operation.
fn unused(number: u8) -> Condition {
    Condition { unused: Some(operation(number)), ..Condition::default() }
}

#[test]
fn an_operation_is_begun_once() {
    check(async |ledger| {
        let used = Err(LedgerError::Used { operation: operation(1) });
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
    });
}

#[test]
fn of_two_who_begin_an_operation_at_once_only_one_writes() {
    check(async |ledger| {
        let condition = unused(1);
        let (one, two) = tokio::join!(
            ledger.append(&condition, vec![about("a", 1), about("a", 2)]),
            ledger.append(&condition, vec![about("b", 3)]),
        );
        assert_eq!(one.unwrap().len(), 2);
        assert_eq!(two, Err(LedgerError::Used { operation: operation(1) }));
        assert_eq!(ledger.head().await.unwrap().seq, 2);
    });
}

#[test]
fn all_conditions_must_hold_and_the_first_that_does_not_is_named() {
    check(async |ledger| {
        let name: EnvironmentName = "a".parse().unwrap();
        let lease = ledger.acquire(&operation(1), "one", at(0)).await.unwrap();
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
    });
}

#[test]
fn a_lease_is_held_until_it_expires_or_is_given_back() {
    check(async |ledger| {
        let op = operation(1);
        let held = |until| {
            Err(LedgerError::LeaseHeld {
                operation: operation(1),
                holder: "one".to_owned(),
                until: at(until),
            })
        };
        let one = ledger.acquire(&op, "one", at(0)).await.unwrap();
        assert_eq!((one.epoch, one.until), (1, at(90)));
        assert_eq!(ledger.acquire(&op, "two", at(89)).await, held(90));
        let one = ledger.renew(&one, at(20)).await.unwrap();
        assert_eq!(one.until, at(110));
        assert_eq!(ledger.acquire(&op, "two", at(109)).await, held(110));

        let two = ledger.acquire(&op, "two", at(110)).await.unwrap();
        assert_eq!(two.epoch, 2);
        assert!(matches!(
            ledger.renew(&one, at(111)).await,
            Err(LedgerError::Fenced { epoch: 1, current: 2, .. })
        ));
        // A late release by the old holder changes nothing.
        assert_eq!(ledger.release(&one).await, Ok(()));
        assert!(ledger.renew(&two, at(112)).await.is_ok());

        assert_eq!(ledger.release(&two).await, Ok(()));
        assert!(ledger.renew(&two, at(113)).await.is_err());
        let three = ledger.acquire(&op, "three", at(113)).await.unwrap();
        assert_eq!(three.epoch, 3);
        let again = ledger.acquire(&op, "three", at(114)).await.unwrap();
        assert_eq!(again.epoch, 4);
    });
}

#[test]
fn a_writer_whose_lease_was_taken_over_is_refused() {
    check(async |ledger| {
        let op = operation(1);
        let under = |epoch| Entry { epoch, ..about("a", 1) };
        let one = ledger.acquire(&op, "one", at(0)).await.unwrap();
        let fence = Condition::fenced(&one);
        assert!(ledger.append(&fence, vec![under(1)]).await.is_ok());
        let unmarked = ledger.append(&fence, vec![under(1), under(0)]).await;
        assert!(matches!(unmarked, Err(LedgerError::Entry { .. })));

        let two = ledger.acquire(&op, "two", at(90)).await.unwrap();
        let fenced = ledger.append(&fence, vec![under(1)]).await;
        assert!(matches!(fenced, Err(LedgerError::Fenced { .. })));
        assert!(ledger.append(&Condition::fenced(&two), vec![under(2)]).await.is_ok());
        ledger.release(&two).await.unwrap();
        let released = ledger.append(&Condition::fenced(&two), vec![under(2)]).await;
        assert!(matches!(released, Err(LedgerError::Fenced { .. })));
        assert_eq!(ledger.head().await.unwrap().seq, 2);
    });
}

#[test]
fn epochs_go_on_from_imported_records() {
    check(async |ledger| {
        let imported = Entry { epoch: 9, ..about("a", 1) };
        ledger.append(&Condition::default(), vec![imported]).await.unwrap();
        let lease = ledger.acquire(&operation(1), "one", at(0)).await.unwrap();
        assert_eq!(lease.epoch, 10);
    });
}
