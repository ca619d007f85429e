//! The orchestrator's routing: tasks of the platform become requests to the
//! agent, and what comes of them goes back.
//!
//! It is no authority: the agent verifies every vote again. It spares the agent
//! requests that cannot succeed, and writes down each vote that it hands on
//! before it does.

mod ask;
mod audit;
mod feed;
mod follow;
mod gate;
mod giver;
mod link;
mod routes;
mod stage;
mod task;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event, Message, Subscriber};
use exokit_approval::keys::PublicKey;
use exokit_wire::task::TASK_PREFIX;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use self::feed::{Feed, Reader};
use self::follow::Follow;
use self::stage::{Stage, Stages};
use self::task::Task;
use exokit_nats::{Connection, NatsError, flush, round_trip};

pub use audit::Audit;
pub use link::connect;
pub use routes::{Gate, Route, Routes};

/// Queue group that the replicas of the orchestrator share.
const GROUP: &str = "orchestrator";

/// Most tasks that wait for an answer at once; more are told to come again.
const TASKS_MAX: usize = 1_000;

/// Most tasks that are followed at once. Each costs some memory and nothing of
/// the server's.
const FOLLOWED_MAX: usize = 10_000;

/// Most updates that are on their way at once. Each takes a subscription
/// meanwhile, of which the server allows 256.
const TELLINGS_MAX: usize = 32;

/// Most questions at once about what has happened to operations.
const LOOKS_MAX: usize = 16;

/// Longest wait for the server.
const SERVER: Duration = Duration::from_secs(2);

/// How long tasks under way are waited for when the process ends.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How long it may take to tell those that are followed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The time of day.
pub type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// What routing needs besides a connection.
pub struct Setup {
    /// The table.
    pub routes: Routes,
    /// Who signs rosters. Without it no vote can be verified.
    pub root: Option<PublicKey>,
    /// Where votes that are handed on are written down.
    pub audit: Audit,
    /// The time of day.
    pub now: Now,
}

/// What all tasks share.
struct Shared {
    client: Client,
    setup: Setup,
    feed: Arc<Feed>,
    /// Room for updates on their way.
    tellings: Semaphore,
    /// Room for questions about what has happened.
    looks: Semaphore,
}

/// A task that was answered or refused: what is to be followed, if anything
/// was begun, and where the log says it.
type Worked = (Option<Follow>, Span);

/// The orchestrator.
pub struct Orchestrator {
    shared: Arc<Shared>,
    tasks: Subscriber,
    reader: Reader,
    events: mpsc::UnboundedReceiver<Event>,
    stages: (watch::Sender<Stage>, Stages),
    under_way: JoinSet<Worked>,
    followed: JoinSet<()>,
}

impl Orchestrator {
    /// Subscribes to the events, then to tasks: nothing that a task begins is
    /// missed.
    ///
    /// # Errors
    /// When they cannot be subscribed to.
    pub async fn open(connection: Connection, setup: Setup) -> Result<Self, NatsError> {
        let Connection { client, events } = connection;
        let (feed, reader) = Feed::open(client.clone()).await?;
        let subject = format!("{TASK_PREFIX}>");
        let subscribed = client.queue_subscribe(subject.clone(), GROUP.to_owned()).await;
        let tasks = subscribed.map_err(|source| NatsError::Subscribe { subject, source })?;
        // Whoever is told that it is open may send at once.
        if let Err(error) = round_trip(&client, SERVER).await {
            tracing::warn!(%error, "the server has not confirmed the subscriptions yet");
        }
        let (tellings, looks) = (Semaphore::new(TELLINGS_MAX), Semaphore::new(LOOKS_MAX));
        let shared = Arc::new(Shared { client, setup, feed, tellings, looks });
        let (under_way, followed) = (JoinSet::new(), JoinSet::new());
        Ok(Self { shared, tasks, reader, events, stages: Stages::begin(), under_way, followed })
    }

    /// Routes tasks until `stop` comes true; then answers those under way, for
    /// some seconds, and tells those that are followed that it ends.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { shared, tasks, reader, events, stages: (stage, stages), under_way, followed } = self;
        let mut router = Router { shared: shared.clone(), tasks, stages, under_way, followed };
        let background = async { tokio::join!(reader.run(), link::listen(events, &shared.feed)) };
        let routing = async {
            router.route(stop).await;
            router.end(&stage).await;
        };
        tokio::select! {
            biased;
            () = routing => {}
            _ = background => {}
        }
        flush(&shared.client).await;
    }
}

/// Takes tasks, and keeps those under way.
struct Router {
    shared: Arc<Shared>,
    tasks: Subscriber,
    stages: Stages,
    under_way: JoinSet<Worked>,
    followed: JoinSet<()>,
}

impl Router {
    async fn route(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(ended) = self.under_way.join_next() => self.follow(ended.ok()),
                Some(_) = self.followed.join_next() => {}
                message = self.tasks.next() => match message {
                    Some(message) => self.begin(message),
                    None => return,
                },
            }
        }
    }

    fn begin(&mut self, message: Message) {
        let Some(task) = Task::of(message, &self.shared.client) else { return };
        let logged = tracing::info_span!("task", task = task.giver.kind, trace = %task.giver.trace.id());
        let (shared, stages) = (self.shared.clone(), self.stages.clone());
        let has_room = self.under_way.len() < TASKS_MAX;
        let follows_in = logged.clone();
        let work = async move { (task.work(&shared, stages, has_room).await, follows_in) };
        self.under_way.spawn(work.instrument(logged));
    }

    /// Follows what a task has begun. Who is only followed keeps no place from
    /// those who wait for an answer.
    fn follow(&mut self, worked: Option<Worked>) {
        let Some((Some(follow), logged)) = worked else { return };
        let (shared, stages) = (self.shared.clone(), self.stages.clone());
        let has_room = self.followed.len() < FOLLOWED_MAX;
        let followed = async move { follow.run(&shared, stages, has_room).await };
        self.followed.spawn(followed.instrument(logged));
    }

    /// Takes what came before, answers it, and takes leave of those that are
    /// followed.
    async fn end(&mut self, stage: &watch::Sender<Stage>) {
        let came_before = async {
            // One that is gone already brings nothing more.
            let _ = self.tasks.drain().await;
            while let Some(message) = self.tasks.next().await {
                self.begin(message);
            }
        };
        if tokio::time::timeout(SERVER, came_before).await.is_err() {
            tracing::warn!("what the server still holds is not waited for: it is not there");
        }
        if tokio::time::timeout(LAST_ANSWERS, self.answered()).await.is_err() {
            tracing::warn!(tasks = self.under_way.len(), "what has no answer yet is told so");
        }
        stage.send_replace(Stage::Unanswered);
        self.answered().await;
        stage.send_replace(Stage::Unfollowed);
        let told = async { while self.followed.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, told).await.is_err() {
            tracing::warn!("not all who are followed were told that it ends");
        }
    }

    /// Waits until nothing is under way.
    async fn answered(&mut self) {
        while let Some(ended) = self.under_way.join_next().await {
            self.follow(ended.ok());
        }
    }
}
