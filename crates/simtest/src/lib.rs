//! The engine, unmodified, against the simulated cloud under virtual time.
//!
//! [`rig`] wires engine, memory ledger and cloud; [`crash`] stops a future at
//! a chosen await; [`mod@bench`] measures; [`oracle`] judges what is left, reading only the cloud and
//! the durable ledger; [`swarm`] lets many things go wrong at once; [`mould`]
//! makes ledgers of any length. The crash matrix is a [`scene`] whose run
//! leaves a [`trail`] of places to die, each of which [`matrix`] recovers from.

pub mod bench;
mod consent;
pub mod counting;
pub mod crash;
pub mod matrix;
pub mod mould;
pub mod oracle;
pub mod parallel;
pub mod rig;
pub mod scene;
pub mod story;
pub mod swarm;
pub mod trail;
