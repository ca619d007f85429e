//! Being seen by the platform: the agent registers, shows that it is there,
//! answers broadcasts, and says when it goes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use exokit_service::Service;
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::event::{AGENT_HEARTBEAT, AGENT_LEAVE, AGENT_REGISTER, AgentMessage};
use exokit_wire::verb::Verb;
use futures_util::StreamExt as _;

use exokit_nats::{NatsError, is_inbox};

/// Id of the agent on the platform.
pub const AGENT: &str = "AZ-INFRA-001";

/// Name of its service.
pub const SERVICE: &str = "az-infra-provisioner";

/// What everybody on the platform is asked on.
pub const BROADCAST: &str = "broadcast.>";

/// How often it shows that it is there.
const BEAT: Duration = Duration::from_secs(10);

/// How often it looks whether the connection is another one.
const LOOK: Duration = Duration::from_secs(1);

/// Shows itself on the platform.
pub struct Presence {
    client: Client,
    service: Service,
}

impl Presence {
    /// The presence of the agent behind a service.
    #[must_use]
    pub fn new(client: Client, service: Service) -> Self {
        Self { client, service }
    }

    /// Registers on each connection, since who keeps the list may have gone with
    /// the one before, and stays until `stop` comes true.
    ///
    /// # Errors
    /// When broadcasts cannot be subscribed to.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), NatsError> {
        let failed = |source| NatsError::Subscribe { subject: BROADCAST.to_owned(), source };
        let mut broadcasts = self.client.subscribe(BROADCAST).await.map_err(failed)?;
        tokio::pin!(stop);
        let mut registered = None;
        let mut look = tokio::time::interval(LOOK);
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = look.tick() => registered = self.register(registered).await,
                _ = beat.tick() => self.say(AGENT_HEARTBEAT).await,
                Some(asked) = broadcasts.next() => {
                    if let Some(to) = asked.reply.filter(is_inbox) {
                        self.say(&to).await;
                    }
                }
            }
        }
        self.say(AGENT_LEAVE).await;
        Ok(())
    }

    /// Registers if the connection is another one than it registered on last.
    /// The new one.
    async fn register(&self, last: Option<u64>) -> Option<u64> {
        let now = self.connection();
        if now.is_none() || now == last {
            return last;
        }
        self.say(AGENT_REGISTER).await;
        now
    }

    /// Which connection it is, counted from the first; none while it is lost.
    fn connection(&self) -> Option<u64> {
        let connected = self.client.connection_state() == State::Connected;
        connected.then(|| self.client.statistics().connects.load(Ordering::Relaxed))
    }

    /// Nothing depends on whether it is heard. While the connection is lost
    /// nothing is said: it would be heard late, and all at once.
    async fn say(&self, subject: &str) {
        if self.connection().is_none() {
            return;
        }
        let parts = self.service.engine().parts();
        let message = AgentMessage {
            schema_version: SCHEMA_VERSION,
            agent: AGENT.to_owned(),
            service: SERVICE.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: parts.holder.clone(),
            at: parts.clock.now(),
            ready: parts.ledger.probe().await.is_ok(),
            subjects: Verb::ALL.iter().map(|verb| verb.subject().to_owned()).collect(),
        };
        let Ok(body) = serde_json::to_vec(&message) else { return };
        if let Err(error) = self.client.publish(subject.to_owned(), body.into()).await {
            tracing::debug!(%error, subject, "not said");
        }
    }
}
