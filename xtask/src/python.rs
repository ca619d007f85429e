//! The tests in Python: the official clients, unmodified, against `exokit sim`,
//! and the judge of what they and our own client sent and got; the configuration
//! of the NATS server by the real one.
//!
//! Python's standard library has what a virtual environment needs; clients and
//! servers come into it from the package index, at the versions of
//! `tests/requirements.txt`.

use crate::control_plane;
use crate::count::Count;
use crate::kubectl;
use crate::outcome::Outcome;
use crate::parallel;
use crate::process::{captured, program, run as run_command};
use crate::repo::Repo;
use std::fs;
use std::path::{Path, PathBuf};

const REQUIREMENTS: &str = "tests/requirements.txt";
/// In this order: the last one judges the exchanges that the others record.
const CLIENTS: &[&str] = &[
    "tests/clients/test_official_clients.py",
    "tests/clients/test_every_operation.py",
    "tests/clients/test_kubectl.py",
    "tests/clients/test_openapi.py",
];
/// In any order: each starts servers of its own. The longest begins first.
const PLATFORM: &[&str] = &[
    "tests/clients/test_conformance.py",
    "tests/clients/test_manifests.py",
    "tests/platform/test_chaos.py",
    "tests/platform/test_control_plane.py",
    "tests/platform/test_nats_conf.py",
    "tests/platform/test_orchestrator.py",
    "tests/platform/test_traces.py",
    "tests/platform/test_outsider.py",
    "tests/platform/test_security.py",
    "tests/platform/test_no_bypass.py",
    "tests/platform/test_openapi.py",
    "tests/platform/test_schemas.py",
    "tests/platform/test_live_events.py",
    "tests/platform/test_stream.py",
    "tests/platform/test_metrics.py",
    "tests/platform/test_through_agent.py",
    "tests/platform/test_kubeconfig.py",
    "tests/platform/test_template_tests.py",
    "tests/platform/test_micro.py",
    "tests/platform/test_presence.py",
];
/// How many of the platform's tests run at once. Most of their time they wait.
const AT_ONCE: usize = 2;

/// Makes the virtual environment under the target directory, if it is not
/// there yet as wanted, and gives the path of its Python. The tests' kubectl is
/// made beside it.
pub(crate) fn prepare(repo: &Repo) -> Outcome<PathBuf> {
    kubectl::prepare(repo)?;
    prepare_environment(repo)
}

fn prepare_environment(repo: &Repo) -> Outcome<PathBuf> {
    let wanted = fs::read_to_string(repo.root.join(REQUIREMENTS))
        .map_err(|error| format!("cannot read {REQUIREMENTS}: {error}"))?;
    let folder = repo.target.join("python");
    let python = folder.join("bin").join("python");
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) && python.exists() {
        println!("{} is as {REQUIREMENTS} wants it", folder.display());
        return Ok(python);
    }
    create(repo, &folder)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    let mut command = program(repo, &python, &pip);
    command.args(["--requirement", REQUIREMENTS]);
    run_command(command)?;
    fs::write(&installed, wanted)
        .map_err(|error| format!("cannot write {}: {error}", installed.display()))?;
    Ok(python)
}

