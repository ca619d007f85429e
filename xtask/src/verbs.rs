//! The verbs of `cargo xtask`, and its help.

/// The verbs with their one-line help.
pub(crate) const VERBS: &[(&str, &str)] = &[
    ("lint", "format, tidy, clippy, rustdoc and cargo-deny, each without a warning"),
    ("tidy", "the house rules: crate edges, purity, sizes, banned words, documents"),
    ("test", "every test of the workspace, then those in Python: the official clients, the NATS server"),
    ("fuzz", "the decoders of outside input under libFuzzer, after the proof that it finds something"),
    ("swarm", "seeded schedules of faults against the engine, judged from outside"),
    ("mutants", "mistakes planted on purpose, each of which the swarm must find"),
    (
        "control-plane",
        "etcd, API server, controllers, scheduler and kubectl of Kubernetes, built with Go for the tests",
    ),
    ("size", "the release binary is under 30 MB and `exokit --help` is quick"),
    (
        "bench",
        "time to ready, a thousand at once, memory, a long ledger, the agent: writes docs/benchmarks.md",
    ),
    ("ci", "lint, test, swarm, mutants, fuzz and size, in this order"),
    ("help", "this text"),
];

/// What `cargo xtask help` prints.
pub(crate) fn help() -> String {
    let mut text = String::from("Usage: cargo xtask VERB [ARGUMENTS]\n\nVerbs:\n");
    for (verb, what) in VERBS {
        text.push_str(&format!("  {verb:<13} {what}\n"));
    }
    text.push_str(
        "\n`test` passes its arguments on to `cargo test --workspace`; with `-p CRATE` among them that crate\n\
         alone is tested, with `--no-clients` all but those in Python.\n\
         `fuzz [--seconds N] [TARGET]` runs each target, or that one, for so long.\n\
         `swarm --seeds N --from S [--faults F9,F16]` runs N seeds, `swarm --replay FILE` one schedule;\n\
         `mutants --budget N` lets a mistake live for N seeds, `--only NAME` hunts one.\n\
         `bench NAME` runs one benchmark: ready, crowd, memory, ledger or agent. Further arguments are passed\n\
         on to it, and then nothing is written.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_verb() {
        let text = help();
        assert!(VERBS.iter().all(|(verb, _)| text.contains(verb)));
    }
}
