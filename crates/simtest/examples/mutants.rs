//! Whether the swarm finds mistakes: each one is planted in turn, and seeds
//! are run until the judge finds it.
//!
//! `cargo xtask mutants`

use std::process::ExitCode;

use clap::Parser;
use exokit_mutant::{Mutant, plant};
use exokit_simtest::parallel::side_by_side;
use exokit_simtest::swarm::minimise::invariant;
use exokit_simtest::swarm::{self, generate};

/// The work is made of small allocations; the product keeps the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plants each mistake in turn and counts the seeds until it is found.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask mutants")]
struct Args {
    /// How many seeds a mistake may survive.
    #[arg(long, default_value_t = 3000)]
    budget: u64,
    /// How many mistakes at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

/// What became of a mistake.
enum End {
    /// It was found with this many seeds, by this invariant.
    Found(u64, String),
    /// It survived.
    Survived,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ends = side_by_side(Mutant::ALL, args.jobs, |mutant| hunt(*mutant, args.budget));
    tell(&ends)
}

fn hunt(mutant: Mutant, budget: u64) -> End {
    plant(Some(mutant));
    let finding = (0..budget).find_map(|seed| {
        let report = swarm::run(&generate::schedule(seed)).ok()?;
        report.wrong.first().map(|finding| (seed + 1, invariant(finding).to_owned()))
    });
    plant(None);
    match finding {
        Some((seeds, invariant)) => End::Found(seeds, invariant),
        None => End::Survived,
    }
}

fn tell(ends: &[End]) -> ExitCode {
    println!("| mistake | what it does | found by | after seeds |\n|---|---|---|---|");
    let mut survivors = 0;
    for (mutant, end) in Mutant::ALL.iter().zip(ends) {
        let (by, after) = match end {
            End::Found(seeds, invariant) => (invariant.as_str(), seeds.to_string()),
            End::Survived => {
                survivors += 1;
                ("–", "survived".to_owned())
            }
        };
        println!("| {mutant:?} | {} | {by} | {after} |", mutant.breaks());
    }
    println!("\n{} mistakes, {survivors} survived", ends.len());
    match survivors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
