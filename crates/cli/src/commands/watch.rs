//! `exokit watch`: follows work, and takes up what nobody does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exokit_model::canonical::Digest;
use exokit_model::event::Event;
use exokit_model::ids::{EnvironmentName, OperationId, PlanId};
use exokit_text::operation;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::request::{EventsRequest, OperationsRequest, ShowPlanRequest, StatusRequest};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::show;
use crate::args::WatchArgs;
use crate::change::start;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::{events, follow};
use crate::interrupt::interrupted;
use crate::output::say;
use crate::progress::Progress;
use crate::report::{exit, report};

/// Longest pause between two polls for work.
const ROUND: Duration = Duration::from_secs(2);

/// More records than a ledger holds: events after it are none, and the reply names
/// the head.
const SEQ_MAX: u64 = u32::MAX as u64;

pub(crate) async fn run(connection: &Connection<'_>, args: &WatchArgs) -> Result<Exit, CliError> {
    let Some(name) = &args.environment else {
        return tokio::select! {
            biased;
            () = interrupted() => {
                let note = "\nNo longer watching. Nothing is lost: `exokit watch` comes back.";
                connection.settings.output.note(note);
                Ok(Exit::Detached)
            }
            exit = Watch::all(connection, args.once) => exit,
        };
    };
    let status = connection.call(&StatusRequest { environment: name.clone() }).await?;
    if let Some(begun) = status.open.iter().find(|open| open.started_at.is_some()) {
        if begun.needs_human.is_some() {
            return report(connection.settings, begun);
        }
        let plan = connection.recorded(begun.plan_id.as_str()).await?.plan;
        return follow(connection, &plan, true).await;
    }
    match connection.client.call(&ShowPlanRequest { plan: name.to_string() }).await {
        Ok(found) => start(connection, &found.operation.plan_id, !args.once).await,
        Err(failure) if failure.class() == Class::NotFound => {
            connection.settings.output.note("Nothing is being done.");
            connection.settings.output.data(&status.view, || show::text(&status))
        }
        Err(failure) => Err(failure.into()),
    }
}

struct Watch<'c> {
    connection: &'c Connection<'c>,
    progress: std::sync::Arc<Progress>,
    after: u64,
    /// Operations under way, each with what ends its run.
    busy: BTreeMap<OperationId, oneshot::Sender<()>>,
    runs: FuturesUnordered<BoxFuture<'c, (OperationId, Option<Failure>)>>,
    /// Messages that were shown: a failure that recurs is shown once.
    shown: BTreeSet<String>,
    exit: Exit,
}

/// The findings of one poll of the events.
#[derive(Default)]
struct News {
    /// Operations that may have ended or parked.
    settled: BTreeSet<OperationId>,
    expired: Vec<(EnvironmentName, Digest)>,
    ending: Vec<EnvironmentName>,
}

