//! Child processes that cannot outlive this one.
//!
//! Linux kills a child when the thread that started it is gone, if the child
//! asks for that. `setpriv` of util-linux asks on behalf of the program that it
//! then becomes. So one thread starts all children and stays as long as the
//! server does; when the server is killed, the children go with that thread.

use crate::SimError;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Waits until its standard input is closed, which happens at the latest when
/// the server is gone, and removes the folder. Processes that are just being
/// killed may still write, so it repeats until nothing is left.
const JANITOR: &str = r#"read -r _; until rm -rf -- "$0" 2>/dev/null; do sleep 0.1; done"#;
const HINT: &str = "install the package util-linux, which has the program setpriv";

type Job = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts child processes from one thread, and owns the folder that they work in.
#[derive(Debug)]
pub(super) struct Starter {
    jobs: mpsc::Sender<Job>,
    janitor: Child,
    folder: PathBuf,
}

impl Starter {
    pub(super) fn new() -> Result<Self, SimError> {
        let fail = |cause: String| SimError::ControlPlane { cause, hint: HINT };
        let tried = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status();
        if !tried.is_ok_and(|status| status.success()) {
            return Err(fail("the program setpriv is missing".to_owned()));
        }
        let folder = tempfile::Builder::new().prefix("exokit-control-planes-").tempdir();
        let folder = folder.map_err(|why| fail(format!("a temporary folder cannot be made: {why}")))?.keep();
        // A process group of its own: Ctrl-C in a terminal must not reach it.
        let janitor = Command::new("sh")
            .args([OsStr::new("-c"), OsStr::new(JANITOR), folder.as_os_str()])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|why| fail(format!("a shell cannot be started: {why}")))?;
        let (jobs, todo) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("control-planes".to_owned()).spawn(move || {
            for (mut command, reply) in todo {
                // The receiver of a child is gone when its control plane was
                // stopped meanwhile, so the child is ended here.
                if let Err(Ok(mut child)) = reply.send(command.spawn()) {
                    end(&mut child);
                }
            }
        });
        thread.map_err(|why| fail(format!("a thread cannot be started: {why}")))?;
        Ok(Self { jobs, janitor, folder })
    }

    /// A folder for one control plane.
    pub(super) fn folder(&self, cluster: &str) -> PathBuf {
        self.folder.join(cluster)
    }

    /// Starts a program that writes what it says to a log file.
    pub(super) async fn start(
        &self,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> io::Result<Process> {
        let output = File::create(log)?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let (reply, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts programs is gone");
        self.jobs.send((command, reply)).map_err(|_| gone())?;
        Ok(Process { child: started.await.map_err(|_| gone())??, log: log.to_owned() })
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        if let Err(why) = self.janitor.wait() {
            tracing::warn!(%why, folder = %self.folder.display(), "the folder was perhaps not removed");
        }
    }
}

/// A child process; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it has said.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        let lines: String = lines.into_iter().rev().map(|line| format!("\n{line}")).collect();
        format!("{} ended:{lines}", self.log.file_stem().unwrap_or_default().display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills a child and waits for its end.
fn end(child: &mut Child) {
    // One that has ended already is not killed.
    if let Err(why) = child.kill().and_then(|()| child.wait()) {
        tracing::warn!(%why, process = child.id(), "a process was perhaps not ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_and_its_folder_go_with_their_owners() {
        let starter = Starter::new().unwrap();
        let folder = starter.folder("c");
        std::fs::create_dir(&folder).unwrap();
        let log = folder.join("sleep.log");
        let mut process = starter.start(Path::new("sleep"), &["1000".to_owned()], &log).await.unwrap();
        assert!(!process.has_ended());
        let id = process.child.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
        drop(starter);
        assert!(!folder.parent().unwrap().exists());
    }

    #[tokio::test]
    async fn a_process_that_ended_is_told_with_its_last_words() {
        let starter = Starter::new().unwrap();
        let log = starter.folder("sh.log");
        let script = ["-c".to_owned(), "echo early; echo late >&2".to_owned()];
        let mut process = starter.start(Path::new("sh"), &script, &log).await.unwrap();
        process.child.wait().unwrap();
        assert!(process.has_ended());
        assert_eq!(process.last_words(), "sh ended:\nearly\nlate");
    }
}
