//! The agent AZ-INFRA-001: the process that serves the operations of
//! `exokit-service` over NATS and HTTP, with metrics and bearer tokens.
//!
//! The agent decides nothing: it passes each request to the service, and sends
//! back the reply.

mod cost_metrics;
mod cursor;
pub mod http;
mod metric_family;
pub mod metrics;
mod nats;
mod operation_metrics;
mod outcome;
pub mod serve;
mod status;
pub mod tokens;
