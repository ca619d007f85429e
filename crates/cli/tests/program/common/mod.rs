//! Runs the real program in a state directory of its own.

pub(crate) mod canary;
pub(crate) mod evidence;
pub(crate) mod fake_agent;
pub(crate) mod served;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The program.
pub(crate) const EXOKIT: &str = env!("CARGO_BIN_EXE_exokit");

/// How fast the embedded cloud of most tests runs.
pub(crate) const SPEED: &str = "200";

/// Passphrase of all keys in the tests.
pub(crate) const PASSPHRASE: &str = "correct horse battery";

/// Longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(60);

/// A state directory that goes away with the test.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) speed: String,
}

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    /// An empty state directory.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), speed: SPEED.to_owned() }
    }

    /// A state directory whose roster has dana (developer), alex (platform),
    /// kim (finance) and dana-agent, who acts for dana.
    pub(crate) fn with_roster() -> Self {
        let place = Self::new();
        copy(roster_dir(), place.dir.path());
        place
    }

    /// The same with another speed of the embedded cloud.
    pub(crate) fn at_speed(mut self, speed: &str) -> Self {
        speed.clone_into(&mut self.speed);
        self
    }

    /// The program with arguments; nothing of the caller's environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(EXOKIT);
        command.args(args).env_clear().stdin(Stdio::null());
        command
            .env("EXOKIT_STATE", self.dir.path())
            .env("EXOKIT_CLOUD", "sim")
            .env("EXOKIT_SIM_SPEED", &self.speed)
            .env("EXOKIT_PERSON", "dana")
            .env("EXOKIT_PASSPHRASE", PASSPHRASE);
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).output().unwrap())
    }

    /// Runs and demands an exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, code, "exokit {}\n{}\n{}", args.join(" "), ended.out, ended.err);
        ended
    }

    /// Runs with `-o json`, demands an exit code and reads the answer.
    #[track_caller]
    pub(crate) fn json(&self, code: i32, args: &[&str]) -> Value {
        let args = [args, &["-o", "json"]].concat();
        let ended = self.expect(code, &args);
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }

    /// Runs with `-o json`, demands an exit code and reads the error.
    #[track_caller]
    pub(crate) fn error(&self, code: i32, args: &[&str]) -> Value {
        let args = [args, &["-o", "json"]].concat();
        let ended = self.expect(code, &args);
        let line = ended.err.lines().last().unwrap_or_default();
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
        for key in ["code", "doing", "on", "why", "hint"] {
            assert!(value["error"][key].is_string(), "{key}: {value}");
        }
        assert_ne!(value["error"]["hint"], "");
        value["error"].clone()
    }

    /// Approves what waits for an environment.
    #[track_caller]
    pub(crate) fn approve(&self, environment: &str, person: &str) {
        self.expect(0, &["approve", environment, "--as", person, "--yes"]);
    }

    /// Makes a T1 environment.
    #[track_caller]
    pub(crate) fn up_t1(&self, name: &str) {
        self.expect(0, &["up", "T1", "--name", name]);
    }

    /// Starts the program in the background.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Asks again and again until `condition` holds for the environment.
    #[track_caller]
    pub(crate) fn until(&self, environment: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        poll(what, || {
            let ended = self.run(&["show", environment, "-o", "json"]);
            let value: Value = serde_json::from_str(&ended.out).ok()?;
            condition(&value).then_some(value)
        })
    }

    /// The path of a file in the state directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// State of one resource in what `show` printed.
pub(crate) fn state_of<'v>(shown: &'v Value, key: &str) -> &'v str {
    let resources = shown["resources"].as_array().unwrap();
    let found = resources.iter().find(|resource| resource["key"] == key).unwrap();
    found["state"].as_str().unwrap()
}

/// Asks until there is an answer.
#[track_caller]
pub(crate) fn poll<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    #[expect(clippy::disallowed_methods, reason = "another process is waited for, in real time")]
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not come within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

pub(crate) fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Waits for a process in the background.
pub(crate) fn wait(child: Child) -> Ended {
    ended(child.wait_with_output().unwrap())
}

/// Sends a signal, such as `INT`, to a process of this test.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Reads the first line that a process prints.
pub(crate) fn first_line(child: &mut Child) -> String {
    let mut line = Vec::new();
    let out = child.stdout.as_mut().unwrap();
    let mut byte = [0];
    while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Repository root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// One of the run files of the earlier kit.
pub(crate) fn run_file(template: &str) -> String {
    repository().join(format!("runs/{template}-20260223.yaml")).display().to_string()
}

/// Made once: opening keys is slow on purpose.
fn roster_dir() -> &'static Path {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let place = Place::new();
        place.expect(0, &["approver", "init"]);
        for (person, role) in [("dana", "developer"), ("alex", "platform"), ("kim", "finance")] {
            let made = place.json(0, &["approver", "create-key", person]);
            let public = made["public"].as_str().unwrap();
            place.expect(0, &["approver", "add", person, "--role", role, "--public", public]);
        }
        place.expect(0, &["approver", "add", "dana-agent", "--agent-of", "dana"]);
        place.dir
    });
    dir.path()
}

fn copy(from: &Path, to: &Path) {
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => {
                std::fs::create_dir_all(&target).unwrap();
                copy(&path, &target);
            }
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
}
