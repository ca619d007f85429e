//! The swarm: lives of one environment under seeded schedules of faults, with
//! everyone but the engine outside the scope of its crashes; then healing and
//! convergence; then the judge.
//!
//! [`schedule`] is what goes wrong, as data; [`generate`] makes one from a
//! seed; `simulation` carries it out; `judge` says what is wrong; [`effect`] counts
//! what really happened, so that a run without faults is not taken for a run
//! that survived them; [`minimise`] shrinks a schedule that fails.

mod bus_life;
mod disk;
pub mod effect;
pub mod generate;
mod idle_time;
mod interventions;
mod judge;
pub mod minimise;
mod mutants;
mod operation_tracker;
mod process;
mod requests_and_votes;
pub mod schedule;
mod simulation;
mod watched_transport;
mod witness;

use std::panic::AssertUnwindSafe;

use exokit_model::canonical::Digest;
use exokit_model::event::Record;

use self::effect::Coverage;
use self::schedule::Schedule;
use self::simulation::Simulation;
use crate::crash::{Ran, after_polls};

/// Most polls of one run. A run takes some thousands; one that takes more than
/// this goes round in circles.
const POLLS_MAX: u64 = 400_000;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// What is wrong, one line each, beginning with the invariant.
    pub wrong: Vec<String>,
    /// What really happened.
    pub coverage: Coverage,
    /// The durable ledger at the end.
    pub records: Vec<Record>,
    /// The changes that reached the cloud, one line each.
    pub journal: Vec<String>,
    /// A digest of everything that was recorded and done: the same schedule
    /// gives the same.
    pub trace: Digest,
}

/// Carries out a schedule and judges it.
///
/// # Errors
/// When no runtime can be had.
pub fn run(schedule: &Schedule) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(played(schedule))));
    Ok(played.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str);
        let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
        Report {
            wrong: vec![format!("I26 panic: {what}")],
            coverage: Coverage::default(),
            records: Vec::new(),
            journal: Vec::new(),
            trace: Digest([0; 32]),
        }
    }))
}

async fn played(schedule: &Schedule) -> Report {
    let mut simulation = Simulation::new(schedule);
    if schedule.bus {
        return bus_life::played(simulation).await;
    }
    let ran = after_polls(simulation.life(), POLLS_MAX).await;
    if matches!(ran, Ran::Crashed) {
        simulation.wrong(format!("I8 it is not over after {POLLS_MAX} polls"));
    }
    simulation.note_lost_secrets();
    report(&simulation)
}

/// What a run came to, judged.
fn report(simulation: &Simulation) -> Report {
    let wrong = judge::judge(simulation);
    let coverage = simulation.witness.lock().coverage.clone();
    let (records, journal) = (simulation.records(), journal(simulation));
    Report { wrong, coverage, trace: trace(&records, &journal), records, journal }
}

/// The changes that reached the cloud, and what is left there.
fn journal(simulation: &Simulation) -> Vec<String> {
    simulation.rig.cloud(|world| {
        let journal = world.journal().iter().map(|entry| {
            format!("{} {} {} {} {:?}", entry.at_ms, entry.method, entry.path, entry.status, entry.effect)
        });
        let live = world.live().into_iter().map(|live| format!("left: {} {}", live.kind, live.id));
        journal.chain(live).collect()
    })
}

/// The digest of ledger and journal.
fn trace(records: &[Record], journal: &[String]) -> Digest {
    let head = records.last().map(|record| record.hash);
    Digest::of("exokit-trace/v1", format!("{head:?}\n{}", journal.join("\n")).as_bytes())
}
