//! Time to ready in virtual time: our time beside the critical path of the
//! cloud's own latencies, for every template, on first use and with history,
//! and beside walks with fewer steps at once.
//!
//! `cargo xtask bench ready`

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use exokit_simtest::bench::figures::{greatest, median};
use exokit_simtest::bench::provision::{Measured, provision};
use exokit_simtest::bench::{Failure, Latencies, MISSED, named};
use exokit_simtest::parallel::{side_by_side, threads};
use exokit_simtest::rig::Rig;

/// Measures the time to ready and judges it by the limits.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench ready")]
struct Args {
    /// Seeds of drawn latencies.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Environments of the same template made before the one with history.
    #[arg(long, default_value_t = 5)]
    earlier: u64,
    /// API budget in requests per second, with bursts of as many.
    #[arg(long, default_value_t = 10)]
    budget: u32,
    /// Most time on first use, in critical paths.
    #[arg(long, default_value_t = 1.05)]
    first_max: f64,
    /// Most time with history, in critical paths.
    #[arg(long, default_value_t = 1.02)]
    history_max: f64,
    /// Most API calls of a T7.
    #[arg(long, default_value_t = 320)]
    calls_max: u64,
}

const TEMPLATES: std::ops::RangeInclusive<u16> = 1..=7;

/// The template that the limit of API calls is for.
const BUSIEST: u16 = 7;

/// How one template fares in one setting.
struct Fared {
    template: u16,
    first: Measured,
    history: Measured,
    sequential: Measured,
    ten: Measured,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match report(&args) {
        Ok(missed) if missed.is_empty() => {
            println!("\nAll limits are kept.");
            ExitCode::SUCCESS
        }
        Ok(missed) => {
            println!("\nMissed: {}.", missed.join("; "));
            ExitCode::from(MISSED)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the section. Returns the limits that were missed.
fn report(args: &Args) -> Result<Vec<String>, Failure> {
    println!(
        "The engine, unmodified, against the simulated cloud in virtual time; round trip 60 ms, API budget\n\
         {} requests/s. *Critical path*: the longest path through the plan's graph when nothing takes time but\n\
         the cloud, with the latencies that it really took in that run. *First use*: an empty ledger. *With\n\
         history*: the ledger knows {} earlier environments of the template. *One at a time* and *ten at once*:\n\
         first use with `--parallelism 1` and `--parallelism 10`, where a step holds its slot until its resource\n\
         is ready. All times are in seconds, all ratios to the critical path of the same run.",
        args.budget, args.earlier
    );
    let middle = all(args, &[Latencies::Middle])?;
    println!("\nEvery latency at the middle of its measured range:\n");
    print_middle(&middle);
    let seeds: Vec<Latencies> = (1..=args.seeds).map(Latencies::Drawn).collect();
    let drawn = all(args, &seeds)?;
    println!("\nLatencies drawn from the measured ranges, {} seeds; median, and worst:\n", args.seeds);
    print_drawn(&drawn);
    println!(
        "\nLimits: first use {}, with history {}, T{BUSIEST} {} API calls.",
        args.first_max, args.history_max, args.calls_max
    );
    let mut missed = judge(args, "middle", &middle);
    missed.extend(judge(args, "drawn", &drawn));
    Ok(missed)
}

/// All templates in all settings, in order of the templates.
fn all(args: &Args, settings: &[Latencies]) -> Result<Vec<Fared>, Failure> {
    let cases: Vec<(u16, Latencies)> =
        TEMPLATES.flat_map(|template| settings.iter().map(move |setting| (template, *setting))).collect();
    let fared = side_by_side(&cases, threads(), |(template, setting)| fare(args, *template, *setting));
    fared.into_iter().collect()
}

fn fare(args: &Args, template: u16, latencies: Latencies) -> Result<Fared, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let (first, history) = twice(args, template, latencies).await?;
        let sequential = with_slots(args, template, latencies, 1).await?;
        let ten = with_slots(args, template, latencies, 10).await?;
        Ok(Fared { template, first, history, sequential, ten })
    })
}

