//! The agent on the platform's list of agents: registration, heartbeats, answers
//! to broadcasts, and a message when the agent leaves.

use std::time::Duration;

use async_nats::Client;
use exokit_nats::{NatsError, is_inbox};
use exokit_service::Service;
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::event::{AGENT_HEARTBEAT, AGENT_LEAVE, AGENT_REGISTER, AgentMessage};
use exokit_wire::verb::Verb;
use futures_util::StreamExt as _;
use tokio::sync::watch;

/// Id of the agent on the platform.
pub(super) const AGENT: &str = "AZ-INFRA-001";

pub(super) const SERVICE: &str = "az-infra-provisioner";

/// The subjects of requests to all agents of the platform.
pub(super) const BROADCAST: &str = "broadcast.>";

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Registration {
    pub(super) client: Client,
    pub(super) service: Service,
    pub(super) connected: watch::Receiver<bool>,
}

impl Registration {
    /// Registers on each connection, because the list may have gone with the
    /// connection before, and stays registered until `stop` completes.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), NatsError> {
        let failed = |source| NatsError::Subscribe(BROADCAST.to_owned(), source);
        let mut broadcasts = self.client.subscribe(BROADCAST).await.map_err(failed)?;
        tokio::pin!(stop);
        let mut heartbeat = tokio::time::interval(HEARTBEAT_INTERVAL);
        self.connected.mark_changed();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Ok(()) = self.connected.changed() => self.publish(AGENT_REGISTER).await,
                _ = heartbeat.tick() => self.publish(AGENT_HEARTBEAT).await,
                Some(request) = broadcasts.next() => {
                    if let Some(to) = request.reply.filter(is_inbox) {
                        self.publish(&to).await;
                    }
                }
            }
        }
        self.publish(AGENT_LEAVE).await;
        Ok(())
    }

    /// Publishes the state of the agent, except while the connection is lost: the
    /// client would queue the messages and send them late, all at once.
    async fn publish(&self, subject: &str) {
        if !*self.connected.borrow() {
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
            tracing::debug!(%error, subject, "not published");
        }
    }
}
