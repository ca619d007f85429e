//! What environments under way cost in memory: each is being made and waits
//! for the cloud, which is another process.
//!
//! `cargo xtask bench memory`
//!
//! This program starts itself twice for each template: as the process of the
//! engine, whose memory is measured, and by that as the simulated cloud.

use std::alloc::System;
use std::io::{BufRead as _, BufReader, Read as _};
use std::num::NonZeroU32;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use exokit_cloud::budget::Budget;
use exokit_cloud::client::Client;
use exokit_cloud::config;
use exokit_cloud::network::{NetworkOptions, real};
use exokit_engine::engine::{Engine, Parts, Watcher};
use exokit_ledger::SqliteLedger;
use exokit_model::approval::Decision;
use exokit_model::event::{Event, Record};
use exokit_model::ids::OperationId;
use exokit_sim::{Config, LatencyTable, Range, ServeOptions, Speed, serve};
use exokit_simtest::bench::figures::slope;
use exokit_simtest::bench::{Failure, named, process, without_quotas};
use exokit_simtest::rig::{Rig, VOTERS, VirtualClock};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Measures the memory of environments under way.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench memory", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// How many of T1 are under way when memory is looked at, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    counts: Vec<usize>,
    /// The same of T7, which has more in flight each.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000])]
    large: Vec<usize>,
}

/// What this process is.
#[derive(Debug, Subcommand)]
enum Part {
    /// The engine.
    #[command(hide = true)]
    Fly {
        template: u16,
        #[arg(required = true)]
        counts: Vec<usize>,
    },
    /// The cloud; it ends when its standard input does.
    #[command(hide = true)]
    Cloud,
}

/// How many environments are between their plan and their wait at once.
const RISING_MAX: usize = 64;

/// How long all is left alone before memory is looked at.
const CALM: Duration = Duration::from_secs(20);

/// How long the cloud takes for what is waited for: longer than anything here.
const LONG_MS: u64 = 6 * 3_600_000;

/// How long it takes for the rest.
const SHORT_MS: u64 = 100;

/// What every template of the measurement waits for.
const AWAITED: &str = "cluster";

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.part {
        None => report(&args),
        Some(Part::Fly { template, counts }) => block_on(fly(*template, counts)),
        Some(Part::Cloud) => block_on(cloud()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Prints the section.
fn report(args: &Args) -> Result<(), Failure> {
    println!(
        "Environments that are being made, each in a task of one engine, with its lease, waiting for the cloud to\n\
         make its cluster (and, for T7, its database). The simulated cloud is another process, reached over HTTP\n\
         on the loopback interface in real time; the ledger is SQLite on disk. *Resident* is what the kernel\n\
         counts for the process of the engine, *allocated* what its Rust code holds of the heap, without SQLite; both\n\
         hold the buffers of connections that wait for their next use. *Open files* are connections, and one\n\
         file for all leases.\n\
         T1 is the smallest template and needs no votes; T7 is the largest."
    );
    for (template, counts) in [(1, &args.counts), (7, &args.large)] {
        one(template, counts)?;
    }
    Ok(())
}

/// The table of one template.
fn one(template: u16, counts: &[usize]) -> Result<(), Failure> {
    let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
    let mut words = vec!["fly".to_owned(), template.to_string()];
    words.extend(counts);
    let output = own(&words)?.stdout(Stdio::piped()).spawn()?.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("the engine failed: {}", output.status).into());
    }
    println!(
        "\nT{template}:\n\n| under way | resident MB | allocated MB | open files | CPU s so far |\n|---|---|---|---|---|"
    );
    let (mut resident, mut allocated, mut about) = (Vec::new(), Vec::new(), Value::Null);
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let found: Value = serde_json::from_slice(line)?;
        let of = |key: &str| found[key].as_f64().unwrap_or(f64::NAN);
        let count = of("count");
        println!(
            "| {count} | {:.1} | {:.1} | {:.0} | {:.0} |",
            of("resident") / 1e6,
            of("allocated") / 1e6,
            of("files"),
            of("cpu"),
        );
        resident.push((count, of("resident")));
        allocated.push((count, of("allocated")));
        about = found;
    }
    if let (Some(resident), Some(allocated)) = (slope(&resident), slope(&allocated)) {
        println!(
            "\nEach further environment: {resident:.0} bytes resident, {allocated:.0} bytes allocated, of which {} \
             are the\nstate of its task. Its plan has {} bytes in canonical JSON.",
            about["task"], about["plan"]
        );
    }
    Ok(())
}

/// This program again.
fn own(words: &[String]) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words);
    Ok(command)
}

