//! Lives under seeded schedules of faults, as many as asked for, and the
//! replay of one.
//!
//! `cargo xtask swarm --seeds 20000 --from 0`

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use exokit_model::event::{Event, Record};
use exokit_simtest::parallel::side_by_side;
use exokit_simtest::swarm::effect::Coverage;
use exokit_simtest::swarm::minimise::{invariant, minimise};
use exokit_simtest::swarm::schedule::Schedule;
use exokit_simtest::swarm::{self, Report, generate};

/// The work is made of small allocations; the product keeps the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs seeded schedules of faults against the engine and judges each run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask swarm", after_help = EXAMPLES)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only these faults of the failure model, such as `F9,F16`.
    #[arg(long, value_delimiter = ',', value_parser = fault)]
    faults: Vec<u8>,
    /// How many runs at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Fail when an effect was seen less often, or a cell of the table is
    /// empty.
    #[arg(long)]
    least: Option<u64>,
    /// Every so many seeds there is a life that is asked for over a bus, too.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    bus_every: u64,
    /// Replay the schedule in this file instead.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Where failing schedules are written, shrunk to what matters.
    #[arg(long, default_value = "target/swarm")]
    keep: PathBuf,
}

const EXAMPLES: &str = "Examples:
  cargo xtask swarm --seeds 20000 --least 50
  cargo xtask swarm --seeds 1 --from 4711
  cargo xtask swarm --seeds 5000 --faults F9,F16
  cargo xtask swarm --replay target/swarm/4711.json";

fn fault(text: &str) -> Result<u8, String> {
    let number = text.trim_start_matches(['F', 'f']);
    number.parse().map_err(|_| format!("a fault is F1 to F35, not {text:?}"))
}

/// Failing seeds of one kind that are told in full; the others are counted.
const TOLD_MAX: usize = 2;

/// So many seeds are run one after the other on one thread.
const PART: usize = 50;

