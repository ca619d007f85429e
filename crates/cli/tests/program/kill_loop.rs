//! `kill -9` for real: the program is killed at random moments of the whole
//! life of an environment of every template, over a socket, and started again.
//!
//! The moments come from a seed that is printed; `EXOKIT_KILL_SEED` takes
//! another one. Processes are not scheduled by it, so a second run with one
//! seed is alike, not the same.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::common::evidence;
use crate::common::served::Served;
use crate::common::{Ended, wait};
use exokit_model::event::{Event, Record};
use exokit_model::plan::{Action, Plan};
use serde_json::Value;
use tempfile::TempDir;

/// Unless another one is asked for.
const SEED: u64 = 20_261_123;

/// Fewest kills in all.
const KILLS_MIN: usize = 200;

/// How many times faster than real the clouds run: slow enough to be hit in
/// the middle of everything, fast enough for a test.
const SPEED: &str = "40";

/// Kills of each verb while its plan is made, while it is approved (if it
/// must be), and while it runs.
const KILLS: [(Stage, usize); 3] = [(Stage::Propose, 2), (Stage::Approve, 2), (Stage::Run, 13)];

/// How often a verb is to wait for the expiry of signatures of requests that a
/// kill left in doubt, half a minute each. From then on kills hit start-up and
/// moments in which the ledger is quiet, which leave hardly any request behind.
const DOUBTS: usize = 1;

/// Tries to kill in one stage; a process that ends before its moment has come
/// is not killed.
const TRIES: usize = 60;

/// Pause between two looks at the ledger's file.
const LOOK: Duration = Duration::from_micros(300);

/// The ledger is quiet when so many looks in a row found no change.
const QUIET_LOOKS: usize = 100;

/// Longest run without kills.
const LAST_RUN: Duration = Duration::from_secs(150);

/// Parts of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Propose,
    Approve,
    Run,
}

/// Kills that took effect, by the last event in the ledger.
type Tally = BTreeMap<&'static str, usize>;

#[test]
fn every_template_survives_kill_9_at_any_moment() {
    let seed = seed();
    println!("seed {seed} (EXOKIT_KILL_SEED={seed} takes it again)");
    let tallies: Vec<(String, Action, Tally)> = std::thread::scope(|scope| {
        let lives: Vec<_> = (1..=7)
            .map(|number| scope.spawn(move || live(&format!("T{number}"), seed.wrapping_add(number))))
            .collect();
        lives.into_iter().flat_map(|life| life.join().unwrap()).collect()
    });
    let all = report(&tallies);
    let kills: usize = all.values().sum();
    assert!(kills >= KILLS_MIN, "only {kills} kills");
    for needed in ["nothing", "plan-proposed", "create-intended", "create-accepted", "delete-accepted"] {
        assert!(all.contains_key(needed), "no kill after {needed}: {all:?}");
    }
    assert!(all.values().all(|n| *n < kills / 2), "most kills were at one spot: {all:?}");
}

#[expect(clippy::disallowed_methods, reason = "whoever tries a failure again says which")]
fn seed() -> u64 {
    std::env::var("EXOKIT_KILL_SEED").map_or(SEED, |text| text.parse().unwrap())
}

/// Prints the table and gives its sums.
fn report(tallies: &[(String, Action, Tally)]) -> Tally {
    let mut all = Tally::new();
    for (template, action, tally) in tallies {
        let kills: usize = tally.values().sum();
        let by_event: Vec<String> = tally.iter().map(|(event, n)| format!("{event} {n}")).collect();
        println!("{template} {action}: {kills} kills; {}", by_event.join(", "));
        tally.iter().for_each(|(event, n)| *all.entry(event).or_default() += n);
    }
    let by_event: Vec<String> = all.iter().map(|(event, n)| format!("{event} {n}")).collect();
    println!("all: {} kills; {}", all.values().sum::<usize>(), by_event.join(", "));
    all
}

/// One environment from nothing to nothing.
fn live(template: &str, seed: u64) -> Vec<(String, Action, Tally)> {
    let cloud = tempfile::tempdir().unwrap();
    let file = cloud.path().join("cloud.json");
    let args = ["--speed", SPEED, "--state", file.to_str().unwrap()];
    let place = Served::place().at_speed(SPEED);
    let mut victim = Victim {
        served: Served::new(place, &args),
        file,
        _cloud: cloud,
        name: template.to_lowercase(),
        rng: fastrand::Rng::with_seed(seed),
        action: Action::Provision,
        doubts: 0,
        tally: Tally::new(),
    };
    let made = victim.survive(&["up", template, "--name", &template.to_lowercase()], Action::Provision);
    victim.is_ready();
    let removed = victim.survive(&["down", &template.to_lowercase()], Action::Teardown);
    victim.is_gone();
    vec![(template.to_owned(), Action::Provision, made), (template.to_owned(), Action::Teardown, removed)]
}

