//! Who is calling and what they may do.

pub(crate) mod cel;
mod exo2;
pub(crate) mod policy;
pub(crate) mod sigv4;

pub(crate) use exo2::{Exo2Header, Exo2Refusal, verify as verify_exo2};
#[cfg(any(test, feature = "testing"))]
pub(crate) use exo2::{exo2_message, exo2_signature};
