//! The whole crash matrix: every single crash of all templates, and all pairs
//! of T1 and T3. With numbers of templates, every single crash and all pairs
//! of those alone.
//!
//! `cargo run --release -p exokit-simtest --example matrix -- 1`

use std::process::ExitCode;

use exokit_simtest::matrix::{Extent, Pairs, all_cells, run, table};

/// The work is made of small allocations; the product keeps the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let named: Vec<u16> = match std::env::args().skip(1).map(|word| word.parse()).collect() {
        Ok(named) => named,
        Err(error) => {
            eprintln!("error: reading the numbers of templates, such as 1 3: {error}");
            return ExitCode::from(2);
        }
    };
    let all = Extent { every_await: true, pairs: Pairs::Share { firsts: 1, seconds: 1 } };
    let rows = match named.is_empty() {
        true => run(&all_cells(), |template, _| match template {
            1 | 3 => all,
            _ => Extent { pairs: Pairs::None, ..all },
        }),
        false => {
            let cells: Vec<_> = all_cells().into_iter().filter(|(t, _)| named.contains(t)).collect();
            run(&cells, |_, _| all)
        }
    };
    let wrong: Vec<&String> = rows.iter().flat_map(|row| &row.wrong).collect();
    wrong.iter().for_each(|line| eprintln!("{line}"));
    println!("{}\n{} violations.", table(&rows), wrong.len());
    match wrong.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