/// An environment whose processes are killed.
struct Victim {
    served: Served,
    /// Where the cloud is saved.
    file: PathBuf,
    _cloud: TempDir,
    name: String,
    rng: fastrand::Rng,
    action: Action,
    /// How often a kill was the first to leave a request of unknown outcome.
    doubts: usize,
    tally: Tally,
}

impl Victim {
    /// Carries a verb out to its end, with kills on the way.
    fn survive(&mut self, ask: &[&str], action: Action) -> Tally {
        self.action = action;
        self.doubts = 0;
        for (stage, kills) in KILLS {
            let mut left = kills;
            for _ in 0..TRIES {
                if left == 0 || self.is_over(stage) {
                    break;
                }
                let command = self.command(stage, ask);
                left -= usize::from(self.kill(stage, &command));
            }
            // What needs no approval runs as soon as it is proposed.
            let comes_later = stage == Stage::Propose && self.runs_at_once();
            while !comes_later && !self.is_over(stage) {
                let command = self.command(stage, ask);
                self.finish(&command);
            }
        }
        std::mem::take(&mut self.tally)
    }

    fn runs_at_once(&self) -> bool {
        (self.name.as_str(), self.action) == ("t1", Action::Provision)
    }

    /// What carries a stage on.
    fn command(&mut self, stage: Stage, ask: &[&str]) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match stage {
            Stage::Propose => words(ask),
            Stage::Approve => {
                let voted = self.voters();
                let next = ["alex", "kim"].into_iter().find(|person| !voted.contains(*person)).unwrap();
                words(&["approve", &self.name, "--as", next, "--yes"])
            }
            Stage::Run => match (self.plan(), self.rng.u8(..3)) {
                (None, _) => words(ask),
                (Some(_), 0) => words(&["watch", "--once"]),
                (Some(_), 1) => words(&["watch", &self.name, "--once"]),
                (Some((plan, _)), _) => words(&[ask[0], "--plan", plan.plan_id.as_str()]),
            },
        }
    }

    /// Whether a stage has reached its end.
    fn is_over(&self, stage: Stage) -> bool {
        match (stage, self.plan()) {
            (Stage::Approve, None) | (Stage::Propose, Some(_)) => true,
            (Stage::Propose | Stage::Run, None) => false,
            (Stage::Approve, Some((plan, _))) => self.voters().len() >= plan.level.persons(),
            (Stage::Run, Some((_, own))) => {
                own.iter().any(|record| matches!(record.entry.event, Event::OperationSucceeded { .. }))
            }
        }
    }

    /// The plan of the present verb and the records of its operation. Of one
    /// verb there must never be two.
    fn plan(&self) -> Option<(Plan, Vec<Record>)> {
        let records = evidence::records(self.served.place.dir.path());
        let plans = records.iter().filter_map(|record| match &record.entry.event {
            Event::PlanProposed { plan, .. } => Some(Plan::from_bytes(plan.as_bytes()).unwrap()),
            _ => None,
        });
        let mut plans: Vec<Plan> = plans.filter(|plan| plan.action == self.action).collect();
        assert!(plans.len() <= 1, "{} was planned {} times", self.name, plans.len());
        let plan = plans.pop()?;
        let operation = plan.plan_id.operation();
        let own = |record: &Record| record.entry.operation.as_ref() == Some(&operation);
        Some((plan, records.into_iter().filter(own).collect()))
    }

    fn voters(&self) -> BTreeSet<String> {
        let own = self.plan().map(|(_, own)| own).unwrap_or_default();
        let voter = |record: Record| match record.entry.event {
            Event::ApprovalRecorded { person, .. } => Some(person.to_string()),
            _ => None,
        };
        own.into_iter().filter_map(voter).collect()
    }

    /// Starts a command and kills it at a random moment. True if it was
    /// killed while its work was not finished.
    fn kill(&mut self, stage: Stage, command: &[String]) -> bool {
        let doubtful = self.doubtful();
        let mut child = self.start(command);
        self.moment(stage, &mut child, !doubtful.is_empty());
        // A process that has ended but was not waited for can still be sent
        // a signal; only its status tells what ended it.
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.signal() != Some(9) {
            self.check(command, &crate::common::ended(output));
            return false;
        }
        let own = self.plan().map(|(_, own)| own).unwrap_or_default();
        let last = own.last().map_or("nothing", |record| record.entry.event.name());
        if last == "operation-succeeded" {
            return false;
        }
        assert_eq!(evidence::duplicates(&self.world()), Vec::<String>::new());
        self.doubts += usize::from(doubtful.is_empty() && !self.doubtful().is_empty());
        *self.tally.entry(last).or_default() += 1;
        true
    }

    /// Waits for the moment: a random time after the start, or a random time
    /// after the ledger was written to a random number of times. While
    /// nothing but the expiry of a signature is waited for, mostly the latter,
    /// so that not all kills hit that waiting.
    fn moment(&mut self, stage: Stage, child: &mut Child, in_doubt: bool) {
        let enough = self.doubts >= DOUBTS;
        match (stage, self.rng.u8(..4)) {
            (Stage::Propose, _) => self.pause(60),
            (Stage::Approve, _) => self.pause(150),
            (Stage::Run, 0) => self.pause(12),
            (Stage::Run, 1) if !in_doubt && !enough => self.pause(700),
            (Stage::Run, _) => {
                let writes = self.rng.usize(1..7);
                self.written(writes, enough, child);
                self.pause(4);
            }
        }
    }

    /// Lets a random time pass; it is the fault, nothing is waited for.
    #[expect(clippy::disallowed_methods, reason = "processes are killed in real time")]
    fn pause(&mut self, millis_max: u64) {
        std::thread::sleep(Duration::from_micros(self.rng.u64(..millis_max * 1000)));
    }

    /// Waits until the ledger was written to so many times, and then until it
    /// is quiet if that is asked for, or until the child has ended.
    #[expect(clippy::disallowed_methods, reason = "another process is looked at, without a busy loop")]
    fn written(&self, times: usize, quiet: bool, child: &mut Child) {
        let log = self.served.place.path("ledger.db-wal");
        let look = || -> Option<(u64, SystemTime)> {
            let found = log.metadata().ok()?;
            Some((found.len(), found.modified().ok()?))
        };
        let (mut seen, mut count, mut still) = (look(), 0, 0);
        while (count < times || (quiet && still < QUIET_LOOKS)) && child.try_wait().unwrap().is_none() {
            let now = look();
            still = if now == seen { still + 1 } else { 0 };
            count += usize::from(now != seen);
            seen = now;
            std::thread::sleep(LOOK);
        }
    }

    fn start(&self, command: &[String]) -> Child {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut command = self.served.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command to its end.
    fn finish(&self, command: &[String]) {
        let mut child = self.start(command);
        #[expect(clippy::disallowed_methods, reason = "another process is waited for, in real time")]
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > LAST_RUN {
                child.kill().unwrap();
                let ended = wait(child);
                panic!("{command:?} did not end within {LAST_RUN:?}\n{}\n{}", ended.out, ended.err);
            }
            #[expect(clippy::disallowed_methods, reason = "another process is waited for, in real time")]
            std::thread::sleep(Duration::from_millis(5));
        }
        self.check(command, &wait(child));
    }

    /// A command that was not killed must have done its work.
    fn check(&self, command: &[String], ended: &Ended) {
        let story = || evidence::records(self.served.place.dir.path()).into_iter().map(|record| record.entry);
        assert!(
            matches!(ended.code, 0 | 3),
            "exokit {}: {}\n{}\n{}\n{:#?}",
            command.join(" "),
            ended.code,
            ended.out,
            ended.err,
            story().map(|entry| (entry.at, entry.event)).collect::<Vec<_>>()
        );
    }

    fn world(&self) -> exokit_sim::World {
        evidence::world(&self.file)
    }

    fn doubtful(&self) -> BTreeSet<String> {
        evidence::in_doubt(&evidence::records(self.served.place.dir.path()))
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.served.expect(0, &[args, &["-o", "json"]].concat())).unwrap()
    }

    /// What the registry says exists is what exists, both ways.
    fn is_ready(&self) {
        let shown = self.json(&["show", &self.name]);
        assert_eq!(shown["phase"], "ready", "{shown}");
        let resources = shown["resources"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let registered: BTreeSet<String> = resources.iter().map(|resource| text(&resource["id"])).collect();
        assert!(resources.iter().all(|resource| resource["state"] == "ready"), "{shown}");
        assert_eq!(registered.len(), resources.len());
        let world = self.world();
        assert_eq!(registered, evidence::asked_for(&world.live()));
        assert_eq!(evidence::duplicates(&world), Vec::<String>::new());
        assert!(evidence::made(&world) >= resources.len());
        self.json(&["drift", &self.name]);
    }

    /// Nothing is left, and it is proven.
    fn is_gone(&self) {
        let world = self.world();
        assert!(world.live().is_empty(), "{:?}", world.live());
        assert_eq!(evidence::duplicates(&world), Vec::<String>::new());
        let (_, own) = self.plan().unwrap();
        let certificate = own.iter().find_map(|record| match &record.entry.event {
            Event::OperationSucceeded { certificate } => certificate.clone(),
            _ => None,
        });
        assert!(certificate.is_some_and(|certificate| certificate.body.clean));
        assert_eq!(self.json(&["list", "--all"])[0]["phase"], "gone");
        assert_eq!(self.json(&["orphans"]), Value::Array(Vec::new()));
        assert_eq!(self.json(&["audit", "verify"])["whole"], true);
        self.json(&["registry", "export"]);
    }
}
