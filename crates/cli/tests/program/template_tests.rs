//! `exokit test`: what it writes, what it refuses, and that it leaves nothing,
//! however it ends.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::served::Served;
use crate::common::{Place, ended, evidence, poll, signal, wait};

/// Stages of a test that passes.
const STAGES: [&str; 8] =
    ["plan", "approve", "provision", "verify", "drift", "teardown", "certificate", "orphans"];

/// Clouds whose tests are killed, side by side.
const CLOUDS: u64 = 5;

/// Kills of tests in each cloud.
const KILLS: usize = 4;

/// Attempts to kill in one cloud; a process that has nothing unfinished when it
/// is killed does not count.
const ATTEMPTS_MAX: usize = 40;

/// Latest moment of a kill after the start of the process.
const MOMENT_MAX: Duration = Duration::from_millis(3500);

/// A folder for run files and reports, beside a place.
fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The run files of a folder, as values.
fn run_files(runs: &Path) -> Vec<Value> {
    let paths = std::fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    paths.sort();
    let read = |path| serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    paths.iter().map(read).collect()
}

/// What an earlier test has not removed.
fn unfinished(runs: &Path) -> usize {
    let entries = std::fs::read_dir(runs.join(".unfinished")).into_iter().flatten();
    entries
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ext| ext == "json"))
        .count()
}

fn stages(run: &Value) -> Vec<(&str, bool)> {
    let stages = run["stages"].as_array().unwrap().iter();
    stages.map(|stage| (stage["stage"].as_str().unwrap(), stage["passed"].as_bool().unwrap())).collect()
}

#[test]
fn all_templates_pass_in_turn_and_side_by_side() {
    for parallel in ["1", "7"] {
        let (place, folder) = (Place::new().at_speed("max"), folder());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (runs, report, junit) = (path("runs"), path("checkpoint.md"), path("tests.xml"));
        let words = [
            "test",
            "--all",
            "--parallel",
            parallel,
            "--runs",
            &runs,
            "--report",
            &report,
            "--junit",
            &junit,
        ];
        let ended = place.expect(0, &words);
        assert!(ended.out.contains("7 of 7 tests passed."), "{ended:?}");

        let all = run_files(runs.as_ref());
        assert_eq!(all.len(), 7);
        for run in &all {
            assert_eq!(stages(run), STAGES.map(|stage| (stage, true)), "{run}");
            let verification = &run["verification"];
            assert_eq!((&verification["passed"], &verification["failed"]), (&28.into(), &0.into()));
            assert_eq!(run["certificate"]["clean"], true);
            assert_eq!(run["drift"]["drifted"], false);
            let approved_by = run["plan"]["approved_by"].as_array().unwrap().len();
            assert_eq!(run["plan"]["level"], approved_by + 1, "{run}");
        }
        let report = std::fs::read_to_string(report).unwrap();
        assert_eq!(report.matches("✅ PASS | 28 of 28 |").count(), 7, "{report}");
        assert_eq!(report.matches("| 7 of 7 |").count(), STAGES.len(), "{report}");
        let junit = std::fs::read_to_string(junit).unwrap();
        assert_eq!(junit.matches("<testcase ").count(), 7 * (STAGES.len() + 28));
        assert!(!junit.contains("<failure"));
        assert!(!Path::new(&runs).join(".unfinished").exists());
        assert!(!place.path("ledger.db").exists(), "the state directory of the user is not used");
    }
}

#[test]
fn failures_are_in_every_report_and_nothing_is_left() {
    let (cloud, folder) = (folder(), folder());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (runs, report, junit) = (path("runs"), path("checkpoint.md"), path("tests.xml"));
    let file = cloud.path().join("cloud.json");
    // Every nodepool fails.
    let faults = path("faults.json");
    let fault =
        r#"[{"match": {"operation": "create-sks-nodepool"}, "fault": {"kind": "status", "status": 403}}]"#;
    std::fs::write(&faults, fault).unwrap();
    let server = ["--speed", "max", "--state", file.to_str().unwrap(), "--faults", &faults];
    let served = Served::new(Served::place().at_speed("max"), &server);
    let approvers = ["--approver", "alex", "--approver", "kim"];
    let words = ["test", "T1", "--runs", &runs, "--report", &report, "--junit", &junit];
    let ended = served.run(&[], &[&words[..], &approvers].concat());
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.out.contains("T1 failed at provision") && ended.out.contains("0 of 1 test passed."),
        "{ended:?}"
    );
    let all = run_files(runs.as_ref());
    let expected =
        [("plan", true), ("approve", true), ("provision", false), ("teardown", true), ("orphans", true)];
    assert_eq!(stages(&all[0]), expected);
    assert_eq!(all[0]["passed"], false);
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("❌ FAIL") && report.contains("- T1 fails at provision"), "{report}");
    assert_eq!(std::fs::read_to_string(junit).unwrap().matches("<failure").count(), 1);
    assert!(evidence::world(&file).live().is_empty());
}