/// Where tests in any language find this Python and the NATS server beside it.
pub(crate) fn variables(python: &Path) -> [(&'static str, PathBuf); 2] {
    [("EXOKIT_PYTHON", python.to_owned()), ("EXOKIT_NATS_SERVER", python.with_file_name("nats-server"))]
}

/// `python3 -m venv`, with the missing Debian package in the error.
fn create(repo: &Repo, folder: &Path) -> Outcome {
    let mut version = program(repo, "python3", &["-c", "pass"]);
    if !version.status().is_ok_and(|status| status.success()) {
        return Err("there is no python3: install the Debian package `python3`".to_owned());
    }
    let mut command = program(repo, "python3", &["-m", "venv", "--clear"]);
    command.arg(folder);
    run_command(command).map_err(|error| {
        format!("{error}\nhint: on Debian the module `venv` is in the package `python3-venv`")
    })
}

/// What the tests run with.
pub(crate) struct Tools {
    pub(crate) python: PathBuf,
    /// The folder of a real control plane; tests that need one skip without it.
    pub(crate) control_plane: Option<PathBuf>,
}

/// Runs the tests and adds what they counted. One that fails does not hide
/// the next.
pub(crate) fn run(repo: &Repo, tools: &Tools, count: &mut Count) -> Outcome {
    let exchanges = repo.target.join("exchanges.jsonl");
    // The tests append to it: those of an earlier run are of another program.
    fs::write(&exchanges, "").map_err(|error| format!("cannot write {}: {error}", exchanges.display()))?;
    let one = |test: &&str| run_one(repo, tools, test, &exchanges);
    let results = std::thread::scope(|scope| {
        let platform = scope.spawn(|| parallel::map(PLATFORM, AT_ONCE, one));
        let mut results: Vec<(Count, Outcome)> = CLIENTS.iter().map(one).collect();
        let broken = |_| vec![(Count::default(), Err("a test runner broke off".to_owned()))];
        results.extend(platform.join().unwrap_or_else(broken));
        results
    });
    let mut failures = Vec::new();
    for (ran, outcome) in results {
        *count += ran;
        failures.extend(outcome.err());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

fn run_one(repo: &Repo, tools: &Tools, test: &str, exchanges: &Path) -> (Count, Outcome) {
    let mut tally = Tally::default();
    let outcome = captured_one(repo, tools, test, exchanges).and_then(|(text, ended)| {
        text.lines().for_each(|line| tally.see(line));
        println!("{test}\n{text}");
        ended
    });
    let ran = tally.count();
    let outcome = outcome.and_then(|()| match ran {
        Count { passed: 0, .. } => Err(format!("{test} ran no test")),
        _ => Ok(()),
    });
    (ran, outcome)
}

fn captured_one(repo: &Repo, tools: &Tools, test: &str, exchanges: &Path) -> Outcome<(String, Outcome)> {
    let mut command = program(repo, &tools.python, &["-u", test, "-v"]);
    command.env("EXOKIT_BIN", quoted(&repo.release("exokit"))?).env("EXOKIT_EXCHANGES", exchanges);
    command.envs(variables(&tools.python)).env(kubectl::VARIABLE, kubectl::path(repo));
    command.envs(tools.control_plane.iter().map(|folder| (control_plane::VARIABLE, folder)));
    captured(command)
}

/// The path as one word of a shell command, which is what the tests expect.
fn quoted(path: &Path) -> Outcome<String> {
    let text = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', r#"'"'"'"#)))
}

/// The closing lines of Python's `unittest`: `Ran 9 tests in 1.0s`, then
/// `OK (skipped=1)` or `FAILED (failures=1, errors=2)`.
#[derive(Default)]
struct Tally {
    ran: u64,
    skipped: u64,
    failed: u64,
}

impl Tally {
    fn see(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("Ran ") {
            self.ran = rest.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        } else if line.starts_with("OK") || line.starts_with("FAILED (") {
            // What is expected to fail, and does, is neither.
            let expected = number(line, "expected failures=");
            let line = line.replace("expected failures=", "");
            self.skipped = number(&line, "skipped=") + expected;
            self.failed = number(&line, "failures=") + number(&line, "errors=");
        }
    }

    fn count(&self) -> Count {
        Count { passed: self.ran.saturating_sub(self.skipped + self.failed), failed: self.failed }
    }
}

fn number(line: &str, key: &str) -> u64 {
    let Some((_, rest)) = line.split_once(key) else { return 0 };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Count {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.see(line));
        tally.count()
    }

    #[test]
    fn the_closing_lines_of_unittest_are_read() {
        assert_eq!(tally(&["Ran 9 tests in 1.2s", "", "OK"]), Count { passed: 9, failed: 0 });
        assert_eq!(tally(&["Ran 9 tests in 1.2s", "OK (skipped=2)"]), Count { passed: 7, failed: 0 });
        assert_eq!(tally(&["Ran 9 tests in 1s", "OK (expected failures=3)"]), Count { passed: 6, failed: 0 });
        let both = "FAILED (errors=1, expected failures=3)";
        assert_eq!(tally(&["Ran 9 tests in 1s", both]), Count { passed: 5, failed: 1 });
        let failed = ["Ran 1 test in 0.1s", "FAILED (errors=1)"];
        assert_eq!(tally(&failed), Count { passed: 0, failed: 1 });
        let both = ["Ran 12 tests in 0.1s", "FAILED (failures=10, errors=1)"];
        assert_eq!(tally(&both), Count { passed: 1, failed: 11 });
    }

    #[test]
    fn a_path_with_a_space_or_a_quote_stays_one_word() {
        assert_eq!(quoted(Path::new("/a b/exokit")), Ok("'/a b/exokit'".to_owned()));
        assert_eq!(quoted(Path::new("/it's")), Ok(r#"'/it'"'"'s'"#.to_owned()));
    }
}
