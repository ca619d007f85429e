//! Exit codes: an interface that scripts rely on.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// It failed, or a comparison found a difference.
    Failed = 1,
    /// What was given cannot be used; nothing was tried.
    Usage = 2,
    /// It waits for approval.
    Waiting = 3,
    /// It stopped and a human must act.
    NeedsHuman = 4,
    /// Detached with Ctrl-C: the work is recorded and can be taken up again.
    Detached = 130,
}

impl Exit {
    /// The end of a comparison.
    pub(crate) fn of_comparison(differs: bool) -> Self {
        if differs { Exit::Failed } else { Exit::Done }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
