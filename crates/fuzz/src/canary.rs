//! The canary: a decoder with a mistake put in, which the fuzzer must find.
//!
//! One input in four thousand million has it, so chance alone does not get
//! there: to find it in seconds, the fuzzer must see what the comparisons in
//! `exokit-model` and here look for.

use exokit_model::ids::RoleName;

/// Its name among the targets.
pub(crate) const NAME: &str = "canary";

/// Panics for roles that begin in one way.
pub(crate) fn run(data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).unwrap_or_default();
    let found = text.parse::<RoleName>();
    let wrong = found.as_ref().is_ok_and(|role| role.as_str().starts_with("fuzz"));
    assert!(!wrong, "the mistake that was put in");
    found.is_ok()
}
