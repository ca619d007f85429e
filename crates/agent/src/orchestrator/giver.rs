//! Who gave a task, and how updates get there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Message, StatusCode, Subject};
use bytes::Bytes;
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::task::{TaskUpdate, Update};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::nats::headers;
use crate::trace::Trace;
use exokit_nats::UNUSED_SUBJECT;

/// Longest time for which a giver may be away. Who has lost the server, too, may
/// connect later than we do.
const AWAY: Duration = Duration::from_secs(120);

/// Pause before the second try, and the longest one: it doubles each time.
const RETRY: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(4);

/// Longest wait for the server's word on one update.
const CONFIRM: Duration = Duration::from_secs(5);

/// Where the updates of a task go.
pub(super) struct Giver {
    pub(super) client: Client,
    /// Type of the task.
    pub(super) kind: String,
    pub(super) reply: Subject,
    pub(super) trace: Trace,
}

/// What became of one update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Somebody is subscribed to where it went.
    Heard,
    /// Nobody is.
    Unheard,
    /// It may be lost, or the server is not there.
    Lost,
}

impl Giver {
    /// Tells something that the giver gets again when the task is sent again.
    pub(super) async fn tell(&self, update: Update) {
        let Some(body) = self.body(update) else { return };
        let (to, headers) = (self.reply.clone(), headers(&self.trace));
        if let Err(error) = self.client.publish_with_headers(to, headers, body).await {
            tracing::warn!(%error, "an update was not sent");
        }
    }

    /// Tells something until somebody hears it; false when nobody does for too
    /// long. What was under way when a connection was lost may come twice.
    pub(super) async fn tell_until_heard(&self, update: Update, room: &Semaphore) -> bool {
        let Some(body) = self.body(update) else { return false };
        let (mut away_since, mut pause) = (None, RETRY);
        loop {
            match self.send(body.clone(), room).await {
                Sent::Heard => return true,
                Sent::Unheard if away_since.get_or_insert_with(Instant::now).elapsed() > AWAY => {
                    return false;
                }
                Sent::Unheard => {}
                Sent::Lost => away_since = None,
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(RETRY_MAX);
        }
    }

    fn body(&self, update: Update) -> Option<Bytes> {
        let update = TaskUpdate { schema_version: SCHEMA_VERSION, task: self.kind.clone(), update };
        serde_json::to_vec(&update).ok().map(Bytes::from)
    }

    /// Sends once. The server answers at once for a subject that nobody hears.
    /// So the update goes first and something to nobody right after it: when
    /// the answer to that comes first, somebody has heard the update. Each of
    /// these takes a subscription meanwhile, and there is room for so many.
    async fn send(&self, body: Bytes, room: &Semaphore) -> Sent {
        let Ok(_permit) = room.acquire().await else { return Sent::Lost };
        // What is sent to a server that is not there waits for it, each time.
        if self.client.connection_state() != State::Connected {
            return Sent::Lost;
        }
        let (inbox, connection) = (self.client.new_inbox(), self.connection());
        let (of_giver, of_nobody) = (format!("{inbox}.giver"), format!("{inbox}.nobody"));
        let first = async {
            let mut answers = self.client.subscribe(format!("{inbox}.*")).await.ok()?;
            let (to, headers) = (self.reply.clone(), headers(&self.trace));
            self.client.publish_with_reply_and_headers(to, of_giver.clone(), headers, body).await.ok()?;
            self.client.publish_with_reply(UNUSED_SUBJECT, of_nobody, Bytes::new()).await.ok()?;
            answers.next().await
        };
        let answer = tokio::time::timeout(CONFIRM, first).await.ok().flatten();
        // What was sent over an earlier connection may be lost with it.
        match answer.filter(|_| connection == self.connection()) {
            None => Sent::Lost,
            Some(answer) if is_refusal(&answer, &of_giver) => Sent::Unheard,
            Some(_) => Sent::Heard,
        }
    }

    /// Which connection it is, counted from the first.
    fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

/// Whether the server says that nobody hears what was sent with this inbox.
fn is_refusal(answer: &Message, inbox: &str) -> bool {
    answer.subject.as_str() == inbox && answer.status == Some(StatusCode::NO_RESPONDERS)
}
