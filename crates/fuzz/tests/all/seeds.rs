//! The seeds reach what lies behind each decoder, and what was ever found stays answered.

use std::path::Path;

use exokit_fuzz::{TARGETS, Target};

/// The targets without the canary, which must fail.
fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().filter(|target| target.name != "canary")
}

#[test]
fn every_seed_is_accepted() {
    for target in targets() {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for (number, seed) in seeds.iter().enumerate() {
            assert!(
                (target.run)(seed),
                "{} refuses seed {number}: {}",
                target.name,
                String::from_utf8_lossy(seed)
            );
        }
    }
}

#[test]
fn what_was_found_is_answered_now() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
    let mut replayed = 0;
    for folder in std::fs::read_dir(&found).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let target = targets().find(|target| target.name == name);
        let target = target.unwrap_or_else(|| panic!("found/{name} belongs to no target"));
        for file in std::fs::read_dir(&folder).unwrap() {
            (target.run)(&std::fs::read(file.unwrap().path()).unwrap());
            replayed += 1;
        }
    }
    assert!(replayed > 0, "there is nothing in {}", found.display());
}

#[test]
#[should_panic(expected = "the mistake that was put in")]
fn the_canary_fails() {
    (exokit_fuzz::target("canary").unwrap().run)(b"fuzzer");
}
