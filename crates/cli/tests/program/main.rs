//! The real program, from outside.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground is missing")]

mod approvals;
mod bad_input;
mod common;
mod hostile;
#[cfg(unix)]
mod interrupted;
#[cfg(unix)]
mod kill_loop;
mod life;
mod over_http;
mod plans;
#[cfg(unix)]
mod secrets;
#[cfg(unix)]
mod template_tests;
mod tools;
