//! A run in stages: each is announced, timed and reported, and a failure does
//! not hide those that come after it.

use crate::outcome::Outcome;
use std::time::{Duration, Instant};

/// What happened so far.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<Done>,
}

struct Done {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Stages {
    /// Runs one stage and remembers how it went.
    pub(crate) fn run<T>(&mut self, name: &'static str, stage: impl FnOnce() -> Outcome<T>) -> Option<T> {
        println!("==> {name}");
        let begin = now();
        let outcome = stage();
        let took = begin.elapsed();
        let (value, failure) = match outcome {
            Ok(value) => (Some(value), None),
            Err(message) => {
                eprintln!("error: {message}");
                (None, Some(message))
            }
        };
        println!("<== {name}: {} in {}", word(failure.is_none()), seconds(took));
        self.done.push(Done { name, took, failure });
        value
    }

    /// Prints the table of stages; an error names those that failed.
    pub(crate) fn finish(self) -> Outcome {
        let total = self.done.iter().map(|d| d.took).sum();
        println!();
        for Done { name, took, failure } in &self.done {
            println!("{:>9}  {:<6}  {name}", seconds(*took), word(failure.is_none()));
        }
        println!("{:>9}  in all", seconds(total));
        let failed: Vec<&str> = self.done.iter().filter(|d| d.failure.is_some()).map(|d| d.name).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}

/// The time, for durations that are shown to a person.
#[expect(clippy::disallowed_methods, reason = "automation lives in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn word(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAILED" }
}

/// A duration as people read it.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_fails_the_whole_and_does_not_stop_the_next() {
        let mut stages = Stages::default();
        assert_eq!(stages.run("one", || Err::<(), _>("broken".to_owned())), None);
        assert_eq!(stages.run("two", || Ok(2)), Some(2));
        assert_eq!(stages.finish(), Err("failed: one".to_owned()));
    }

    #[test]
    fn a_run_without_failure_is_a_success() {
        let mut stages = Stages::default();
        stages.run("one", || Ok(()));
        assert_eq!(stages.finish(), Ok(()));
    }
}