/// Every so many seeds one is run twice, which must give the same trace.
const TWICE: u64 = 50;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.replay {
        Some(path) => replay(path),
        None => swarm_of(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn replay(path: &Path) -> Result<(), String> {
    let text = std::fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
    let schedule: Schedule = serde_json::from_slice(&text)
        .map_err(|error| format!("{} is no schedule: {error}", path.display()))?;
    let report = played(&schedule)?;
    for record in &report.records {
        println!("{}", line_of(record));
    }
    report.journal.iter().for_each(|line| println!("{line}"));
    println!("{}\ntrace {}", report.coverage, report.trace);
    match report.wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(wrong.join("\n       ")),
    }
}

/// A record without the documents in it.
fn line_of(record: &Record) -> String {
    let event = &record.entry.event;
    let told = match event {
        Event::PlanProposed { .. } | Event::ApprovalRecorded { .. } | Event::RosterInstalled { .. } => {
            String::new()
        }
        _ => serde_json::to_string(event).unwrap_or_default(),
    };
    format!("{} {} e{} {} {told}", record.seq, record.entry.at, record.entry.epoch, event.name())
}

fn played(schedule: &Schedule) -> Result<Report, String> {
    swarm::run(schedule).map_err(|error| format!("starting a runtime: {error}"))
}

/// What some runs found.
#[derive(Default)]
struct Found {
    coverage: Coverage,
    /// By seed, and whether it is the life over a bus.
    bad: BTreeMap<(u64, bool), Vec<String>>,
    runs: u64,
}

fn swarm_of(args: &Args) -> Result<(), String> {
    check_canary()?;
    let until = args.from.saturating_add(args.seeds);
    let parts: Vec<_> =
        (args.from..until).step_by(PART).map(|from| from..until.min(from + PART as u64)).collect();
    let mut found = Found::default();
    let progress = Progress { done: AtomicU64::new(0), of: args.seeds };
    let work = |seeds: &Range<u64>| {
        let part = runs(seeds.clone(), args);
        part.iter().for_each(|part| progress.tell(part));
        part
    };
    for part in side_by_side(&parts, args.jobs, work) {
        let part = part?;
        found.coverage.add(&part.coverage);
        found.bad.extend(part.bad);
        found.runs += part.runs;
    }
    tell(args, &found)
}

/// How far a long run is.
struct Progress {
    done: AtomicU64,
    of: u64,
}

impl Progress {
    /// Tells of each failing seed at once, and of every twentieth of the work.
    fn tell(&self, part: &Found) {
        part.bad.iter().for_each(|((seed, _), wrong)| eprintln!("seed {seed} is bad: {}", wrong[0]));
        let before = self.done.fetch_add(part.runs, Ordering::Relaxed);
        let twentieth = |runs: u64| runs.saturating_mul(20) / self.of.max(1);
        if twentieth(before) < twentieth(before + part.runs) {
            eprintln!("{} of {} runs", before + part.runs, self.of);
        }
    }
}

/// The runs of some seeds, one after the other.
fn runs(mut seeds: Range<u64>, args: &Args) -> Result<Found, String> {
    let mut found = Found::default();
    seeds.try_for_each(|seed| one(seed, args, &mut found))?;
    Ok(found)
}

fn one(seed: u64, args: &Args, own: &mut Found) -> Result<(), String> {
    own.runs += 1;
    one_schedule(seed, generate::schedule(seed).only(&args.faults), own)?;
    if seed.is_multiple_of(args.bus_every) {
        one_schedule(seed, generate::conversation(seed).only(&args.faults), own)?;
    }
    Ok(())
}

fn one_schedule(seed: u64, schedule: Schedule, own: &mut Found) -> Result<(), String> {
    let mut report = played(&schedule)?;
    if seed.is_multiple_of(TWICE) && played(&schedule)?.trace != report.trace {
        report.wrong.push("I31 the same schedule gave another trace".to_owned());
    }
    own.coverage.add(&report.coverage);
    if !report.wrong.is_empty() {
        own.bad.insert((seed, schedule.bus), report.wrong);
    }
    Ok(())
}

/// A run that must fail: without it nobody would notice a judge that is blind.
fn check_canary() -> Result<(), String> {
    let canaries = [(generate::canary(), "I2 orphan"), (generate::canary_on_the_bus(), "F14")];
    for (schedule, told) in canaries {
        let report = played(&schedule)?;
        if !report.wrong.iter().any(|finding| finding.starts_with(told)) {
            return Err(format!("the canary was not found out: {:?}", report.wrong));
        }
    }
    Ok(())
}

fn tell(args: &Args, found: &Found) -> Result<(), String> {
    println!("{}", found.coverage);
    println!("{} runs, {} bad", found.runs, found.bad.len());
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let told = found.bad.iter().filter(|(_, wrong)| {
        let kind: String = wrong[0].chars().filter(|c| !c.is_ascii_digit()).take(30).collect();
        let count = kinds.entry(kind).or_default();
        *count += 1;
        *count <= TOLD_MAX
    });
    for ((seed, bus), wrong) in told {
        println!("\nseed {seed}{}:", if *bus { ", over a bus" } else { "" });
        wrong.iter().take(8).for_each(|finding| println!("  {finding}"));
        shrink((*seed, *bus), &wrong[0], args)?;
    }
    let mut by_invariant: BTreeMap<&str, u64> = BTreeMap::new();
    for wrong in found.bad.values() {
        *by_invariant.entry(invariant(&wrong[0])).or_default() += 1;
    }
    let gaps = args.least.map(|least| found.coverage.gaps(least, &args.faults)).unwrap_or_default();
    gaps.iter().for_each(|gap| println!("gap: {gap}"));
    match (found.bad.is_empty(), gaps.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("{} of {} runs are bad: {by_invariant:?}", found.bad.len(), found.runs)),
        (true, false) => Err(format!("{} effects or cells were not seen often enough", gaps.len())),
    }
}

/// Shrinks a failing schedule, keeps it, and says how to replay it.
fn shrink((seed, bus): (u64, bool), finding: &str, args: &Args) -> Result<(), String> {
    let drawn = if bus { generate::conversation(seed) } else { generate::schedule(seed) };
    let schedule = drawn.only(&args.faults);
    let mut fails = |candidate: &Schedule| played(candidate).map(|report| report.wrong).unwrap_or_default();
    let (small, runs) = minimise(&schedule, invariant(finding), &mut fails);
    let file = args.keep.join(format!("{seed}{}.json", if bus { "-bus" } else { "" }));
    let text = serde_json::to_string_pretty(&small).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&args.keep)
        .and_then(|()| std::fs::write(&file, text))
        .map_err(|error| format!("writing {}: {error}", file.display()))?;
    let items = (schedule.items.len(), small.items.len());
    println!("  shrunk from {} to {} items in {runs} runs; replay with:", items.0, items.1);
    println!("  cargo xtask swarm --replay {}", file.display());
    Ok(())
}
