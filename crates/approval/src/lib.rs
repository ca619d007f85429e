//! Roster, approval tokens, and the permit that every mutating call needs.
//!
//! Everything here is pure: the caller passes time and randomness in, and nothing
//! is stored. A verifier caches verified signatures, which changes no answer. It
//! trusts only signed rosters and verified tokens.

pub mod grant;
pub mod jws;
pub mod keys;
pub mod permit;
pub mod prior_approval;
pub mod refusal;
pub mod roster;
pub mod token;
mod verified_votes;
pub mod verify;

#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod roster_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod verify_tests;
