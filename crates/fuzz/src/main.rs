//! The fuzzer: libFuzzer, linked to the target that `EXOKIT_FUZZ_TARGET` names.
//!
//! Where `EXOKIT_FUZZ_SEEDS` names a folder, the seeds of the target are
//! written into it first. The target `list` prints the names of all.
#![no_main]

use std::sync::OnceLock;

use exokit_fuzz::{TARGETS, Target, target};

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: chosen(),
    |data: &[u8]| {
        (chosen().run)(data);
    }
);

/// The target that this process is about, with its seeds written.
fn chosen() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = variable("EXOKIT_FUZZ_TARGET").unwrap_or_default();
        if name == "list" {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            std::process::exit(0);
        }
        let chosen = target(&name).unwrap_or_else(|| panic!("there is no target {name:?}"));
        if let Some(folder) = variable("EXOKIT_FUZZ_SEEDS") {
            for (number, seed) in (chosen.seeds)().iter().enumerate() {
                let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
                std::fs::write(path, seed).expect("a seed can be written");
            }
        }
        chosen
    })
}

#[expect(clippy::disallowed_methods, reason = "libFuzzer owns the command line")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