#[test]
fn approvers_that_could_not_remove_everything_are_refused_before_anything_is_made() {
    let (place, folder) = (Place::with_roster(), folder());
    let runs = folder.path().join("runs").display().to_string();
    for (approvers, why) in [
        (vec![], "two people of two roles"),
        (vec!["alex"], "two people of two roles"),
        (vec!["alex", "dana"], "asks for the environments"),
    ] {
        let words = approvers.iter().flat_map(|person| ["--approver", person]);
        let words: Vec<&str> = ["test", "T1", "--runs", &runs].into_iter().chain(words).collect();
        let error = place.error(2, &words);
        assert!(error["why"].as_str().unwrap().contains(why), "{error}");
    }
    let missing = place.error(1, &["test", "T1", "--runs", &runs, "--approver", "nobody"]);
    assert_eq!(missing["code"], "io", "{missing}");
    assert_eq!(place.error(2, &["test", "T9", "--runs", &runs])["code"], "template");
    assert_eq!(unfinished(runs.as_ref()), 0);
    assert_eq!(place.json(0, &["list", "--all"]), Value::Array(Vec::new()));
}

#[test]
fn ctrl_c_removes_what_was_made() {
    let (cloud, folder) = (folder(), folder());
    let (file, runs) = (cloud.path().join("cloud.json"), folder.path().join("runs"));
    let served = served_tests(&file, "40");
    let child = spawn(&served, &runs, "T3", "40");
    poll("a resource", || evidence_if_saved(&file).filter(|world| !world.live().is_empty()));
    signal(&child, "INT");
    let ended = wait(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(ended.err.contains("Stopping: what was made is removed first"), "{ended:?}");
    assert!(ended.out.contains("the test was stopped by Ctrl-C"), "{ended:?}");
    assert!(evidence::made(&evidence::world(&file)) > 0);
    assert!(evidence::world(&file).live().is_empty(), "{:?}", evidence::world(&file).live());
    assert_eq!(unfinished(&runs), 0);
}

/// A served cloud with a roster, and tests that are run in it.
fn served_tests(file: &Path, speed: &str) -> Served {
    Served::new(Served::place().at_speed(speed), &["--speed", speed, "--state", file.to_str().unwrap()])
}

fn command(served: &Served, runs: &Path, template: &str, speed: &str) -> Command {
    let runs = runs.to_str().unwrap();
    let approvers = ["--approver", "alex", "--approver", "kim"];
    let mut command =
        served.command(&[&["test", template, "--runs", runs, "--speed", speed], &approvers[..]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn spawn(served: &Served, runs: &Path, template: &str, speed: &str) -> Child {
    command(served, runs, template, speed).spawn().unwrap()
}

fn evidence_if_saved(file: &Path) -> Option<exokit_sim::World> {
    file.exists().then(|| evidence::world(file))
}

#[test]
fn a_killed_test_leaves_nothing_after_the_next_start() {
    let kills: usize = std::thread::scope(|scope| {
        let clouds: Vec<_> = (0..CLOUDS).map(|seed| scope.spawn(move || killed_in_one_cloud(seed))).collect();
        clouds.into_iter().map(|cloud| cloud.join().unwrap()).sum()
    });
    assert_eq!(kills, usize::try_from(CLOUDS).unwrap() * KILLS);
}

/// Kills tests at random moments of their lives, then lets one run to its end.
/// Returns the kills that left an environment unfinished.
fn killed_in_one_cloud(seed: u64) -> usize {
    let (cloud, folder) = (folder(), folder());
    let (file, runs) = (cloud.path().join("cloud.json"), folder.path().join("runs"));
    let served = served_tests(&file, "max");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    for attempt in 1.. {
        assert!(attempt <= ATTEMPTS_MAX, "only {kills} of {ATTEMPTS_MAX} kills left something behind");
        let template = format!("T{}", rng.u8(1..=7));
        let mut child = spawn(&served, &runs, &template, "max");
        pause(MOMENT_MAX.mul_f64(rng.f64()));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.signal() != Some(9) {
            assert_eq!(output.status.code(), Some(0), "{:?}", ended(output));
        } else if unfinished(&runs) > 0 {
            kills += 1;
        }
        if kills == KILLS {
            break;
        }
    }
    let last = ended(command(&served, &runs, "T1", "max").output().unwrap());
    assert_eq!(last.code, 0, "{last:?}");
    assert!(last.err.contains("which an earlier test left behind"), "{last:?}");
    let world = evidence::world(&file);
    assert!(world.live().is_empty(), "{:?}", world.live());
    assert_eq!(evidence::duplicates(&world), Vec::<String>::new());
    assert_eq!(unfinished(&runs), 0);
    kills
}

/// Lets a time pass; it is the fault, nothing is waited for.
#[expect(clippy::disallowed_methods, reason = "processes are killed in real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
