//! `fuzz`: libFuzzer on every decoder of outside input, on the stable toolchain.
//!
//! The crates of the workspace are compiled with LLVM's coverage counters by a
//! wrapper of the compiler, so that what they depend on is shared with every
//! other release build. The first target is the canary, which must be found:
//! a fuzzer that finds nothing there would find nothing anywhere.

use crate::outcome::Outcome;
use crate::parallel;
use crate::process::{cargo, program, run as run_command};
use crate::repo::Repo;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The target that must fail.
const CANARY: &str = "canary";
/// How long the canary may take to be found.
const CANARY_SECONDS: u32 = 60;
/// How long each target runs where nothing else is said.
const SECONDS: u32 = 2;
/// The longest time for one input, in seconds.
const INPUT_SECONDS_MAX: u32 = 10;
/// The most memory, in MiB.
const MEMORY_MIB_MAX: u32 = 2_048;
/// Below this number of counters the wrapper did not do its work.
const COUNTERS_MIN: u64 = 20_000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    seconds: u32,
    target: Option<String>,
}

impl Wanted {
    /// Reads `[--seconds N] [TARGET]`.
    fn of(arguments: &[String]) -> Outcome<Self> {
        let mut wanted = Self { seconds: SECONDS, target: None };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match (word.as_str(), &wanted.target) {
                ("--seconds", _) => {
                    let number = words.next().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
                    wanted.seconds = number.ok_or("`--seconds` wants a number from 1 up")?;
                }
                (name, None) if !name.starts_with('-') => wanted.target = Some(name.to_owned()),
                (other, _) => return Err(format!("`fuzz` takes `[--seconds N] [TARGET]`, got `{other}`")),
            }
        }
        Ok(wanted)
    }
}

/// Runs the canary, then the wanted target or all of them.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Outcome {
    let wanted = Wanted::of(arguments)?;
    let fuzzer = build(repo)?;
    let all = targets(repo, &fuzzer)?;
    let chosen: Vec<&String> = match &wanted.target {
        Some(name) => vec![
            all.iter()
                .find(|t| *t == name)
                .ok_or_else(|| format!("no target `{name}`: {}", all.join(", ")))?,
        ],
        None => all.iter().filter(|name| *name != CANARY).collect(),
    };
    find_canary(repo, &fuzzer)?;
    let failed = side_by_side(&chosen, |name| fuzz(repo, &fuzzer, name, wanted.seconds));
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("these targets found something: {}", failed.join(", "))),
    }
}

/// Fuzzes the targets, as many at once as there are cores; gives the names of
/// those that failed.
fn side_by_side<'t>(targets: &[&'t String], fuzz: impl Fn(&str) -> Outcome + Sync) -> Vec<&'t str> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let failed = parallel::map(targets, cores, |name| match fuzz(name) {
        Ok(()) => None,
        Err(message) => {
            eprintln!("error: {message}");
            Some(name.as_str())
        }
    });
    failed.into_iter().flatten().collect()
}

/// Compiles the fuzzer, with the workspace counted and the rest as it is.
fn build(repo: &Repo) -> Outcome<PathBuf> {
    let folder = repo.target.join("fuzz");
    make(&folder)?;
    let wrapper = folder.join("counted-rustc");
    write_program(&wrapper, WRAPPER)?;
    let all = ["build", "--release", "--workspace", "--bin", "exokit-fuzz"];
    let mut command = cargo(repo, &all);
    command.args(["--features", "exokit-fuzz/libfuzzer"]);
    command.env("RUSTC_WORKSPACE_WRAPPER", &wrapper).env("CXXFLAGS", "-O1");
    run_command(command).map_err(|error| {
        format!("{error}\nhint: libFuzzer needs a C++ compiler; on Debian, `build-essential`")
    })?;
    Ok(repo.release("exokit-fuzz"))
}

/// Adds the counters to our crates.
const WRAPPER: &str = "\
#!/bin/sh
case \"$*\" in
*'--crate-name exokit'*)
    set -- \"$@\" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \\
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \\
        -Cllvm-args=-sanitizer-coverage-trace-compares ;;
esac
exec \"$@\"
";

fn make(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

/// Writes a program, unless it is there: cargo builds again when it changes.
fn write_program(path: &Path, text: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    fs::write(path, text).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)
}

