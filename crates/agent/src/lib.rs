//! The doors of the agent AZ-INFRA-001: NATS, HTTP and metrics, and the
//! process around them.
//!
//! A door decodes nothing and decides nothing: it hands what comes in to
//! `exokit-service`, and sends back what that says.

mod costs;
pub mod cursor;
pub mod exposition;
pub mod http;
mod log;
pub mod metrics;
pub mod nats;
pub mod orchestrator;
pub mod serve;
mod span;
pub mod tokens;
pub mod trace;
