//! Lines that change in place: one per resource, one for the whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exokit_model::ids::NodeKey;
use exokit_text::format::duration;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::track::{Change, Track, lock};

const TICK: Duration = Duration::from_millis(125);

pub(super) struct Lines {
    all: MultiProgress,
    whole: ProgressBar,
    resources: BTreeMap<NodeKey, ProgressBar>,
    busy: ProgressStyle,
    done: ProgressStyle,
}

impl Lines {
    pub(super) fn new(track: &Arc<Mutex<Track>>, colour: bool) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let paint = |style: &str| if colour { format!(":.{style}") } else { String::new() };
        let waiting = template("  · {prefix:24} {msg}");
        let busy = template(&format!("  {{spinner{}}} {{prefix:24}} {{msg}} {{elapsed}}", paint("cyan")));
        let done = template(&format!("  {{spinner{}}} {{prefix:24}} {{msg}}", paint("green")));
        let busy = busy.tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", "✔"]);
        let done = done.tick_strings(&["✔", "✔"]);
        let (keys, title, predicted): (Vec<NodeKey>, String, u64) = {
            let track = lock(track);
            (track.keys().cloned().collect(), track.title.clone(), track.predicted_seconds())
        };
        let whole = all.add(ProgressBar::new_spinner());
        whole.set_style(whole_style(track, predicted, &paint("bold")));
        whole.set_message(title);
        whole.enable_steady_tick(TICK);
        let mut resources = BTreeMap::new();
        for key in keys {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_prefix(key.to_string());
            bar.set_style(waiting.clone());
            bar.set_message("waiting");
            resources.insert(key, bar);
        }
        Self { all, whole, resources, busy, done }
    }

    pub(super) fn show(&self, change: &Change) {
        let Some(bar) = change.node.as_ref().and_then(|key| self.resources.get(key)) else {
            // Beginning and end show themselves. That nobody sees a line is no
            // error.
            if !matches!(change.words.as_str(), "started" | "done") {
                let _ = self.all.println(format!("  {}", change.words));
            }
            return;
        };
        if change.done {
            bar.set_style(self.done.clone());
            bar.finish_with_message(change.words.clone());
            return;
        }
        if change.words == "creating" || change.words == "deleting" {
            bar.reset_elapsed();
        }
        bar.set_style(self.busy.clone());
        bar.set_message(change.words.clone());
        bar.enable_steady_tick(TICK);
    }

    /// Leaves the lines of the resources as they are; what is said next says
    /// how the whole ended.
    pub(super) fn close(self) {
        self.resources.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        self.whole.finish_and_clear();
    }
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// `provision demo  12 s of 40 s, about 28 s left`.
fn whole_style(track: &Arc<Mutex<Track>>, predicted: u64, bold: &str) -> ProgressStyle {
    let track = track.clone();
    let left = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let elapsed = state.elapsed();
        let track = lock(&track);
        let left = track.started.and_then(|started| started.checked_add(elapsed).ok());
        let left = left.map_or(predicted, |now| track.remaining_seconds(now));
        // A line that cannot be formatted is drawn without it.
        let _ = write!(
            out,
            "{} so far, predicted {}, about {} left",
            duration(elapsed.as_secs()),
            duration(predicted),
            duration(left)
        );
    };
    template(&format!("{{msg{bold}}}: {{left}}")).with_key("left", left)
}
