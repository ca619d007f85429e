//! What tests of this crate and of others need: a ledger in memory, the
//! contract of a store as tests, and records to fill a ledger with.

pub mod contract;
pub mod fixtures;
pub mod memory;
