//! The engine, unmodified, against the simulated cloud under virtual time.
//!
//! [`rig`] wires engine, memory ledger and cloud; [`crash`] stops a future at
//! a chosen await; [`oracle`] judges what is left, reading only the cloud and
//! the durable ledger.

pub mod crash;
pub mod oracle;
pub mod rig;
pub mod story;