/// The names of the targets, from the fuzzer itself.
fn targets(repo: &Repo, fuzzer: &Path) -> Outcome<Vec<String>> {
    let output = finished(program(repo, fuzzer, &[]).env("EXOKIT_FUZZ_TARGET", "list"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<String> = text.lines().map(str::to_owned).collect();
    match (output.status.success(), names.iter().any(|name| name == CANARY)) {
        (true, true) => Ok(names),
        _ => Err(format!("the fuzzer does not list its targets: {text}")),
    }
}

/// Lets the fuzzer find the canary: proof that it sees what the code compares
/// and that it reports what panics.
fn find_canary(repo: &Repo, fuzzer: &Path) -> Outcome {
    let begin = crate::stages::now();
    let folder = repo.target.join("fuzz").join(CANARY);
    // What was found before would be no proof now.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
    }
    let report = finished(&mut command(repo, fuzzer, CANARY, CANARY_SECONDS)?)?;
    let text = String::from_utf8_lossy(&report.stderr);
    let counters = counters(&text);
    let found = text.contains("the mistake that was put in") && artifact(&text).is_some();
    match (counters >= COUNTERS_MIN, found && !report.status.success()) {
        (true, true) => {
            println!("{CANARY}: found in {:.1} s, {counters} counters", begin.elapsed().as_secs_f64());
            Ok(())
        }
        (false, _) => Err(format!("only {counters} counters are compiled in: the fuzzer is blind\n{text}")),
        (true, false) => Err(format!("the fuzzer did not find the mistake that was put in\n{text}")),
    }
}

/// Fuzzes one target; an error says what was found and how to see it again.
fn fuzz(repo: &Repo, fuzzer: &Path, name: &str, seconds: u32) -> Outcome {
    let mut command = command(repo, fuzzer, name, seconds)?;
    let found = repo.root.join("crates/fuzz/found").join(name);
    if found.is_dir() {
        command.arg(&found);
    }
    let report = finished(&mut command)?;
    let text = String::from_utf8_lossy(&report.stderr);
    if !report.status.success() {
        let again = artifact(&text).map_or_else(String::new, |path| {
            format!(
                "the input is {path}\nagain: EXOKIT_FUZZ_TARGET={name} {} {path}\n\
                 when it is mended, keep it: cp {path} {}",
                fuzzer.display(),
                found.display()
            )
        });
        return Err(format!("{name}: {}\n{text}\n{again}", report.status));
    }
    let runs = after(&text, "stat::number_of_executed_units:").unwrap_or(0);
    let covered = text.lines().rev().find_map(|line| after(line, "cov:")).unwrap_or(0);
    if runs == 0 || covered == 0 {
        return Err(format!("{name}: nothing was run\n{text}"));
    }
    println!("{name}: {runs} inputs, {covered} counters reached");
    Ok(())
}

/// The fuzzer on one target, with its corpus under the target directory.
fn command(repo: &Repo, fuzzer: &Path, name: &str, seconds: u32) -> Outcome<Command> {
    let folder = repo.target.join("fuzz").join(name);
    let (corpus, seeds) = (folder.join("corpus"), folder.join("seeds"));
    make(&corpus)?;
    make(&seeds)?;
    let mut command = program(repo, fuzzer, &["-print_final_stats=1", "-len_control=0"]);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-artifact_prefix={}/", folder.display()))
        .args([&corpus, &seeds])
        .env("EXOKIT_FUZZ_TARGET", name)
        .env("EXOKIT_FUZZ_SEEDS", &seeds);
    Ok(command)
}

fn finished(command: &mut Command) -> Outcome<Output> {
    let failed = |error: std::io::Error| format!("cannot run the fuzzer: {error}");
    command.output().map_err(failed)
}

/// Where libFuzzer put the input that it stumbled over.
fn artifact(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path.trim()))
}

/// The number of counters that libFuzzer was given.
fn counters(text: &str) -> u64 {
    let line = text.lines().find(|line| line.contains("inline 8-bit counters"));
    line.and_then(|line| after(line, "(")).unwrap_or(0)
}

/// The number behind a word.
fn after(text: &str, word: &str) -> Option<u64> {
    let rest = text.split_once(word)?.1.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn the_arguments_are_read() {
        let of = |words: &[&str]| Wanted::of(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&[]), Ok(Wanted { seconds: SECONDS, target: None }));
        assert_eq!(of(&["plan", "--seconds", "9"]), Ok(Wanted { seconds: 9, target: Some("plan".into()) }));
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--quick"], &["plan", "cel"]] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_target_is_fuzzed_and_a_failure_stops_no_other() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let seen = Mutex::new(Vec::new());
        let failed = side_by_side(&names.iter().collect::<Vec<_>>(), |name| {
            seen.lock().expect("not poisoned").push(name.to_owned());
            if name == "b" { Err("found".to_owned()) } else { Ok(()) }
        });
        let mut seen = seen.into_inner().expect("not poisoned");
        seen.sort();
        assert_eq!((seen.as_slice(), failed.as_slice()), (&names[..], &["b"][..]));
    }

    #[test]
    fn the_report_of_the_fuzzer_is_read() {
        let text = "INFO: Loaded 1 modules   (24512 inline 8-bit counters): 24512 [0x1, 0x2),\n\
                    #9 DONE cov: 61 ft: 62 corp: 5/9b\n\
                    stat::number_of_executed_units: 1077\n\
                    artifact_prefix='a/'; Test unit written to a/crash-8f\n";
        assert_eq!(counters(text), 24_512);
        assert_eq!(after(text, "cov:"), Some(61));
        assert_eq!(after(text, "stat::number_of_executed_units:"), Some(1_077));
        assert_eq!(artifact(text), Some("a/crash-8f"));
        assert_eq!((counters(""), after("cov: x", "cov:"), artifact("")), (0, None, None));
    }
}
