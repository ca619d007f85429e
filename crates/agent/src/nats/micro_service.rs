//! The agent as a NATS micro service: tools such as `nats micro list` find it,
//! its endpoints and their statistics.
//!
//! Queries and replies are those of ADR-32 of NATS ("Service API"). The requests
//! do not depend on them: without the permission they are left out.

use std::sync::Arc;

use async_nats::{Client, Message};
use exokit_nats::{NatsError, Permission, is_inbox};
use exokit_wire::verb::Verb;
use futures_util::stream::{StreamExt as _, select_all};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::registration::{AGENT, SERVICE};
use super::request_server::GROUP;
use super::request_stats::{OperationStats, RequestStats};

const PREFIX: &str = "$SRV";

/// The queries of the protocol: the second part of their subjects.
const QUERIES: [&str; 3] = ["PING", "INFO", "STATS"];

pub(super) fn permissions() -> Vec<Permission> {
    QUERIES.iter().map(|query| Permission::Subscribe(format!("{PREFIX}.{query}"))).collect()
}

pub(super) struct MicroService {
    client: Client,
    stats: Arc<RequestStats>,
    /// Unique for each process.
    id: String,
    started: Timestamp,
}

impl MicroService {
    /// The service of a process that begins now.
    pub(super) fn new(client: Client, stats: Arc<RequestStats>, started: Timestamp) -> Self {
        // The last part of an inbox is random.
        let id = client.new_inbox().rsplit('.').next().unwrap_or_default().to_owned();
        Self { client, stats, id, started }
    }

    /// Answers queries until `stop` completes.
    pub(super) async fn run(self, stop: impl Future<Output = ()>) -> Result<(), NatsError> {
        let mut queries = Vec::new();
        // Queries to all services, to this service, and to this process.
        for end in ["", &format!(".{SERVICE}"), &format!(".{SERVICE}.{}", self.id)] {
            for query in QUERIES {
                let subject = format!("{PREFIX}.{query}{end}");
                let subscribed = self.client.subscribe(subject.clone()).await;
                queries.push(subscribed.map_err(|source| NatsError::Subscribe(subject, source))?);
            }
        }
        let mut queries = select_all(queries);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                Some(message) = queries.next() => self.answer(message).await,
                else => return Ok(()),
            }
        }
    }

    async fn answer(&self, message: Message) {
        let (Some(query), Some(to)) = (message.subject.split('.').nth(1), message.reply.filter(is_inbox))
        else {
            return;
        };
        if let Err(error) = self.client.publish(to, self.reply(query).to_string().into()).await {
            tracing::debug!(%error, "a query was not answered");
        }
    }

    fn reply(&self, query: &str) -> Value {
        let mut reply = json!({
            "type": format!("io.nats.micro.v1.{}_response", query.to_lowercase()),
            "name": SERVICE, "id": self.id, "version": env!("CARGO_PKG_VERSION"),
            "metadata": { "agent": AGENT },
        });
        match query {
            "INFO" => {
                reply["description"] = env!("CARGO_PKG_DESCRIPTION").into();
                reply["endpoints"] = Verb::ALL.iter().map(|verb| info(*verb)).collect();
            }
            "STATS" => {
                reply["started"] = self.started.to_string().into();
                reply["endpoints"] = Verb::ALL.iter().map(|verb| self.stats(*verb)).collect();
            }
            _ => {}
        }
        reply
    }

    fn stats(&self, verb: Verb) -> Value {
        let OperationStats { requests, errors, last_error, took } = self.stats.of(verb);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        json!({
            "name": endpoint_name(verb), "subject": verb.subject(), "queue_group": GROUP,
            "num_requests": requests, "num_errors": errors, "last_error": last_error,
            "processing_time": nanos,
            "average_processing_time": nanos.checked_div(requests).unwrap_or(0),
        })
    }
}

fn info(verb: Verb) -> Value {
    json!({
        "name": endpoint_name(verb), "subject": verb.subject(), "queue_group": GROUP,
        "metadata": { "operation": verb.name(), "scope": verb.scope().as_str() },
    })
}

/// Names of endpoints have no dots.
fn endpoint_name(verb: Verb) -> String {
    verb.name().replace('.', "-")
}