impl<'c> Watch<'c> {
    /// Watches for ever; with `once` until everything is done that can be done
    /// now.
    async fn all(connection: &'c Connection<'c>, once: bool) -> Result<Exit, CliError> {
        let head = EventsRequest { after: SEQ_MAX, ..EventsRequest::default() };
        let mut watch = Self {
            connection,
            progress: Progress::new(&connection.settings.output),
            after: connection.call(&head).await?.head,
            busy: BTreeMap::new(),
            runs: FuturesUnordered::new(),
            shown: BTreeSet::new(),
            exit: Exit::Done,
        };
        let mut next_round = Some(Instant::now());
        loop {
            let is_due = next_round.is_some_and(|at| at <= Instant::now());
            if is_due {
                next_round = (!once).then(|| Instant::now() + ROUND);
            }
            let polled = async {
                if is_due {
                    watch.take_up().await?;
                }
                watch.news().await
            };
            match polled.await {
                Err(error) if once => return Err(error),
                // The next round may succeed.
                Err(error) => watch.say_once(error.text()),
                Ok(()) => {}
            }
            if once && watch.busy.is_empty() {
                return Ok(watch.exit);
            }
            let pause =
                if watch.busy.is_empty() { ROUND } else { connection.client.transport.poll_interval() };
            tokio::select! {
                biased;
                Some((id, failure)) = watch.runs.next() => watch.stopped(&id, failure),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Plans the removal of what has expired, and begins to run and to show what
    /// can go on.
    async fn take_up(&mut self) -> Result<(), CliError> {
        let connection = self.connection;
        for failure in connection.client.transport.expire().await {
            self.say_once(CliError::from(failure).text());
        }
        for plan_id in self.ready().await? {
            let id = plan_id.operation();
            let plan = connection.recorded(plan_id.as_str()).await?.plan;
            self.progress.begin(&plan, connection.speed);
            let (end, ended) = oneshot::channel();
            self.busy.insert(id.clone(), end);
            self.runs.push(Box::pin(async move {
                let failure = tokio::select! {
                    biased;
                    Err(failure) = connection.client.transport.run(&id) => Some(failure),
                    _ = ended => None,
                };
                (id, failure)
            }));
        }
        Ok(())
    }

    /// Plans that can go on now, and of which nothing is shown yet.
    async fn ready(&self) -> Result<Vec<PlanId>, CliError> {
        let mut request = OperationsRequest::default();
        let mut ready = Vec::new();
        loop {
            let page = self.connection.call(&request).await?;
            let ids = page.operations.into_iter().map(|operation| operation.operation);
            ready.extend(ids.filter(|id| !self.busy.contains_key(id)).map(|id| id.plan()));
            // A page that leads back would be asked for for ever.
            match page.next.filter(|next| Some(next) > request.after.as_ref()) {
                Some(next) => request.after = Some(next),
                None => return Ok(ready),
            }
        }
    }

    /// Shows what was recorded since the last look.
    async fn news(&mut self) -> Result<(), CliError> {
        let mut news = News::default();
        let mut after = self.after;
        events(self.connection, &mut after, None, |message, event| {
            let Some(event) = event else { return };
            self.progress.recorded(message, event);
            match (event, &message.environment, &message.operation) {
                (Event::ExpiryNoticed { digest, .. }, Some(name), _) => {
                    news.expired.push((name.clone(), *digest));
                }
                (Event::ExpiryWarned { .. }, Some(name), _) => news.ending.push(name.clone()),
                (event, _, Some(id)) if event.node().is_none() => drop(news.settled.insert(id.clone())),
                _ => {}
            }
        })
        .await?;
        self.after = after;
        let output = &self.connection.settings.output;
        for name in news.ending {
            output.note(&format!("{name} expires soon: exokit show {name}"));
        }
        for (name, digest) in news.expired {
            let found = self.connection.recorded(&digest.to_string()).await?;
            let plan_id = found.plan.plan_id;
            output.note(&match found.reply.still {
                Some(_) => format!(
                    "{name} has expired; {plan_id} to remove it waits for approval: exokit approve {plan_id}"
                ),
                None => format!("{name} has expired; {plan_id} removes it, as its approval allowed"),
            });
        }
        for id in news.settled {
            self.settle(&id).await?;
        }
        Ok(())
    }

    /// Says how an operation ended, if it did.
    async fn settle(&mut self, id: &OperationId) -> Result<(), CliError> {
        if !self.busy.contains_key(id) {
            return Ok(());
        }
        let operation = self.connection.recorded(id.plan().as_str()).await?.reply.operation;
        if matches!(operation.phase.raw(), "awaiting-approval" | "running" | "rolling-back") {
            return Ok(());
        }
        self.busy.remove(id);
        self.progress.end(id);
        self.exit = worse(self.exit, exit(&operation));
        say(&operation::text(&operation));
        Ok(())
    }

    /// Says why an operation cannot be run; the next round tries again.
    fn stopped(&mut self, id: &OperationId, failure: Option<Failure>) {
        let Some(failure) = failure.filter(|_| self.busy.remove(id).is_some()) else { return };
        self.progress.end(id);
        let error = CliError::from(failure);
        self.exit = worse(self.exit, error.exit);
        self.say_once(error.text());
    }

    fn say_once(&mut self, text: String) {
        if self.shown.insert(text.clone()) {
            say(&text);
        }
    }
}

/// The worse of two ends: an operation that needs a human outweighs a failed one.
fn worse(a: Exit, b: Exit) -> Exit {
    if a as u8 >= b as u8 { a } else { b }
}
