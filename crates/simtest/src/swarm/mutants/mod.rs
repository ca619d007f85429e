//! Mistakes planted at the seams of the system under test, so that no shipped
//! code has a branch for them: wrappers around the ledger, the way to the cloud
//! and the bus alter what passes. What cannot be altered there is planted where
//! the mistake would be made, see [`exokit_mutant::planted`].

use std::cell::RefCell;

use serde_json::Value;

pub(super) mod bus;
pub(super) mod ledger;
pub(super) mod messages;
pub(super) mod transport;

thread_local! {
    /// The password that was read last, on the way into the ledger.
    static PASSWORD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers the password in a reply, if it has one.
fn read_password(reply: &[u8]) {
    let Ok(reply) = serde_json::from_slice::<Value>(reply) else { return };
    if let Some(password) = reply.get("password").and_then(Value::as_str) {
        PASSWORD.set(Some(password.to_owned()));
    }
}

/// The password that was read since this was asked last.
fn taken_password() -> Option<String> {
    PASSWORD.take()
}
