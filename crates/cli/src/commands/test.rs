//! `exokit test`: makes an environment from each template, verifies it and
//! removes it.

mod account;
mod checkpoint;
mod journal;
mod life;
mod removal;
mod run_file;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use console::Style;
use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_model::ids::{EnvironmentName, TemplateId};
use exokit_model::plan::Plan;
use exokit_model::text::ForeignText;
use exokit_templates::TemplateSet;
use exokit_text::format::{counted, table};
use exokit_wire::reply::OperationReply;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::watch;

use crate::args::{CloudName, TestArgs};
use crate::connection::Connection;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::follow::finish;
use crate::interrupt::interrupted;
use crate::junit::{self, Case, Suite};
use crate::keys;
use crate::output::{Output, say};
use crate::progress::Progress;
use crate::session;
use crate::settings::Settings;
use account::Approvers;
use journal::{Journal, Unfinished};
use run_file::{RunFile, StageResult};

/// Everything that the tests of one run share.
struct Test<'s> {
    connection: Connection<'s>,
    approvers: Approvers,
    journal: &'s Journal,
    /// Words for the cloud, or the agent.
    cloud: String,
    progress: Arc<Progress>,
    /// Orphans that were there before.
    orphans_before: BTreeSet<ForeignText>,
    /// Becomes true when the user asks for the end.
    stop: watch::Receiver<bool>,
}

pub(crate) async fn run(settings: &Settings, args: TestArgs) -> Result<Exit, CliError> {
    let set = session::templates(settings)?;
    let templates = chosen(&set, &args)?;
    check_folders(&args)?;
    let journal = Journal::open(&args.runs)?;
    let is_own = account::is_own(settings, &args)?;
    let (own, args) = match is_own {
        true => {
            let note = "No roster here: the tests use an account of their own, with people and keys that exist for their time only.";
            settings.output.note(note);
            let own = account::own(settings, journal.account()).await?;
            (own, Approvers::own_args(args)?)
        }
        false => (settings.clone(), args),
    };
    let exit = in_account(&own, &args, &journal, &templates, &set).await?;
    if is_own && journal.unfinished()?.is_empty() {
        account::remove(&journal.account())?;
    }
    Ok(exit)
}

/// The templates to test, each once, in the order of their numbers.
fn chosen(set: &TemplateSet, args: &TestArgs) -> Result<BTreeSet<TemplateId>, CliError> {
    if args.all {
        return Ok(set.iter().map(|template| template.id).collect());
    }
    for id in &args.templates {
        set.find(&id.to_string()).doing("choosing", id)?;
    }
    Ok(args.templates.iter().copied().collect())
}

/// Refuses reports that could not be written in the end.
fn check_folders(args: &TestArgs) -> Result<(), CliError> {
    for path in [&args.report, &args.junit].into_iter().flatten() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if !folder.is_none_or(Path::is_dir) {
            let (why, hint) = ("its folder does not exist", "make the folder first");
            return Err(CliError::unusable("io", "preparing", path.display(), why, hint));
        }
    }
    Ok(())
}

async fn in_account(
    settings: &Settings,
    args: &TestArgs,
    journal: &Journal,
    templates: &BTreeSet<TemplateId>,
    set: &TemplateSet,
) -> Result<Exit, CliError> {
    let connection = Connection::open(settings, None).await?;
    let approvers = Approvers::open(&connection, args).await?;
    let (stop, stopped) = watch::channel(false);
    let is_quiet = args.parallel.get() > 1 || !settings.output.live;
    let output = Output { quiet: is_quiet || settings.output.quiet, ..settings.output.clone() };
    let mut test = Test {
        connection,
        approvers,
        journal,
        cloud: cloud(settings),
        progress: Progress::new(&output),
        orphans_before: BTreeSet::new(),
        stop: stopped,
    };
    let work = async {
        test.remove_unfinished().await?;
        test.orphans_before = test.orphans().await?.into_iter().map(|orphan| orphan.id).collect();
        test.all(templates, args).await
    };
    let Some(results) = until_told_twice(&stop, work).await else {
        return Ok(Exit::Detached);
    };
    let was_stopped = *stop.borrow();
    let results = results?;
    settings.output.data(&results, || text(&results, &args.runs))?;
    write_reports(args, set, &results)?;
    Ok(match was_stopped {
        true => Exit::Detached,
        false => {
            Exit::of_comparison(results.len() < templates.len() || !results.iter().all(|run| run.passed))
        }
    })
}

/// Lets the work end early after Ctrl-C; gives it up after another one.
async fn until_told_twice<T>(stop: &watch::Sender<bool>, work: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(work);
    tokio::select! {
        biased;
        () = interrupted() => {}
        done = &mut work => return Some(done),
    }
    say("\nStopping: what was made is removed first. Ctrl-C again leaves it to the next `exokit test`.\n");
    stop.send_replace(true);
    tokio::select! {
        biased;
        () = interrupted() => None,
        done = &mut work => Some(done),
    }
}

