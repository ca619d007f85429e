//! Keeps the mirror of a cluster and its API server in step: lists and watches
//! for the actors, and sends what they write.

use super::client::{Client, Lines};
use crate::{SharedWorld, SimError};
use exokit_kube_sim::{MirroredKind, Outcome, Write};
use futures_util::future::join_all;
use serde_json::Value;
use std::io;
use std::time::Duration;

/// After a failure, the next attempt comes this much later.
const RETRY: Duration = Duration::from_millis(500);

/// A write that the API server cannot decide on is sent this often.
const ATTEMPTS_MAX: u32 = 10;

/// Follows a cluster for as long as this is polled.
pub(super) async fn follow(world: &SharedWorld, id: &str, client: &Client) {
    let follower = Follower { world, id, client };
    let watches = join_all(MirroredKind::all().map(|kind| follower.observe(kind)));
    tokio::join!(follower.write(), watches);
}

struct Follower<'a> {
    world: &'a SharedWorld,
    id: &'a str,
    client: &'a Client,
}

impl Follower<'_> {
    /// Observes one kind.
    async fn observe(&self, kind: MirroredKind) {
        loop {
            if let Err(why) = self.list_and_watch(kind).await {
                tracing::debug!(cluster = self.id, path = kind.path(), %why, "a watch ended");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Takes the list of a kind, then its events until the watch ends.
    async fn list_and_watch(&self, kind: MirroredKind) -> io::Result<()> {
        let path = kind.path();
        let (status, mut list) = self.client.get(&path).await?;
        if !status.is_success() {
            return Err(io::Error::other(format!("a list was answered with {status}")));
        }
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let items = match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        let number = version.parse().unwrap_or(0);
        self.tell(|cluster, now| cluster.observe_list(now, kind, items, number))?;
        let lines = self.client.watch(&format!("{path}?watch=1&resourceVersion={version}")).await?;
        self.watch(kind, lines).await
    }

    async fn watch(&self, kind: MirroredKind, mut lines: Lines) -> io::Result<()> {
        while let Some(mut event) = lines.next().await? {
            let change = event["type"].as_str().unwrap_or_default().to_owned();
            let object = event["object"].take();
            if change == "ERROR" {
                return Err(io::Error::other(object["message"].to_string()));
            }
            self.tell(|cluster, now| cluster.observe(now, kind, &change, object))?;
        }
        Ok(())
    }

    /// Sends the writes of the actors, one after the other.
    async fn write(&self) {
        let mut changes = self.world.changes();
        loop {
            // Marked before the world is read: no change is missed in between.
            changes.borrow_and_update();
            let writes = match self.world.with(|world| world.take_writes(self.id)) {
                Ok(writes) => writes,
                Err(why) => return tracing::error!(%why, "the state of the cloud cannot be read"),
            };
            let is_idle = writes.is_empty();
            for write in writes {
                let outcome = self.outcome(&write).await;
                if let Err(why) = self.tell(|cluster, now| cluster.confirm(now, &write, outcome)) {
                    return tracing::error!(%why, "the state of the cloud cannot be read");
                }
            }
            // The world, and with it the sender, lives as long as this does.
            if is_idle && changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Sends a write until the API server has decided on it.
    async fn outcome(&self, write: &Write) -> Outcome {
        let mut attempts = 0;
        loop {
            let sent = match attempts < ATTEMPTS_MAX {
                true => self.send(write).await,
                // It holds up the others: the actor decides again.
                false => self.look(write).await,
            };
            match sent {
                Ok(Some(outcome)) => return outcome,
                Ok(None) => {}
                Err(why) => tracing::debug!(cluster = self.id, path = write.path(), %why, "a write failed"),
            }
            attempts += 1;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// None: the API server has not decided.
    async fn send(&self, write: &Write) -> io::Result<Option<Outcome>> {
        let (status, reply) =
            self.client.change(write.method(), write.path(), write.content_type(), write.body()).await?;
        match status.as_u16() {
            200..=299 => Ok(Some(write.outcome(reply))),
            // A creation is answered so when its namespace is gone.
            404 => Ok(Some(Outcome::Gone)),
            429 | 500.. => Ok(None),
            _ => {
                let message = reply["message"].as_str().unwrap_or_default();
                tracing::debug!(path = write.path(), %status, message, "a write was refused");
                self.look(write).await
            }
        }
    }

    /// Reads the object that a write was to change.
    async fn look(&self, write: &Write) -> io::Result<Option<Outcome>> {
        let (status, object) = self.client.get(&write.object_path()).await?;
        Ok(match status.as_u16() {
            200..=299 => Some(Outcome::Present(object)),
            404 => Some(Outcome::Gone),
            _ => None,
        })
    }

    fn tell(&self, tell: impl FnOnce(&mut exokit_kube_sim::Cluster, i64)) -> io::Result<()> {
        let told: Result<(), SimError> = self.world.with(|world| world.tell_mirror(self.id, tell));
        told.map_err(io::Error::other)
    }
}
