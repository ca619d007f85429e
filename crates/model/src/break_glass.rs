//! Why a rule of the policy is to be passed over this once.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_hazardous;

/// Fewest characters of a reason: a voter must learn something from it.
const REASON_CHARS_MIN: usize = 10;

/// Most characters of a reason.
const REASON_CHARS_MAX: usize = 300;

/// The reason for which a plan goes past a limit that the policy has otherwise,
/// such as the longest life. Such a plan takes the highest level of approval,
/// and the reason is part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct BreakGlass(#[schemars(length(min = 10, max = 300))] String);

/// Why a text is no such reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BreakGlassError {
    /// Too short or too long: its length in characters, without spaces around it.
    #[error("a reason has {REASON_CHARS_MIN} to {REASON_CHARS_MAX} characters, this one has {0}")]
    Length(usize),
    /// It would not be read as it stands.
    #[error("a reason has no control characters and is on one line")]
    Character,
}

impl TryFrom<String> for BreakGlass {
    type Error = BreakGlassError;

    fn try_from(text: String) -> Result<Self, BreakGlassError> {
        let found = text.trim().chars().count();
        match (REASON_CHARS_MIN..=REASON_CHARS_MAX).contains(&found) {
            false => Err(BreakGlassError::Length(found)),
            true if text.chars().any(is_hazardous) => Err(BreakGlassError::Character),
            true => Ok(Self(text.trim().to_owned())),
        }
    }
}

impl FromStr for BreakGlass {
    type Err = BreakGlassError;

    fn from_str(text: &str) -> Result<Self, BreakGlassError> {
        Self::try_from(text.to_owned())
    }
}

impl From<BreakGlass> for String {
    fn from(reason: BreakGlass) -> Self {
        reason.0
    }
}

impl fmt::Display for BreakGlass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_on_one_line() {
        let reason: BreakGlass = "  the recovery of march is not over ".parse().unwrap();
        assert_eq!(reason.to_string(), "the recovery of march is not over");
        for (text, error) in [
            ("", BreakGlassError::Length(0)),
            ("          x          ", BreakGlassError::Length(1)),
            (&"x".repeat(301), BreakGlassError::Length(301)),
            ("first line\nsecond line", BreakGlassError::Character),
            ("read me \u{202e} backwards", BreakGlassError::Character),
        ] {
            assert_eq!(text.parse::<BreakGlass>(), Err(error), "{text:?}");
        }
    }
}
