//! The engine, unmodified, against the simulated cloud under virtual time.
//!
//! - [`rig`] wires engine, in-memory ledger and cloud; [`setup`] has the states that
//!   tests start from.
//! - [`crash`] stops a future at a chosen await. The crash matrix runs a
//!   [`scenario`], collects its [`crash_points`], and recovers from each of them in
//!   [`matrix`].
//! - [`swarm`] injects many faults at once.
//! - [`oracle`] judges what is left, and reads only the cloud and the durable ledger.
//! - [`ledger_generator`] makes ledgers of any length; [`mod@bench`] measures.

pub mod bench;
mod consent;
pub mod counting;
pub mod crash;
pub mod crash_points;
pub mod ledger_generator;
pub mod matrix;
pub mod oracle;
pub mod parallel;
pub mod rig;
pub mod scenario;
pub mod setup;
pub mod swarm;
