//! The swarm itself: schedules that once failed stay mended, the same schedule
//! gives the same trace, the canary is found, and some seeds are clean.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use exokit_simtest::swarm::schedule::Schedule;
use exokit_simtest::swarm::{generate, run};

/// The work is made of small allocations; the product keeps the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Schedules kept from failures, each named for what was mended.
fn kept() -> Vec<(String, Schedule)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &Path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    files.iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(path))).collect()
}

#[test]
fn what_was_mended_stays_mended() {
    let kept = kept();
    assert!(kept.len() >= 8, "{}", kept.len());
    for (name, schedule) in kept {
        assert_eq!(run(&schedule).unwrap().wrong, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_same_schedule_gives_the_same_trace_and_another_one_another() {
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
fn the_canaries_are_found() {
    let wrong = run(&generate::canary_on_the_bus()).unwrap().wrong;
    assert!(wrong.iter().any(|finding| finding.starts_with("F14")), "{wrong:?}");
    let wrong = run(&generate::canary()).unwrap().wrong;
    assert!(wrong.iter().any(|finding| finding.starts_with("I2 orphan")), "{wrong:?}");
}

#[test]
fn a_life_over_a_bus_gives_the_same_trace_again() {
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
fn a_schedule_comes_back_from_its_file_form_as_it_was() {
    for seed in 0..200 {
        let schedule = generate::schedule(seed);
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    }
}
