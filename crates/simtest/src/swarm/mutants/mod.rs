//! Mistakes planted at the seams of the system under test, so that no shipped
//! code has a branch for them: wrappers around the ledger, the way to the cloud
//! and the bus alter what passes. What cannot be altered there is planted where
//! the mistake would be made, see [`exokit_mutant::planted`].

pub(super) mod bus;
pub(super) mod ledger;
pub(super) mod messages;
pub(super) mod transport;
