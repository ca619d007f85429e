//! Roster, approval tokens, and the permit that every mutating call needs.
//!
//! Everything here is pure: time and randomness are passed in, and nothing is
//! stored; a verifier remembers signatures that it has checked, which changes
//! no answer. What is not in a signed roster or a verified token is not believed.

pub mod consent;
pub mod grant;
pub mod jws;
pub mod keys;
mod memo;
pub mod permit;
pub mod refusal;
pub mod roster;
pub mod token;
pub mod verify;

#[cfg(test)]
mod grant_tests;
#[cfg(test)]
mod roster_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod verify_tests;
