//! One check: what was expected, what was observed, and what to do.

use exokit_model::text::ForeignText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub(crate) fn new(
        id: impl Into<String>,
        title: &str,
        expected: impl Into<String>,
        observed: impl Into<String>,
        hint: &str,
    ) -> Self {
        let (expected, observed) = (expected.into(), observed.into());
        let passed = expected == observed;
        Self {
            id: id.into(),
            title: title.to_owned(),
            expected,
            observed: observed.into(),
            passed,
            hint: (!passed).then(|| hint.to_owned()),
        }
    }
}
