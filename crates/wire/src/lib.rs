//! The messages of the agent: one table of operations, the types of their
//! requests and replies, strict decoding, and JSON Schemas.
//!
//! Everything that speaks to the agent is derived from the table in [`verb`]:
//! the NATS endpoints, the HTTP routes and their OpenAPI document, the client
//! behind `--agent`, and the test of who may do what. What is not in the table
//! is not served. Nothing here opens a connection.

pub mod decode;
pub mod envelope;
pub mod event;
pub mod failure;
pub mod reply;
pub mod request;
pub mod schema;
pub mod sealed;
pub mod verb;

/// Version of all messages. Fields may be added within a version; a renamed or
/// removed one would be a new version.
pub const SCHEMA_VERSION: u32 = 1;

/// Largest message that is taken, in bytes. NATS carries at most 1 MiB with
/// its headers; the largest plan of a template has less than a tenth of this.
pub const MESSAGE_BYTES_MAX: usize = 768 * 1024;

/// Longest reply that is read, in bytes. What an agent answers over HTTP has no
/// server in between that would limit it.
pub const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;