/// The simulated cloud, until standard input ends.
async fn cloud() -> Result<(), Failure> {
    let awaited = ["create-sks-cluster", "dbaas-running"];
    let latency = LatencyTable {
        by_operation: awaited.map(|id| (id.to_owned(), Range::new(LONG_MS, LONG_MS))).into(),
        other: Range::new(SHORT_MS, SHORT_MS),
    };
    let clock = VirtualClock::start();
    let running = serve(ServeOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        sos_listen: None,
        speed: Speed::Times(1.0),
        state: None,
        faults: None,
        record: None,
        control_plane: exokit_sim::ControlPlane::Simulated,
        config: without_quotas(Config { latency, ..Config::default() }),
        now: Arc::new(move || exokit_cloud::clock::Clock::now(&clock).as_millisecond()),
    })
    .await?;
    println!("{}", running.announcement());
    let (ended, over) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Whatever ends the input, nobody is there any more.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let _ = over.await;
    Ok(())
}

/// A cloud in another process, which ends with this value.
struct Cloud {
    process: Child,
    told: Value,
}

impl Cloud {
    fn start() -> Result<Self, Failure> {
        let mut command = own(&["cloud".to_owned()])?;
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = process.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        Ok(Self { process, told: serde_json::from_str(&line)? })
    }

    /// The variables by which a client finds it.
    fn variables(&self) -> std::collections::BTreeMap<String, String> {
        let of = |key: &str| self.told[key].as_str().unwrap_or_default().to_owned();
        [
            ("EXOSCALE_API_ENDPOINT", "endpoint"),
            ("EXOSCALE_SOS_ENDPOINT", "sos_endpoint"),
            ("EXOSCALE_API_KEY", "api_key"),
            ("EXOSCALE_API_SECRET", "api_secret"),
        ]
        .map(|(variable, key)| (variable.to_owned(), of(key)))
        .into()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Counts the environments that wait for the cloud.
struct Waiting(Semaphore);

impl Watcher for Waiting {
    fn recorded(&self, record: &Record) {
        if let Event::CreateAccepted { node, .. } = &record.entry.event
            && node.as_str() == AWAITED
        {
            self.0.add_permits(1);
        }
    }
}

/// Brings environments under way and tells what that costs, a line for each
/// count.
async fn fly(template: u16, counts: &[usize]) -> Result<(), Failure> {
    let cloud = Cloud::start()?;
    let folder = tempfile::tempdir()?;
    let rig = Arc::new(Rig::new(Config::default()));
    let waiting = Arc::new(Waiting(Semaphore::new(0)));
    let engine = engine(&rig, &cloud, SqliteLedger::open(folder.path())?, waiting.clone())?;
    engine.install_roster(&rig.signed(&rig.roster())).await?;
    let mut flying = JoinSet::new();
    let (mut under_way, mut about) = (0, (0, 0));
    for count in counts {
        while under_way < *count {
            if flying.len() - under_way < RISING_MAX && flying.len() < *count {
                let operation = approved(&engine, &rig, template, flying.len(), &mut about.1).await?;
                let run = run(engine.clone(), operation);
                about.0 = size_of_val(&run);
                flying.spawn(run);
                continue;
            }
            tokio::select! {
                permit = waiting.0.acquire() => permit?.forget(),
                Some(ended) = flying.join_next() => return Err(ended?.into()),
            }
            under_way += 1;
        }
        tokio::time::sleep(CALM).await;
        tell(*count, about)?;
    }
    Ok(())
}

/// A line with what this process holds now.
fn tell(count: usize, (task, plan): (usize, usize)) -> Result<(), Failure> {
    let heap = COUNTING.stats();
    let found = json!({
        "count": count, "task": task, "plan": plan,
        "resident": process::resident_bytes()?,
        "allocated": heap.bytes_allocated.saturating_sub(heap.bytes_deallocated),
        "files": process::open_files()?,
        "cpu": process::cpu_seconds()?,
    });
    println!("{found}");
    Ok(())
}

/// Makes an environment. That this ends is an error here.
async fn run(engine: Engine, operation: OperationId) -> String {
    format!("an operation ended: {:?}", engine.run(&operation).await)
}

/// Plans, proposes and approves an environment; says how long its plan is.
async fn approved(
    engine: &Engine,
    rig: &Rig,
    template: u16,
    number: usize,
    length: &mut usize,
) -> Result<OperationId, Failure> {
    let plan = engine.plan_provision(named(template, &format!("flight-{number}"))?, None).await?;
    *length = plan.to_bytes()?.len();
    let state = engine.propose(&plan, None).await?;
    for name in VOTERS.iter().take(state.plan.level.persons()) {
        engine.vote(&state.operation, &rig.vote(name, &state, Decision::Approve)).await?;
    }
    Ok(state.operation)
}

/// An engine whose cloud is the other process.
fn engine(
    rig: &Rig,
    cloud: &Cloud,
    ledger: SqliteLedger,
    watcher: Arc<dyn Watcher>,
) -> Result<Engine, Failure> {
    let account = config::resolve(&cloud.variables(), None)?;
    let parts = rig.engine().parts().clone();
    let client = Client::new(
        real(&NetworkOptions::default())?,
        &account,
        Arc::clone(&parts.clock),
        Budget::new(NonZeroU32::MAX, NonZeroU32::MAX),
    );
    Ok(Engine::new(Parts { client, ledger: Arc::new(ledger), watcher, ..parts }))
}