fn cloud(settings: &Settings) -> String {
    match (&settings.agent, &settings.workspace) {
        (Some(agent), _) => format!("agent {agent}"),
        (None, Ok(workspace)) if workspace.cloud == CloudName::Sim => "embedded simulated cloud".to_owned(),
        (None, _) => match settings.account() {
            Ok(account) if account.endpoints.is_local() => "simulated cloud on this host".to_owned(),
            _ => "Exoscale".to_owned(),
        },
    }
}

impl Test<'_> {
    /// Removes what an earlier run left behind.
    async fn remove_unfinished(&self) -> Result<(), CliError> {
        let here = self.connection.client.transport.address();
        for Unfinished { environment, address } in self.journal.unfinished()? {
            let output = &self.connection.settings.output;
            if address != here {
                output.note(&format!(
                    "{environment} of an earlier test is left at {address}: run `exokit test` there again."
                ));
                continue;
            }
            output.note(&format!("Removing {environment}, which an earlier test left behind."));
            self.remove(&environment).await?;
            self.journal.end(&environment)?;
        }
        Ok(())
    }

    /// Tests the templates, as many at a time as is asked for.
    async fn all(&self, templates: &BTreeSet<TemplateId>, args: &TestArgs) -> Result<Vec<RunFile>, CliError> {
        let mut results = Vec::new();
        let lives = stream::iter(templates).map(|template| async move {
            if *self.stop.borrow() {
                return Ok(None);
            }
            self.live(*template, environment_name(*template)?).await.map(Some)
        });
        let mut lives = lives.buffer_unordered(args.parallel.get());
        while let Some(result) = lives.next().await {
            match result {
                Ok(Some(result)) => {
                    result.write(&args.runs)?;
                    results.push(result);
                }
                Ok(None) => {}
                // The others go on; one without a result counts as failed.
                Err(error) => say(&error.text()),
            }
        }
        results.sort_by_key(|result| result.template);
        Ok(results)
    }

    /// Runs an operation to its end.
    async fn finish(&self, plan: &Plan) -> Result<OperationReply, CliError> {
        finish(&self.connection, plan, false, &self.progress).await
    }

    /// Gives work up when the user asks for the end.
    async fn until_stopped<T>(&self, work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stopped| *stopped) => {
                Err(CliError::new("stopped", "testing", "", "the test was stopped by Ctrl-C", "run it again"))
            }
            done = work => done,
        }
    }

    /// Says how a stage ended.
    fn announce(&self, template: TemplateId, result: &StageResult) {
        let output = &self.connection.settings.output;
        let (word, style) = match result.passed {
            true => ("ok", Style::new().green()),
            false => ("FAILED", Style::new().red()),
        };
        let word = style.force_styling(output.colour_notes).apply_to(word);
        let problem = result.problem.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        output.note(&format!(
            "{template}  {:<11}  {word} in {:.1} s{problem}",
            result.stage.name(),
            result.seconds
        ));
    }
}

/// A name that no other environment has.
fn environment_name(template: TemplateId) -> Result<EnvironmentName, CliError> {
    let random = data_encoding::HEXLOWER.encode(&keys::random::<4>()?);
    format!("test-t{}-{random}", template.0).parse().doing("naming", "an environment")
}

fn write_reports(args: &TestArgs, set: &TemplateSet, results: &[RunFile]) -> Result<(), CliError> {
    if let Some(path) = &args.junit {
        junit::write(path, results.iter().map(suite).collect())?;
    }
    if let Some(path) = &args.report {
        checkpoint::write(path, &args.runs, set, SystemClock.now())?;
    }
    Ok(())
}

fn suite(result: &RunFile) -> Suite {
    let class = result.template.to_string();
    let stages = result.stages.iter().map(|stage| {
        let problem = stage.problem.as_ref().map(ToString::to_string);
        Case::new(&class, stage.stage.name().to_owned(), problem).lasting(stage.seconds)
    });
    let checks = result.verification.iter().flat_map(junit::cases);
    Suite::new(format!("{class} ({})", result.environment), stages.chain(checks).collect())
}

fn text(results: &[RunFile], runs: &Path) -> String {
    let rows = results.iter().map(|result| {
        let checks = result.checks();
        let passed = checks.iter().filter(|check| check.passed).count();
        [
            result.template.to_string(),
            if result.passed { "PASS" } else { "FAIL" }.to_owned(),
            format!("{passed} of {}", checks.len()),
            format!("{:.1} s", result.stages.iter().map(|stage| stage.seconds).sum::<f64>()),
            runs.join(result.file_name()).display().to_string(),
        ]
    });
    let mut text = table(["TEMPLATE", "RESULT", "CHECKS", "TIME", "RUN FILE"], rows);
    for result in results {
        if let Some((stage, why)) = result.problem() {
            text.push_str(&format!("\n{} failed at {}: {why}\n", result.template, stage.name()));
        }
    }
    let passed = results.iter().filter(|result| result.passed).count();
    text.push_str(&format!("\n{passed} of {} passed.\n", counted(results.len(), "test")));
    text
}
