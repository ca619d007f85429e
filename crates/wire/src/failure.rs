//! Why something was not done, as a message: the same on every way in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of refusal it is. The number is that of HTTP, on NATS too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Class {
    /// The message cannot be used as it is.
    Invalid = 400,
    /// It is not known who asks.
    Unauthenticated = 401,
    /// Who asks may not do this.
    Forbidden = 403,
    /// What it is about does not exist.
    NotFound = 404,
    /// It contradicts something that exists.
    Conflict = 409,
    /// The message is longer than any that is taken.
    TooLarge = 413,
    /// It is understood, and a rule says no.
    Refused = 422,
    /// Too much is asked at once; the same may succeed later.
    Busy = 429,
    /// The agent cannot do its work now: ledger, cloud or network.
    Unavailable = 503,
    /// A mistake in exokit.
    Internal = 500,
}

impl Class {
    pub(crate) const ALL: [Class; 10] = [
        Class::Invalid,
        Class::Unauthenticated,
        Class::Forbidden,
        Class::NotFound,
        Class::Conflict,
        Class::TooLarge,
        Class::Refused,
        Class::Busy,
        Class::Unavailable,
        Class::Internal,
    ];

    /// The status of HTTP that says this.
    #[must_use]
    pub fn status(self) -> u16 {
        self as u16
    }

    /// What it says, for documents.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Class::Invalid => "The message cannot be used as it is.",
            Class::Unauthenticated => "It is not known who asks.",
            Class::Forbidden => "Who asks may not do this.",
            Class::NotFound => "What it is about does not exist.",
            Class::Conflict => "It contradicts something that exists.",
            Class::TooLarge => "The message is longer than any that is taken.",
            Class::Refused => "It is understood, and a rule says no.",
            Class::Busy => "Too much is asked at once; the same may succeed later.",
            Class::Unavailable => "The agent cannot do its work now.",
            Class::Internal => "A mistake in exokit.",
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Kind of refusal, by the numbers of HTTP.
    pub status: u16,
    /// Short stable code.
    pub code: String,
    /// What was being done.
    pub doing: String,
    /// On what.
    pub on: String,
    /// Why it failed, with all causes.
    pub why: String,
    /// What to do next.
    pub hint: String,
    /// When to try again at the earliest, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure of a class.
    #[must_use]
    pub fn new(class: Class, code: &str, doing: &str, on: &str, why: &str, hint: &str) -> Self {
        Self {
            status: class.status(),
            code: code.to_owned(),
            doing: doing.to_owned(),
            on: on.to_owned(),
            why: why.to_owned(),
            hint: hint.to_owned(),
            retry_after_ms: None,
        }
    }

    /// The class with this status; [`Class::Internal`] for a status that is not used.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::ALL.into_iter().find(|class| class.status() == self.status).unwrap_or(Class::Internal)
    }
}
