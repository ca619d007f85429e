//! Lives over a bus: requesters that retry unanswered requests, approvers, a
//! subscriber that keeps a copy of the ledger, and strangers, beside an agent that
//! crashes. The bus may lose anything; the agent must keep all that it acknowledged.

mod agent;
mod bus;
mod clients;
mod denial;
mod judge;
mod strangers;
mod subscriber;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use exokit_model::canonical::Digest;
use exokit_service::Service;
use exokit_service::progress::Progress;
use exokit_service::publisher::Cursor;
use serde_json::Value;

use self::agent::{Kept, RESTART};
use self::bus::SimBus;
use super::mutants::ledger::MutantLedger;
use super::process::HostClock;
use super::schedule::{Trouble, What};
use super::simulation::Simulation;
use super::witness::Witness;
use super::{Report, report};
use crate::crash::{Ran, after_polls};
use crate::rig::Outfit;

/// Longest virtual time of a run. What lasts longer does not end.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// Most polls of one run.
const POLLS_MAX: u64 = 1_000_000;

/// One run under way.
struct BusLife {
    simulation: RefCell<Simulation>,
    witness: Arc<Witness>,
    troubles: Vec<Trouble>,
    bus: Arc<SimBus>,
    cursor: Kept,
    /// Calls to the cloud, over all processes.
    calls: Arc<AtomicU32>,
    /// Tasks that broke off.
    broke: Arc<AtomicU32>,
    /// What the subscriber knows: hashes by sequence number.
    view: RefCell<BTreeMap<u64, Digest>>,
    /// The first operation that was asked for.
    target: RefCell<Option<Value>>,
    over: Cell<bool>,
}

/// Carries out a schedule over a bus and judges it.
pub(super) async fn played(simulation: Simulation) -> Report {
    let bus_item = |item: &super::schedule::Item| match item.what {
        What::Bus(trouble) => Some(trouble),
        _ => None,
    };
    let troubles: Vec<Trouble> = simulation.schedule.items.iter().filter_map(bus_item).collect();
    let witness = Arc::clone(&simulation.witness);
    let lies = simulation.schedule.items.iter().any(|item| item.what == What::Canary);
    let bus_life = BusLife {
        bus: Arc::new(SimBus::new(troubles.clone(), Arc::clone(&witness), lies)),
        simulation: RefCell::new(simulation),
        witness,
        troubles,
        cursor: Kept::default(),
        calls: Arc::default(),
        broke: Arc::default(),
        view: RefCell::default(),
        target: RefCell::default(),
        over: Cell::new(false),
    };
    match after_polls(tokio::time::timeout(PATIENCE, bus_life.all()), POLLS_MAX).await {
        Ran::Done(Ok(()), _) => {}
        Ran::Done(Err(_), _) => bus_life.wrong(format!("I8 it is not over after {PATIENCE:?}")),
        Ran::Crashed => bus_life.wrong(format!("I8 it is not over after {POLLS_MAX} polls")),
    }
    bus_life.judge();
    report(&bus_life.simulation.borrow())
}

impl BusLife {
    fn wrong(&self, what: String) {
        self.simulation.borrow().wrong(what);
    }

    /// Everybody at once, until the requesters have what they want and the
    /// subscriber knows everything.
    async fn all(&self) {
        if let Err(error) = Cursor::write(&self.cursor, Progress::at(0)).await {
            self.wrong(format!("I8 the cursor: {error}"));
        }
        let roster = self.simulation.borrow().rig.roster();
        self.install(roster).await;
        let people = async {
            self.requesters().await;
            self.catch_up().await;
            self.over.set(true);
        };
        tokio::select! {
            biased;
            () = people => {}
            () = self.supervise() => {}
            () = self.server() => {}
            () = self.strangers() => {}
            () = self.subscribe() => {}
        }
        // What was on its way to the cloud arrives.
        tokio::time::sleep(Duration::from_secs(90)).await;
    }

    /// What happens to the server of the bus.
    async fn server(&self) {
        let mut due: Vec<(u32, Trouble)> = self
            .troubles
            .iter()
            .filter_map(|trouble| match trouble {
                Trouble::Restart { at } | Trouble::RolledBack { at, .. } => Some((*at, *trouble)),
                _ => None,
            })
            .collect();
        due.sort_by_key(|(at, _)| *at);
        for (at, trouble) in due {
            self.until(at).await;
            match trouble {
                Trouble::RolledBack { keep, .. } => self.bus.roll_back(keep as usize),
                _ => self.bus.restart(),
            }
        }
        std::future::pending().await
    }

    /// Waits for a second of the run.
    async fn until(&self, at: u32) {
        let left = u64::from(at).saturating_sub(self.bus.seconds());
        tokio::time::sleep(Duration::from_secs(left)).await;
    }

    /// Starts the agent again and again.
    async fn supervise(&self) {
        let mut crashes: Vec<(u32, bool)> = self
            .troubles
            .iter()
            .filter_map(|trouble| match trouble {
                Trouble::Crash { at, keep } => Some((*at, *keep)),
                _ => None,
            })
            .collect();
        crashes.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        loop {
            let crash = crashes.last().copied();
            let dies = async {
                match crash {
                    Some((at, keep)) => {
                        self.until(at).await;
                        keep
                    }
                    None => std::future::pending().await,
                }
            };
            let service = self.service();
            let crashed = tokio::select! {
                biased;
                keep = dies => Some(keep),
                () = self.stopped() => None,
                () = agent::process(&service, &self.bus, &self.cursor, |_| ()) => None,
            };
            drop(service);
            // The tasks of the process are gone before anything else happens.
            tokio::task::yield_now().await;
            if let Some(keep) = crashed {
                crashes.pop();
                self.simulation.borrow_mut().crash(keep, true, false);
            }
            tokio::time::sleep(RESTART).await;
        }
    }

    /// A process that can write no more ends, to be started again.
    async fn stopped(&self) {
        self.witness.lock().stopped = false;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let records = self.simulation.borrow().rig.ledger.durable().len();
            self.bus.note_work(records);
            if self.witness.lock().stopped {
                return;
            }
        }
    }

    /// The service of a new process.
    fn service(&self) -> Service {
        let simulation = self.simulation.borrow();
        let breaks = |trouble: &Trouble| match trouble {
            Trouble::BreaksOff { call } => Some(*call),
            _ => None,
        };
        let at: Vec<u32> = self.troubles.iter().filter_map(breaks).collect();
        agent::service(simulation.rig.engine_with(Outfit {
            ledger: Arc::new(MutantLedger::new(
                &simulation.rig.ledger,
                &simulation.witness,
                HostClock::new(simulation.rig.clock()),
            )),
            clock: Arc::new(simulation.rig.clock()),
            transport: agent::breaking(simulation.transport(), &self.calls, at, &self.broke),
        }))
    }

    /// How often a task broke off.
    fn broke_off(&self) -> u32 {
        self.broke.load(Ordering::Relaxed)
    }
}
