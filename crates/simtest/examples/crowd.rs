//! Many environments at once in one process, with one engine and one API
//! budget, in virtual time: whether each is ready, and how late.
//!
//! `cargo xtask bench crowd`

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant as RealInstant};

use clap::Parser;
use exokit_engine::engine::Engine;
use exokit_ledger::OperationState;
use exokit_model::phase::Phase;
use exokit_simtest::bench::critical::{self, Usable};
use exokit_simtest::bench::figures::{greatest, median};
use exokit_simtest::bench::provision::calls;
use exokit_simtest::bench::{Failure, Latencies, MISSED, named, process};
use exokit_simtest::rig::Rig;
use exokit_simtest::setup;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Makes many environments at once and judges the slowest.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench crowd")]
struct Args {
    /// How many environments.
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// Their template.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=7))]
    template: u16,
    /// API budgets in requests per second, with bursts of as many, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [400, 800])]
    budgets: Vec<u32>,
    /// Most time of the slowest, in its critical paths.
    #[arg(long, default_value_t = 1.10)]
    ratio_max: f64,
    /// How many environments are made with ten slots for the whole process, in
    /// comparison; none with 0.
    #[arg(long, default_value_t = 50)]
    compared: usize,
}

/// How often the clusters are looked at for what has become usable.
const RESOLUTION: Duration = Duration::from_secs(1);

/// How precisely the smallest budget is looked for.
const STEP: u32 = 100;

/// What came of a crowd.
struct Crowd {
    ratios: Vec<f64>,
    /// Until the last one was ready, in virtual time.
    until: Duration,
    calls: u64,
    real: Duration,
    cpu: f64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match report(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the section. Says whether a budget kept the limit.
fn report(args: &Args) -> Result<bool, Failure> {
    println!(
        "{} environments of T{} started at the same moment in one process, with one engine, one memory ledger\n\
         and one API budget; latencies drawn from the measured ranges, round trip 60 ms, virtual time. Each was\n\
         planned, proposed and approved before. *Ratio*: time to ready in critical paths of the same environment,\n\
         with the latencies that the cloud really took. *Real* and *CPU* are of the whole process, simulated\n\
         cloud included, from the start to the last one ready.\n",
        args.count, args.template
    );
    println!(
        "| budget, requests/s | ready | median ratio | slowest ratio | all ready after s | API calls | per environment \
         | real s | CPU s |\n|---|---|---|---|---|---|---|---|---|"
    );
    let (mut below, mut kept) = (0, None);
    for budget in &args.budgets {
        match keeps(args, *budget)? {
            true if kept.is_none() => kept = Some(*budget),
            false if kept.is_none() => below = *budget,
            _ => {}
        }
    }
    // Between the last that did not and the first that did.
    while let Some(above) = kept.filter(|above| above - below > STEP) {
        let middle = (below + above) / 2 / STEP * STEP;
        match keeps(args, middle)? {
            true => kept = Some(middle),
            false => below = middle,
        }
    }
    if args.compared > 0 {
        compare(args, kept.or_else(|| args.budgets.last().copied()).unwrap_or(1))?;
    }
    match kept {
        Some(budget) => println!(
            "\nThe smallest budget that keeps the slowest within {} of its critical path is {budget} requests/s.",
            args.ratio_max,
        ),
        None => {
            println!("\nMissed: no budget keeps the slowest within {} of its critical path.", args.ratio_max)
        }
    }
    Ok(kept.is_some())
}

/// The same with ten slots for all of them together.
fn compare(args: &Args, budget: u32) -> Result<(), Failure> {
    let free = run(args.template, args.compared, budget, None)?;
    let ten = run(args.template, args.compared, budget, NonZeroUsize::new(10))?;
    println!(
        "\n{} environments with as many steps as the plans allow are all ready after {:.0} s; with ten slots for \
         the\nwhole process, ten environments at a time with one step each, after {:.0} s.",
        args.compared,
        free.until.as_secs_f64(),
        ten.until.as_secs_f64(),
    );
    Ok(())
}

/// Makes the crowd with a budget, prints its row and says whether the limit was
/// kept.
fn keeps(args: &Args, budget: u32) -> Result<bool, Failure> {
    let crowd = run(args.template, args.count, budget, None)?;
    let count = crowd.ratios.len();
    println!(
        "| {budget} | {count} | {:.3} | {:.3} | {:.1} | {} | {:.1} | {:.1} | {:.1} |",
        median(&crowd.ratios),
        greatest(&crowd.ratios),
        crowd.until.as_secs_f64(),
        crowd.calls,
        crowd.calls as f64 / count as f64,
        crowd.real.as_secs_f64(),
        crowd.cpu,
    );
    Ok(greatest(&crowd.ratios) <= args.ratio_max)
}

/// Makes so many environments at once. With `slots`, so many steps of all of
/// them together are under way: an environment takes one step at a time and
/// waits for its turn.
fn run(template: u16, count: usize, budget: u32, slots: Option<NonZeroUsize>) -> Result<Crowd, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let mut rig = Rig::new(Latencies::Drawn(1).config());
        rig.budget_per_second = u32::MAX;
        rig.install_roster().await;
        let mut approved = Vec::new();
        for number in 0..count {
            approved.push(setup::approved(&rig, named(template, &format!("crowd-{number}"))?).await?);
        }
        rig.budget_per_second = budget;
        rig.steps_at_once = slots.map(|_| NonZeroUsize::MIN);
        measure(&rig, &approved, slots.map_or(count, NonZeroUsize::get)).await
    })
}