async fn rig(args: &Args, latencies: Latencies) -> Rig {
    let mut rig = Rig::new(latencies.config());
    rig.budget_per_second = args.budget;
    rig.install_roster().await;
    rig
}

/// The first environment of a ledger, and one after some others.
async fn twice(args: &Args, template: u16, latencies: Latencies) -> Result<(Measured, Measured), Failure> {
    let rig = rig(args, latencies).await;
    let first = provision(&rig, named(template, "first")?).await?;
    for number in 1..args.earlier {
        provision(&rig, named(template, &format!("earlier-{number}"))?).await?;
    }
    let history = provision(&rig, named(template, "history")?).await?;
    Ok((first, history))
}

async fn with_slots(
    args: &Args,
    template: u16,
    latencies: Latencies,
    slots: usize,
) -> Result<Measured, Failure> {
    let mut rig = rig(args, latencies).await;
    rig.steps_at_once = NonZeroUsize::new(slots);
    provision(&rig, named(template, "slots")?).await
}

fn print_middle(fared: &[Fared]) {
    println!(
        "| template | resources | critical path | first use | ratio | with history | ratio \
         | one at a time | ten at once | API calls first | with history |\n\
         |---|---|---|---|---|---|---|---|---|---|---|"
    );
    for fared in fared {
        let Fared { template, first, history, sequential, ten } = fared;
        println!(
            "| T{template} | {} | {:.1} | {:.1} | {:.3} | {:.1} | {:.3} | {:.1} | {:.1} | {} | {} |",
            first.resources,
            first.critical.as_secs_f64(),
            first.ours.as_secs_f64(),
            first.ratio(),
            history.ours.as_secs_f64(),
            history.ratio(),
            sequential.ours.as_secs_f64(),
            ten.ours.as_secs_f64(),
            first.calls,
            history.calls,
        );
    }
}

fn print_drawn(fared: &[Fared]) {
    println!(
        "| template | critical path | first use ratio | worst | with history ratio | worst \
         | one at a time ratio | ten at once ratio | most API calls |\n|---|---|---|---|---|---|---|---|---|"
    );
    for template in TEMPLATES {
        let of = |figure: &dyn Fn(&Fared) -> f64| -> Vec<f64> {
            fared.iter().filter(|fared| fared.template == template).map(figure).collect()
        };
        let (first, history) = (of(&|f| f.first.ratio()), of(&|f| f.history.ratio()));
        println!(
            "| T{template} | {:.1} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {} |",
            median(&of(&|f| f.first.critical.as_secs_f64())),
            median(&first),
            greatest(&first),
            median(&history),
            greatest(&history),
            median(&of(&|f| f.sequential.ratio())),
            median(&of(&|f| f.ten.ratio())),
            greatest(&of(&|f| f.first.calls.max(f.history.calls) as f64)),
        );
    }
}

/// The limits that some run missed.
fn judge(args: &Args, setting: &str, fared: &[Fared]) -> Vec<String> {
    let worst = |figure: &dyn Fn(&Fared) -> f64| greatest(&fared.iter().map(figure).collect::<Vec<_>>());
    let calls = |fared: &Fared| {
        if fared.template == BUSIEST { fared.first.calls.max(fared.history.calls) } else { 0 }
    };
    let found = [
        ("first use", worst(&|fared| fared.first.ratio()), args.first_max),
        ("with history", worst(&|fared| fared.history.ratio()), args.history_max),
        ("API calls", worst(&|fared| calls(fared) as f64), args.calls_max as f64),
    ];
    let missed = found.iter().filter(|(_, worst, limit)| worst > limit);
    missed.map(|(what, worst, limit)| format!("{what}, {setting}: {worst:.3} instead of {limit}")).collect()
}
