//! The crash matrix: every template and verb, dead at every await, and dead
//! again while it recovers.

use std::future::Future;

use exokit_model::event::Event;
use exokit_sim::{Effect, World};

use crate::crash::{Ran, after_polls};
use crate::crash_points::{self, CrashPoint, Outcome};
use crate::parallel::{side_by_side, threads};
use crate::rig::Rig;
use crate::scenario::{Scenario, Verb, inventory};

/// Which crashes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// One crash at every await. Otherwise one at each distinct state, at its
    /// earliest and latest moment: at the awaits between them only time goes by.
    pub every_await: bool,
    /// Pairs of crashes.
    pub pairs: Pairs,
}

/// Which pairs of crashes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// None.
    None,
    /// Of every so many distinct states after the first crash one, with every
    /// so many distinct states along the recovery one, each time another one.
    Share {
        /// One of so many first states.
        firsts: usize,
        /// One of so many states of each recovery.
        seconds: usize,
    },
}

/// What came of one cell of the matrix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Places to die.
    pub awaits: u64,
    /// Runs with one crash, with the volatile half of the ledger kept, and lost
    /// where there was one.
    pub crashes: u64,
    /// Awaits of all the recoveries together: every pair of crashes.
    pub awaits_after: u64,
    /// States after the first crash that differ in more than the time, at
    /// their earliest and latest moment.
    pub states: u64,
    /// Pairs of such a state and such a state of the recovery from it, as far
    /// as the first ones were asked for.
    pub pairs: u64,
    /// Those of them that were run.
    pub pairs_run: u64,
    /// Requests in doubt whose resource was found and taken over.
    pub adopted: u64,
    /// Requests in doubt that turned out to have had no effect.
    pub absent: u64,
    /// Changes that took effect although their client had died.
    pub late: u64,
    /// Records that were lost and written again.
    pub lost: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.awaits += other.awaits;
        self.crashes += other.crashes;
        self.awaits_after += other.awaits_after;
        self.states += other.states;
        self.pairs += other.pairs;
        self.pairs_run += other.pairs_run;
        self.adopted += other.adopted;
        self.absent += other.absent;
        self.late += other.late;
        self.lost += other.lost;
    }

    /// Takes in what a recovery left.
    fn witness(&mut self, rig: &Rig) {
        for record in rig.ledger.durable() {
            match record.entry.event {
                Event::CreateAdopted { .. } => self.adopted += 1,
                Event::CreateAbsent { .. } => self.absent += 1,
                _ => {}
            }
        }
        let late = |world: &World| {
            world.journal().iter().filter(|entry| !entry.delivered && entry.effect != Effect::None).count()
        };
        self.late += rig.cloud(late) as u64;
    }
}

/// One template and verb, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The template.
    pub template: u16,
    /// The verb.
    pub verb: Verb,
    /// The counts.
    pub counts: Counts,
    /// What was wrong, one line each, with the place of the crash.
    pub wrong: Vec<String>,
}

/// Fails a cell after so many wrong lines: more do not help.
const WRONG_MAX: usize = 20;

/// Runs one cell: every single crash, and the pairs asked for.
///
/// # Panics
/// When the scene cannot be set, which is no matter of crashes.
#[must_use]
pub fn cell(template: u16, verb: Verb, extent: Extent) -> Row {
    let scenario = match in_virtual_time(Scenario::set(verb, template)) {
        Ok(scenario) => scenario,
        Err(error) => panic!("T{template} {verb}: {error}"),
    };
    let row = Row { template, verb, counts: Counts::default(), wrong: Vec::new() };
    let mut cell = Cell { row, scenario, end: Vec::new(), firsts: 0 };
    cell.run(extent);
    cell.row
}

/// Runs a future on a clock of its own, which starts anew and stands still
/// while there is work: the same run takes the same course each time.
///
/// # Panics
/// When the runtime cannot be made.
pub fn in_virtual_time<F: Future>(future: F) -> F::Output {
    match tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("making a runtime: {error}"),
    }
}

struct Cell {
    row: Row,
    scenario: Scenario,
    /// What exists in the end when nobody dies.
    end: Vec<String>,
    /// Distinct first states so far.
    firsts: usize,
}

/// Every so many awaits a run is really stopped there, to see that what the
/// trail notes is what a crash leaves.
const PROVED_EACH: usize = 23;

impl Cell {
    fn run(&mut self, extent: Extent) {
        let before = self.scenario.rig.ledger.lengths().0;
        let (wrong, points, end, after) = in_virtual_time(async {
            let rig = self.scenario.fresh();
            let (ended, points) = crash_points::follow(&rig, self.scenario.act(&rig)).await;
            let after = rig.ledger.lengths().0;
            (self.scenario.judge(&rig, ended).await, points, inventory(&rig), after)
        });
        self.end = end;
        self.note("without a crash", wrong);
        self.note("coverage", crash_points::never_lost(&points, before, after));
        let places = crash_points::distinct(&points);
        self.row.counts.awaits = points.len() as u64;
        self.row.counts.states = places.len() as u64;
        for (at, point) in points.iter().enumerate() {
            for outcome in point.outcomes() {
                if self.row.wrong.len() > WRONG_MAX {
                    return;
                }
                let is_distinct = places.contains(&(point.polls, outcome.kept));
                if at % PROVED_EACH == 0 {
                    self.prove(point, outcome);
                }
                if extent.every_await || is_distinct {
                    self.recover(point, outcome);
                }
                if is_distinct {
                    self.firsts += 1;
                    self.pairs_after(point, outcome, extent.pairs);
                }
            }
        }
    }

