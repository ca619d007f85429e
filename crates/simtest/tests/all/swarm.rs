//! The swarm itself: schedules of mended failures stay green, a schedule determines
//! its trace, the canaries are found, and some seeds are clean.

use std::path::Path;

use exokit_simtest::swarm::schedule::Schedule;
use exokit_simtest::swarm::{generate, run};

/// The schedules of mended failures, by name.
fn kept() -> Vec<(String, Schedule)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &Path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    files.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(path))).collect()
}

#[test]
fn kept_schedules_stay_green() {
    let kept = kept();
    assert!(kept.len() >= 14, "{}", kept.len());
    for (name, schedule) in kept {
        assert_eq!(run(&schedule).unwrap().wrong, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn schedule_determines_the_trace() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let schedule = generate::schedule(seed);
        let (one, two) = (run(&schedule).unwrap(), run(&schedule).unwrap());
        assert_eq!((one.trace, one.coverage), (two.trace, two.coverage), "seed {seed}");
        traces.insert(one.trace.to_string());
    }
    assert_eq!(traces.len(), 40);
}

#[test]
fn judge_finds_the_canaries() {
    let wrong = run(&generate::canary_on_the_bus()).unwrap().wrong;
    assert!(wrong.iter().any(|finding| finding.starts_with("F14")), "{wrong:?}");
    let wrong = run(&generate::canary()).unwrap().wrong;
    assert!(wrong.iter().any(|finding| finding.starts_with("I2 orphan")), "{wrong:?}");
}

#[test]
fn bus_life_is_clean_and_reproducible() {
    for seed in 0..20 {
        let schedule = generate::conversation(seed);
        let (one, two) = (run(&schedule).unwrap(), run(&schedule).unwrap());
        assert_eq!(one.wrong, Vec::<String>::new(), "seed {seed}");
        assert_eq!((one.trace, one.coverage), (two.trace, two.coverage), "seed {seed}");
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    }
}

#[test]
fn schedule_round_trips_through_json() {
    for seed in 0..200 {
        let schedule = generate::schedule(seed);
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    }
}
