//! The crash matrix: every template and verb, an engine that dies at every
//! await, and a share of the pairs of deaths. Prints one table.
//!
//! All pairs are run by `cargo run --release -p exokit-simtest --example
//! matrix`, which takes an hour.

use std::io::Write as _;

use exokit_simtest::matrix::{Extent, Pairs, Row, all_cells, run, sum, table};
use exokit_simtest::scenario::Verb;

/// Of T1 a crash at every await, of the others one at each distinct state. After
/// a share of those states a second crash, at a share of the states along the
/// recovery, each time others.
fn extent(template: u16, _verb: Verb) -> Extent {
    match template {
        1 => Extent { every_await: true, pairs: Pairs::Share { firsts: 2, seconds: 61 } },
        _ => Extent { every_await: false, pairs: Pairs::Share { firsts: 32, seconds: 61 } },
    }
}

#[test]
fn a_crash_at_every_await_and_again_while_it_recovers_leaves_nothing_wrong() {
    let rows = run(&all_cells(), extent);
    // Not through the macro, whose output the test runner keeps to itself.
    let written = std::io::stderr().write_all(table(&rows).as_bytes());
    assert!(written.is_ok());
    let wrong: Vec<&String> = rows.iter().flat_map(|row| &row.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    rows.iter().for_each(nothing_is_vacuous);
    let all = sum(&rows);
    assert!(all.adopted > 0 && all.absent > 0, "{all:?}");
}

/// Every await, or every distinct state, was a crash point, and the crashes had
/// their effects.
fn nothing_is_vacuous(Row { template, verb, counts, .. }: &Row) {
    let name = format!("T{template} {verb}: {counts:?}");
    match extent(*template, *verb).every_await {
        true => assert_eq!(counts.crashes, counts.awaits + counts.lost, "{name}"),
        false => assert_eq!(counts.crashes, counts.states, "{name}"),
    }
    assert!(counts.lost > 0 && counts.late > 0 && counts.pairs_run > 0, "{name}");
    if matches!(verb, Verb::Provision | Verb::Rollback) {
        assert!(counts.adopted > 0 && counts.absent > 0, "both outcomes of doubt were met: {name}");
    }
}
