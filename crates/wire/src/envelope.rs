//! What stands around every request and every reply.

use exokit_model::ids::PersonId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::SCHEMA_VERSION;
use crate::failure::Failure;

/// Longest idempotency key, in characters.
const KEY_CHARS_MAX: usize = 128;

/// The fields that a request may have besides its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Version of the message: 1.
    #[schemars(range(min = 1, max = 1))]
    pub schema_version: u32,
    /// Who asks. On HTTP the bearer token says it, and this may only repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<PersonId>,
    /// The same key of the same requester with the same message gives the same
    /// operation, however often and over whatever way it is sent; with another
    /// message it is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9._:/-]+$"))]
    pub idempotency_key: Option<String>,
}

impl Meta {
    /// Nothing but the version.
    #[must_use]
    pub fn bare() -> Self {
        Self { schema_version: SCHEMA_VERSION, requester: None, idempotency_key: None }
    }

    /// A request as it is sent: these fields beside those of the body.
    ///
    /// # Errors
    /// When the body has no JSON form as an object, which all bodies have.
    pub fn around(&self, body: &impl Serialize) -> Result<Value, serde_json::Error> {
        let mut message = serde_json::to_value(self)?;
        let own = serde_json::to_value(body)?;
        if let (Value::Object(message), Value::Object(own)) = (&mut message, own) {
            message.extend(own);
        }
        Ok(message)
    }
}

/// Checks that a text can be an idempotency key.
///
/// # Errors
/// The rule for a key, where the text breaks it.
pub fn check_key(text: &str) -> Result<(), String> {
    let is_key = (1..=KEY_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/-".contains(&b));
    let rule = "letters, digits, dots, colons, slashes, hyphens and underscores";
    is_key.then_some(()).ok_or_else(|| format!("use 1 to {KEY_CHARS_MAX} {rule}"))
}

/// The text of a reply. A caller must take nothing else for a reply: on NATS a
/// stream that captures a subject would answer too.
#[must_use]
pub fn reply(outcome: &Result<Box<RawValue>, Failure>) -> String {
    let (result, error) = (outcome.as_deref().ok(), outcome.as_ref().err().cloned());
    let answer = Answer { schema_version: SCHEMA_VERSION, result, error };
    // Everything in it has a JSON form already.
    serde_json::to_string(&answer).unwrap_or_default()
}

/// A reply: a result or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer<T> {
    /// Version of the message.
    pub schema_version: u32,
    /// What was asked for.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub result: Option<T>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}
