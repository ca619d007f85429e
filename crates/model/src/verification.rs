//! Checks of an environment against what its template promised.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::ForeignText;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Such as `U04` or `T3-07`.
    pub id: String,
    /// What is checked.
    pub title: String,
    /// What the description promises.
    pub expected: String,
    /// What cloud, cluster or ledger shows.
    pub observed: ForeignText,
    /// Whether both are the same.
    pub passed: bool,
    /// What to do when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// A check that passes when both texts are equal.
    #[must_use]
    pub fn new(id: String, title: &str, expected: String, observed: String, hint: &str) -> Self {
        let passed = expected == observed;
        Self {
            id,
            title: title.to_owned(),
            expected,
            observed: observed.into(),
            passed,
            hint: (!passed).then(|| hint.to_owned()),
        }
    }
}
