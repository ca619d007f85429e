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
    /// Only these, such as `AnyBody,AnySeal`; what each is found by is told in
    /// full.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// What became of a mistake.
enum End {
    /// It was found with this many seeds, by this.
    Found(u64, String),
    /// It survived.
    Survived,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let named = |mutant: &Mutant| args.only.is_empty() || args.only.contains(&format!("{mutant:?}"));
    let mutants: Vec<Mutant> = Mutant::ALL.iter().copied().filter(named).collect();
    let ends = side_by_side(&mutants, args.jobs, |mutant| hunt(*mutant, args.budget));
    if !args.only.is_empty() {
        tell_in_full(&mutants, &ends);
    }
    tell(&mutants, &ends)
}

fn hunt(mutant: Mutant, budget: u64) -> End {
    plant(Some(mutant));
    let finding = (0..budget).find_map(|seed| {
        let schedule = match mutant.is_over_a_bus() {
            true => generate::conversation(seed),
            false => generate::schedule(seed),
        };
        let report = swarm::run(&schedule).ok()?;
        report.wrong.first().map(|finding| (seed + 1, finding.clone()))
    });
    plant(None);
    match finding {
        Some((seeds, finding)) => End::Found(seeds, finding),
        None => End::Survived,
    }
}

fn tell_in_full(mutants: &[Mutant], ends: &[End]) {
    for (mutant, end) in mutants.iter().zip(ends) {
        if let End::Found(_, finding) = end {
            println!("{mutant:?}: {finding}");
        }
    }
    println!();
}

fn tell(mutants: &[Mutant], ends: &[End]) -> ExitCode {
    println!("| mistake | what it does | in lives | found by | after seeds |\n|---|---|---|---|---|");
    let mut survivors = 0;
    for (mutant, end) in mutants.iter().zip(ends) {
        let (by, after) = match end {
            End::Found(seeds, finding) => (invariant(finding), seeds.to_string()),
            End::Survived => {
                survivors += 1;
                ("–", "survived".to_owned())
            }
        };
        let lives = if mutant.is_over_a_bus() { "over a bus" } else { "direct" };
        println!("| {mutant:?} | {} | {lives} | {by} | {after} |", mutant.breaks());
    }
    println!("\n{} mistakes, {survivors} survived", ends.len());
    match survivors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
