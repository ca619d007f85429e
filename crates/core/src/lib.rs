//! The pure core: selection, cost, level, plan, walk, operation state machine.
//!
//! Nothing here reads a clock, the network, randomness or the environment:
//! the same inputs always give the same answer, which is what makes plans
//! reproducible and the engine simulable.

pub mod access;
pub mod cost;
pub mod forecast;
mod graph_build;
pub mod level;
pub mod node_state;
pub mod phase;
pub mod plan_build;
pub mod predict;
pub mod preflight;
pub mod select;
pub mod start;
pub mod walk;
