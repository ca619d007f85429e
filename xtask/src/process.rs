//! Runs other programs: quietly, loudly, or line by line.

use crate::outcome::Outcome;
use crate::repo::Repo;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Variables that `cargo run` sets for this program. A cargo below it must not
/// see them: build scripts that watch them would build again at every change
/// between `cargo xtask test` and `cargo test`.
const SET_BY_CARGO_RUN: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// A program with these arguments, started at the root, without input.
pub(crate) fn program(repo: &Repo, path: impl AsRef<Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new(path.as_ref());
    command.args(arguments).current_dir(&repo.root).stdin(Stdio::null());
    command
}

/// The cargo that started this program, with these arguments.
pub(crate) fn cargo(repo: &Repo, arguments: &[&str]) -> Command {
    let path = std::env::vars_os().find(|(name, _)| name == "CARGO").map(|(_, value)| value);
    let mut command = program(repo, path.unwrap_or_else(|| "cargo".into()), arguments);
    for (name, _) in std::env::vars_os() {
        let known = name.to_str().is_some_and(|n| SET_BY_CARGO_RUN.iter().any(|p| n.starts_with(p)));
        if known {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it with its output going where ours goes; an exit code other than 0 is an error.
pub(crate) fn run(mut command: Command) -> Outcome {
    let status = command.status().map_err(|error| cannot_start(&command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", shown(&command))) }
}

/// Runs it and gives what it printed to its standard output.
pub(crate) fn output(mut command: Command) -> Outcome<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(&command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", shown(&command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` printed no UTF-8", shown(&command)))
}

/// Runs it and gives what it printed to both its outputs, in the order in which
/// it did, and how it ended.
pub(crate) fn captured(mut command: Command) -> Outcome<(String, Outcome)> {
    let shown = shown(&command);
    let failed = |error: std::io::Error| format!("cannot read `{shown}`: {error}");
    let (mut reader, writer) = std::io::pipe().map_err(failed)?;
    command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
    // The command holds the writing end too: without this the pipe never ends.
    drop(command);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    let ended = if status.success() { Ok(()) } else { Err(format!("`{shown}` failed: {status}")) };
    Ok((String::from_utf8_lossy(&bytes).into_owned(), ended))
}

/// As [`follow`]; an exit code other than 0 is an error.
pub(crate) fn watch(command: Command, see: impl FnMut(&str)) -> Outcome {
    let shown = shown(&command);
    let status = follow(command, see)?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed: {status}")) }
}

/// Runs it, passes on each line of its standard output as it comes, and shows
/// it to `see`. Says how it ended.
pub(crate) fn follow(mut command: Command, mut see: impl FnMut(&str)) -> Outcome<ExitStatus> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line.map_err(|error| format!("cannot read `{}`: {error}", shown(&command)))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            see(&line);
        }
    }
    child.wait().map_err(|error| format!("cannot wait for `{}`: {error}", shown(&command)))
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", shown(command))
}

/// The command as a person would type it, with the program's name only.
fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut words = vec![name.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        assert_eq!(run(shell("exit 0")), Ok(()));
        assert!(run(shell("exit 3")).is_err_and(|m| m.contains("sh -c exit 3") && m.contains('3')));
        assert!(run(Command::new("no-such-program")).is_err_and(|m| m.contains("cannot start")));
    }

    #[test]
    fn both_outputs_are_captured_and_the_exit_code_is_kept() {
        let (text, ended) = captured(shell("echo a; echo b >&2; exit 1")).expect("it runs");
        assert_eq!(text, "a\nb\n");
        assert!(ended.is_err_and(|message| message.contains("sh -c")));
        assert_eq!(captured(shell("exit 0")), Ok((String::new(), Ok(()))));
    }

    #[test]
    fn lines_are_seen_and_the_exit_code_is_kept() {
        let mut seen = Vec::new();
        let outcome = watch(shell("echo a; echo b; exit 1"), |line| seen.push(line.to_owned()));
        assert!(outcome.is_err());
        assert_eq!(seen, ["a", "b"]);
    }
}