async fn measure(rig: &Rig, approved: &[OperationState], at_once: usize) -> Result<Crowd, Failure> {
    let engine = rig.engine();
    let (calls_before, cpu_before, real) = (calls(rig), process::cpu_seconds()?, now());
    let started = Instant::now();
    let turns = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    for (number, state) in approved.iter().enumerate() {
        let (engine, operation, turns) = (engine.clone(), state.operation.clone(), Arc::clone(&turns));
        running.spawn(async move {
            let _turn = turns.acquire().await;
            let phase = engine.run(&operation).await;
            (number, phase, started.elapsed())
        });
    }
    let mut ours = vec![Duration::ZERO; approved.len()];
    let mut usable = Usable::default();
    let all = async {
        while let Some(ended) = running.join_next().await {
            let (number, phase, elapsed) = ended?;
            match phase? {
                Phase::Succeeded => ours[number] = elapsed,
                phase => {
                    return Err::<(), Failure>(
                        format!("{} ended as {phase:?}", approved[number].plan.environment).into(),
                    );
                }
            }
        }
        Ok(())
    };
    usable.watch(rig, RESOLUTION, all).await?;
    let (real, cpu) = (real.elapsed(), process::cpu_seconds()? - cpu_before);
    let calls = calls(rig) - calls_before;
    let ratios = ratios(rig, &engine, approved, &ours, usable).await?;
    let until = ours.iter().copied().max().unwrap_or_default();
    Ok(Crowd { ratios, until, calls, real, cpu })
}

/// The time of each in units of its critical path.
async fn ratios(
    rig: &Rig,
    engine: &Engine,
    approved: &[OperationState],
    ours: &[Duration],
    mut usable: Usable,
) -> Result<Vec<f64>, Failure> {
    let journal = rig.cloud(|world| world.journal().to_vec());
    usable.note_journal(&journal);
    let mut ratios = Vec::new();
    for (state, ours) in approved.iter().zip(ours) {
        let state = engine.operation(&state.operation).await?;
        let critical =
            critical::of(&state, &usable, &journal).ok_or("the cloud does not know what was made")?;
        ratios.push(ours.as_secs_f64() / critical.as_secs_f64());
    }
    Ok(ratios)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> RealInstant {
    RealInstant::now()
}
