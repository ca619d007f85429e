//! Plans of every template, and any walk over them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod plans;
mod walk;
