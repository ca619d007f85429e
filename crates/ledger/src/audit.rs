//! The findings of an audit of a whole ledger.

use crate::head::Head;

/// The findings of an audit of a whole ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The end of the chain.
    pub head: Head,
    /// How many environments were ever planned.
    pub environments: u64,
    /// How many plans were ever proposed.
    pub operations: u64,
    /// The rows that do not say what the records say: table and key of each.
    pub differing: Vec<String>,
}
