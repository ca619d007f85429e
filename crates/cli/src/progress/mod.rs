//! Progress of operations on stderr: live lines at a terminal, plain lines
//! elsewhere.

mod live;
mod track;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exokit_model::event::Event;
use exokit_model::ids::OperationId;
use exokit_model::plan::Plan;
use exokit_text::format::{duration, took};
use exokit_wire::event::EventMessage;

use crate::output::{Output, say};

use live::Lines;
use track::{Track, lock};

/// Shows the operations that were begun here; passes over all others.
pub(crate) struct Progress {
    output: Output,
    shown: Mutex<BTreeMap<OperationId, Shown>>,
}

struct Shown {
    track: Arc<Mutex<Track>>,
    lines: Option<Lines>,
}

impl Progress {
    pub(crate) fn new(output: &Output) -> Arc<Self> {
        Arc::new(Self { output: output.clone(), shown: Mutex::default() })
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<OperationId, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows an operation from now on.
    pub(crate) fn begin(&self, plan: &Plan, speed: f64) {
        let track = Track::new(plan, speed);
        let Output { quiet, live, colour_notes, .. } = self.output;
        if !quiet && !live {
            say(&format!("{}: predicted {}\n", track.title, duration(track.predicted_seconds())));
        }
        let track = Arc::new(Mutex::new(track));
        let lines = (live && !quiet).then(|| Lines::new(&track, colour_notes));
        self.shown().insert(plan.plan_id.operation(), Shown { track, lines });
    }

    /// Shows an operation no longer; its last lines stay.
    pub(crate) fn end(&self, operation: &OperationId) {
        if let Some(Shown { lines: Some(lines), .. }) = self.shown().remove(operation) {
            lines.close();
        }
    }

    /// Shows nothing any longer; what is drawn stays.
    pub(crate) fn close(&self) {
        let all = std::mem::take(&mut *self.shown());
        all.into_values().filter_map(|shown| shown.lines).for_each(Lines::close);
    }

    /// Shows an event, if it is about an operation that is shown.
    pub(crate) fn recorded(&self, message: &EventMessage, event: &Event) {
        if self.output.quiet {
            return;
        }
        let shown = self.shown();
        let Some(shown) = message.operation.as_ref().and_then(|id| shown.get(id)) else { return };
        let (change, started, name) = {
            let mut track = lock(&shown.track);
            (track.apply(message.at, event), track.started, track.environment.clone())
        };
        match (&shown.lines, change) {
            (_, None) => {}
            (Some(lines), Some(change)) => lines.show(&change),
            (None, Some(change)) => {
                let since = took(started.unwrap_or(message.at), message.at);
                let node = change.node.map(|node| format!("{node}: ")).unwrap_or_default();
                say(&format!("{since:>9}  {name}  {node}{}\n", change.words));
            }
        }
    }
}
