//! `exokit demo`: the whole story, each step by the command that a user would
//! type, run as a process of its own.

mod kubectl;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use console::Style;
use exokit_cloud::clock::SystemClock;
use exokit_model::outputs::Outputs;
use exokit_model::text::{Escaped, ForeignText};
use tower::ServiceExt as _;

use crate::args::DemoArgs;
use crate::embedded;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::output::{Output, say};
use crate::settings::{Settings, parse_speed};
use crate::state_dir::StateDir;

/// How many times faster than real the cloud of the story runs.
const SPEED: &str = "60";

/// What one step shows, how, and how it must end.
struct Step {
    says: &'static str,
    types: &'static [&'static str],
    ends: Exit,
}

const fn step(says: &'static str, types: &'static [&'static str], ends: Exit) -> Step {
    Step { says, types, ends }
}

/// The environment of the story.
const NAME: &str = "store";

/// What is done once the environment runs.
const BEGINNING: &[Step] = &[
    step(
        "Once, by the platform team: a root key, and three persons with keys of their own.",
        &["approver", "init"],
        Exit::Done,
    ),
    step("", &["approver", "create-key", "dana"], Exit::Done),
    step("", &["approver", "add", "dana", "--role", "developer", "--team", "research"], Exit::Done),
    step("", &["approver", "create-key", "alex"], Exit::Done),
    step("", &["approver", "add", "alex", "--role", "platform"], Exit::Done),
    step("", &["approver", "create-key", "kim"], Exit::Done),
    step("", &["approver", "add", "kim", "--role", "finance"], Exit::Done),
    step(
        "Dana needs PostgreSQL and a bucket. Which template is the cheapest that has both?",
        &["select", "--database", "pg", "--object-storage"],
        Exit::Done,
    ),
    step(
        "What would it make, in which order, for how much, and who must agree?",
        &["plan", "T3", "--name", "store", "--ttl", "8h", "--as", "dana"],
        Exit::Done,
    ),
    step(
        "Dana asks for it. It is of level 2, so it waits.",
        &["up", "T3", "--name", "store", "--ttl", "8h", "--as", "dana"],
        Exit::Waiting,
    ),
    step(
        "Dana tries to approve her own request.",
        &["approve", "store", "--as", "dana", "--yes"],
        Exit::Failed,
    ),
    step(
        "Alex sees what it is about, and signs exactly those bytes.",
        &["approve", "store", "--as", "alex", "--yes"],
        Exit::Done,
    ),
    step("Now it runs, as fast as the cloud allows.", &["watch", "store", "--as", "dana"], Exit::Done),
    step("How is it reached?", &["outputs", NAME], Exit::Done),
    step(
        "Get a kubeconfig: read-only, without secrets, valid for ten minutes.",
        &["kubeconfig", NAME, "--ttl", "10m", "--merge"],
        Exit::Done,
    ),
];

/// What to do when the story does not go as told.
const HINT: &str = "run it by hand with --keep to look into it";

/// What is done after a visit to its workload.
const END: &[Step] = &[
    step("What is there?", &["list"], Exit::Done),
    step("", &["show", "store"], Exit::Done),
    step("Is it still what was approved?", &["drift", "store"], Exit::Done),
    step(
        "It is no longer needed. A teardown that destroys data needs two persons of two roles.",
        &["down", "store", "--as", "dana"],
        Exit::Waiting,
    ),
    step("", &["approve", "store", "--as", "alex", "--yes"], Exit::Done),
    step("", &["approve", "store", "--as", "kim", "--yes"], Exit::Done),
    step(
        "Everything goes, and an independent look proves it.",
        &["watch", "store", "--as", "dana"],
        Exit::Done,
    ),
    step("Is anything of ours left anywhere in the account?", &["orphans"], Exit::Done),
    step("Is the record of all this whole?", &["audit", "verify"], Exit::Done),
];

pub(crate) async fn run(settings: &Settings, args: &DemoArgs) -> Result<Exit, CliError> {
    let temporary;
    let state = match &args.keep {
        Some(folder) => new_folder(folder)?,
        None => {
            temporary = tempfile::tempdir().doing("making", "a temporary state directory")?;
            temporary.path().to_owned()
        }
    };
    // With a handler of its own this process outlives Ctrl-C and cleans up.
    #[cfg(unix)]
    let _interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .doing("preparing", "the demo")?;
    let passphrase = data_encoding::HEXLOWER.encode(&keys::random::<16>()?);
    let clock = tokio::time::Instant::now();
    let teller = Teller { settings, state: &state, passphrase: &passphrase };
    for step in BEGINNING {
        teller.tell(step)?;
    }
    let outputs = teller.outputs()?;
    kubectl::look(&settings.output, &state, &teller.kubeconfig(), &outputs).await?;
    teller.visit(&outputs).await?;
    for step in END {
        teller.tell(step)?;
    }
    say(&format!("\nThe whole story took {} s.\n", clock.elapsed().as_secs()));
    if args.keep.is_some() {
        let path = state.display();
        say(&format!(
            "Look around: exokit history store --state {path}\nThe passphrase of the keys was made up and is gone.\n"
        ));
    }
    Ok(Exit::Done)
}

fn new_folder(folder: &Path) -> Result<PathBuf, CliError> {
    let used = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if used {
        let hint = "name a folder that is new or empty";
        return Err(CliError::unusable("exists", "using", folder.display(), "it is not empty", hint));
    }
    std::fs::create_dir_all(folder).doing("making", folder.display())?;
    std::fs::canonicalize(folder).doing("finding", folder.display())
}

struct Teller<'s> {
    settings: &'s Settings,
    state: &'s Path,
    passphrase: &'s str,
}