    /// Stops a run at a point for real and compares what is left.
    fn prove(&mut self, point: &CrashPoint, outcome: &Outcome) {
        let wrong = in_virtual_time(async {
            let mut rig = self.scenario.fresh();
            match after_polls(self.scenario.act(&rig), point.polls).await {
                Ran::Done(ended, polls) => {
                    Some(format!("no crash: it ended after {polls} polls as {ended:?}"))
                }
                Ran::Crashed => {
                    rig.crash(outcome.kept);
                    let same = rig.is_like(&outcome.left.fork(point.at));
                    (!same).then(|| "a crash leaves something else".to_owned())
                }
            }
        });
        self.note(&point.place(outcome), wrong.into_iter().collect());
    }

    /// One crash, one recovery.
    fn recover(&mut self, point: &CrashPoint, outcome: &Outcome) {
        let polls = self.end_after(point, outcome, &point.place(outcome));
        self.row.counts.crashes += 1;
        self.row.counts.lost += u64::from(!outcome.kept);
        self.row.counts.awaits_after += polls;
    }

    /// Crashes of the recovery from one crash.
    fn pairs_after(&mut self, point: &CrashPoint, outcome: &Outcome, pairs: Pairs) {
        let Pairs::Share { firsts, seconds } = pairs else { return };
        if !self.firsts.is_multiple_of(firsts) {
            return;
        }
        let again = in_virtual_time(async {
            let rig = outcome.left.fork(point.at);
            crash_points::follow(&rig, self.scenario.act(&rig)).await.1
        });
        let places = crash_points::distinct(&again);
        let all = again.iter().flat_map(|second| second.outcomes().map(move |left| (second, left)));
        let all = all.filter(|(second, left)| places.contains(&(second.polls, left.kept)));
        self.row.counts.pairs += places.len() as u64;
        for (second, left) in all.skip(self.firsts / firsts % seconds).step_by(seconds) {
            if self.row.wrong.len() > WRONG_MAX {
                return;
            }
            self.row.counts.pairs_run += 1;
            let place = format!("{}, then, while it recovers, {}", point.place(outcome), second.place(left));
            self.end_after(second, left, &place);
        }
    }

    /// Recovers from what a crash left, judges the end and counts what was met
    /// on the way to it. Returns at how many awaits the recovery could crash.
    fn end_after(&mut self, point: &CrashPoint, outcome: &Outcome, place: &str) -> u64 {
        let (rig, wrong, polls) = in_virtual_time(async {
            let rig = outcome.left.fork(point.at);
            let Ran::Done(ended, polls) = after_polls(self.scenario.act(&rig), u64::MAX).await else {
                unreachable!("it may poll as often as it likes");
            };
            let mut wrong = self.scenario.judge(&rig, ended).await;
            let found = inventory(&rig);
            if found != self.end {
                wrong.push(format!("another end: {found:?}, without a crash {:?}", self.end));
            }
            (rig, wrong, polls)
        });
        self.row.counts.witness(&rig);
        self.note(place, wrong);
        polls
    }

    fn note(&mut self, place: &str, wrong: Vec<String>) {
        let (template, verb) = (self.row.template, self.row.verb);
        self.row.wrong.extend(wrong.into_iter().map(|line| format!("T{template} {verb}, {place}: {line}")));
    }
}

/// Runs cells, each to its extent.
///
/// # Panics
/// When a scene cannot be set.
#[must_use]
pub fn run(cells: &[(u16, Verb)], extent: impl Fn(u16, Verb) -> Extent + Sync) -> Vec<Row> {
    side_by_side(cells, threads(), |&(template, verb)| cell(template, verb, extent(template, verb)))
}

/// Every template and verb.
#[must_use]
pub fn all_cells() -> Vec<(u16, Verb)> {
    (1..=7).flat_map(|template| Verb::ALL.map(|verb| (template, verb))).collect()
}

/// The rows and their sum as a table.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | awaits | crashes | with a record lost | adopted | found absent | late arrivals | awaits of recoveries | distinct first states | distinct pairs | pairs run |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut line = |name: &str, c: &Counts| {
        text.push_str(&format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            c.awaits,
            c.crashes,
            c.lost,
            c.adopted,
            c.absent,
            c.late,
            c.awaits_after,
            c.states,
            c.pairs,
            c.pairs_run
        ));
    };
    for row in rows {
        line(&format!("T{} {}", row.template, row.verb), &row.counts);
    }
    line("all", &sum(rows));
    text
}

/// The counts of all rows together.
#[must_use]
pub fn sum(rows: &[Row]) -> Counts {
    let mut sum = Counts::default();
    rows.iter().for_each(|row| sum.add(&row.counts));
    sum
}
