//! Server-side apply, and who manages which field.

mod fields;
mod managed;
mod typed;

pub(crate) use managed::{Writer, apply, track_update};
pub(crate) use typed::duplicate;