impl Teller<'_> {
    fn tell(&self, step: &Step) -> Result<(), CliError> {
        let output = &self.settings.output;
        let typed = step.types.join(" ");
        let comment = match step.says {
            "" => String::new(),
            says => format!("\n{}\n", output.paint(Style::new().bold()).apply_to(format!("# {says}"))),
        };
        let prompt = output.paint(Style::new().cyan()).apply_to(format!("$ exokit {typed}"));
        output.raw(format!("{comment}{prompt}\n").as_bytes())?;
        let exit = self.command(output, step.types).status().doing("running", &typed)?;
        let expected = step.ends as u8;
        if exit.code() != Some(i32::from(expected)) {
            let why = format!("it ended with {exit}, expected was {expected}");
            return Err(CliError::new("demo", "running", &typed, why, HINT));
        }
        if step.ends != Exit::Done {
            output.raw(format!("(exit code {expected}, as it should be)\n").as_bytes())?;
        }
        Ok(())
    }

    fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    fn outputs(&self) -> Result<Outputs, CliError> {
        let asked = self.command(&self.settings.output, &["outputs", NAME, "-o", "json"]).output();
        let asked = asked.doing("asking for", "the outputs")?;
        serde_json::from_slice(&asked.stdout)
            .map_err(|error| CliError::new("demo", "reading", "the outputs", error, HINT))
    }

    /// Opens the workload through its load balancer, as a browser would.
    async fn visit(&self, outputs: &Outputs) -> Result<(), CliError> {
        let output = &self.settings.output;
        let failed = |why: &dyn Display| CliError::new("demo", "visiting", "the workload", why, HINT);
        let mut urls = outputs.services.iter().flat_map(|service| &service.urls).map(ForeignText::raw);
        let url = urls.find(|url| url.starts_with("http://")).ok_or_else(|| failed(&"it has no address"))?;
        let title = output.paint(Style::new().bold()).apply_to("# Does the workload answer?");
        let prompt = output.paint(Style::new().cyan()).apply_to(format!("GET {url}"));
        output.raw(format!("\n{title}\n{prompt}\n").as_bytes())?;
        let state = StateDir::new(self.state.to_owned());
        let cloud = embedded::open(&state, parse_speed(SPEED)?, Arc::new(SystemClock))?;
        let request = http::Request::get(url).body(bytes::Bytes::new()).map_err(|error| failed(&error))?;
        let reply = cloud.transport.oneshot(request).await.map_err(|error| failed(&error))?;
        let text = String::from_utf8_lossy(reply.body()).into_owned();
        let lines: String = text.lines().map(|line| format!("{}\n", Escaped(line))).collect();
        output.raw(format!("{}\n{lines}", reply.status()).as_bytes())
    }

    /// This program again, with nothing of the caller's cloud.
    fn command(&self, output: &Output, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.settings.program);
        command.args(arguments);
        if output.quiet {
            command.arg("--quiet");
        }
        for (name, _) in self.settings.foreign() {
            command.env_remove(name);
        }
        command
            .env("EXOKIT_CLOUD", "sim")
            .env("EXOKIT_STATE", self.state)
            .env("EXOKIT_SIM_SPEED", SPEED)
            .env("EXOKIT_PASSPHRASE", self.passphrase)
            .env("KUBECONFIG", self.kubeconfig());
        command
    }
}
