//! `size`: the program stays small and starts at once.

use crate::outcome::Outcome;
use crate::process::{cargo, output, program, run as run_command};
use crate::repo::Repo;
use crate::stages::now;
use std::time::Duration;

/// What the release binary may weigh, stripped.
const BYTES_MAX: u64 = 30_000_000;
/// The goal for `exokit --help`.
const HELP_GOAL: Duration = Duration::from_millis(20);
/// A shared machine measures badly, so only a clear miss of the goal fails.
const HELP_FAIL_FACTOR: u32 = 3;
/// Runs of `exokit --help`; the median of them counts.
const HELP_RUNS: usize = 21;

/// Builds the release binary, weighs it and times its help.
pub(crate) fn run(repo: &Repo) -> Outcome {
    build(repo)?;
    let binary = repo.release("exokit");
    let bytes = std::fs::metadata(&binary)
        .map_err(|error| format!("cannot look at {}: {error}", binary.display()))?
        .len();
    let mut times = Vec::with_capacity(HELP_RUNS);
    for _ in 0..HELP_RUNS {
        let begin = now();
        output(program(repo, &binary, &["--help"]))?;
        times.push(begin.elapsed());
    }
    judge(bytes, median(times))
}

/// Builds `exokit` as it is shipped.
pub(crate) fn build(repo: &Repo) -> Outcome {
    run_command(cargo(repo, &["build", "--release", "--workspace", "--bin", "exokit"]))
}

fn judge(bytes: u64, help: Duration) -> Outcome {
    println!("size of exokit: {}.{} MB (limit {} MB)", mega(bytes).0, mega(bytes).1, mega(BYTES_MAX).0);
    println!(
        "exokit --help: {:.1} ms, median of {HELP_RUNS} (goal {} ms)",
        help.as_secs_f64() * 1000.0,
        HELP_GOAL.as_millis()
    );
    if bytes >= BYTES_MAX {
        return Err(format!("the release binary has {bytes} bytes, the limit is {BYTES_MAX}"));
    }
    if help > HELP_GOAL * HELP_FAIL_FACTOR {
        return Err(format!("`exokit --help` takes {help:?}, over {HELP_FAIL_FACTOR} times the goal"));
    }
    Ok(())
}

/// Whole megabytes and the first digit after the point.
fn mega(bytes: u64) -> (u64, u64) {
    (bytes / 1_000_000, bytes / 100_000 % 10)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heavy_or_slow_binary_fails_and_a_light_one_does_not() {
        assert_eq!(judge(12_345_678, Duration::from_millis(4)), Ok(()));
        assert_eq!(judge(BYTES_MAX - 1, HELP_GOAL * 3), Ok(()));
        assert!(judge(BYTES_MAX, Duration::from_millis(4)).is_err_and(|m| m.contains("bytes")));
        assert!(judge(1, Duration::from_millis(61)).is_err_and(|m| m.contains("--help")));
    }

    #[test]
    fn the_median_ignores_an_outlier() {
        let times = [5, 900, 3].map(Duration::from_millis).to_vec();
        assert_eq!(median(times), Duration::from_millis(5));
    }
}
