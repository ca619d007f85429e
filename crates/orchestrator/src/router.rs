//! The router: takes tasks, and keeps those in flight.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use crate::operation_tracker::OperationTracker;
use crate::shared::Shared;
use crate::shutdown::ShutdownPhase;
use crate::task::{TASKS_MAX, Task};

/// Longest wait for the server.
pub(crate) const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Most operations that are tracked at once. Each takes some memory, and nothing
/// of the server.
const TRACKED_MAX: usize = 10_000;

/// How long a shutdown waits for tasks in flight.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a shutdown may take to tell requesters that tracking ends.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(5);

/// The operation that a finished task wants tracked, if any, and the log span of
/// the task.
type Finished = (Option<OperationTracker>, Span);

pub(crate) struct Router {
    shared: Arc<Shared>,
    tasks: Subscriber,
    shutdown: watch::Sender<ShutdownPhase>,
    in_flight: JoinSet<Finished>,
    /// Tracked operations take no capacity from tasks that wait for an answer.
    tracked: JoinSet<()>,
}

impl Router {
    pub(crate) fn new(shared: Arc<Shared>, tasks: Subscriber) -> Self {
        let shutdown = watch::Sender::new(ShutdownPhase::Running);
        Self { shared, tasks, shutdown, in_flight: JoinSet::new(), tracked: JoinSet::new() }
    }

    /// Routes tasks until `stop` completes, then shuts down.
    pub(crate) async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(finished) = self.in_flight.join_next() => self.track(finished.ok()),
                Some(_) = self.tracked.join_next() => {}
                message = self.tasks.next() => match message {
                    Some(message) => self.start(message),
                    None => break,
                },
            }
        }
        self.shut_down().await;
    }

    fn start(&mut self, message: Message) {
        let Some(task) = Task::of(message, &self.shared.client) else { return };
        let span = tracing::info_span!("task", task = task.reply.kind, trace = %task.reply.trace.trace_id());
        let (shared, shutdown) = (self.shared.clone(), self.shutdown.subscribe());
        let has_capacity = self.in_flight.len() < TASKS_MAX;
        let tracker_span = span.clone();
        let run = async move { (task.run(&shared, shutdown, has_capacity).await, tracker_span) };
        self.in_flight.spawn(run.instrument(span));
    }

    fn track(&mut self, finished: Option<Finished>) {
        let Some((Some(tracker), span)) = finished else { return };
        let (shared, shutdown) = (self.shared.clone(), self.shutdown.subscribe());
        let has_capacity = self.tracked.len() < TRACKED_MAX;
        let run = async move { tracker.run(&shared, shutdown, has_capacity).await };
        self.tracked.spawn(run.instrument(span));
    }

    /// Answers the tasks that came before, then ends the tracking of operations.
    async fn shut_down(&mut self) {
        let pending = async {
            // A subscription that is gone already delivers nothing more.
            let _ = self.tasks.drain().await;
            while let Some(message) = self.tasks.next().await {
                self.start(message);
            }
        };
        if tokio::time::timeout(SERVER_TIMEOUT, pending).await.is_err() {
            tracing::warn!("the server is away: tasks that it still holds are not answered");
        }
        if tokio::time::timeout(ANSWER_TIMEOUT, self.finish_tasks()).await.is_err() {
            tracing::warn!(tasks = self.in_flight.len(), "tasks without an answer are refused");
        }
        self.shutdown.send_replace(ShutdownPhase::RefuseTasks);
        self.finish_tasks().await;
        self.shutdown.send_replace(ShutdownPhase::EndTracking);
        let notified = async { while self.tracked.join_next().await.is_some() {} };
        if tokio::time::timeout(NOTIFY_TIMEOUT, notified).await.is_err() {
            tracing::warn!("not all requesters were told that tracking ends");
        }
    }

    /// Waits until no task is in flight.
    async fn finish_tasks(&mut self) {
        while let Some(finished) = self.in_flight.join_next().await {
            self.track(finished.ok());
        }
    }
}
