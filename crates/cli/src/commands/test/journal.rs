//! The environments that tests have made and not removed yet, one small file
//! each, so that the next start finds what a killed one left behind.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use exokit_model::ids::EnvironmentName;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Doing as _};
use crate::state_dir::{StateDir, read, replace};

/// The journal of one folder for run files. One process has it at a time.
pub(super) struct Journal {
    folder: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// An environment of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unfinished {
    pub(super) environment: EnvironmentName,
    /// The agent or state directory that carries the test out.
    pub(super) address: String,
}

impl Journal {
    /// Opens the journal of a folder, which is made if need be.
    pub(super) fn open(runs: &Path) -> Result<Self, CliError> {
        let folder = runs.join(".unfinished");
        std::fs::create_dir_all(&folder).doing("making the folder", folder.display())?;
        let path = runs.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.doing("opening", path.display())?;
        if lock.try_lock().is_err() {
            let why = "another `exokit test` is using the folder";
            let hint = "wait until it has ended, or name another folder with --runs";
            return Err(CliError::unusable("locked", "locking", runs.display(), why, hint));
        }
        Ok(Self { folder, _lock: lock })
    }

    /// The state directory of an account that exists for the test only.
    pub(super) fn account(&self) -> StateDir {
        StateDir::new(self.folder.join("account"))
    }

    /// The environments that are not removed yet.
    pub(super) fn unfinished(&self) -> Result<Vec<Unfinished>, CliError> {
        let on = self.folder.display();
        let entries = std::fs::read_dir(&self.folder).doing("reading", &on)?;
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.doing("reading", &on)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = read(&path)?;
                let unfinished = serde_json::from_str(&text).map_err(|error| {
                    let hint = "`exokit list` shows whether the environment exists; then remove the file";
                    CliError::new("journal", "reading", path.display(), error, hint)
                });
                all.push(unfinished?);
            }
        }
        Ok(all)
    }

    /// Notes an environment. This precedes everything that could make it.
    pub(super) fn begin(&self, unfinished: &Unfinished) -> Result<(), CliError> {
        let path = self.path(&unfinished.environment);
        let text = serde_json::to_vec(unfinished).map_err(io::Error::other);
        replace(&path, &text.doing("writing", path.display())?)
    }

    /// Strikes an environment of which nothing is left.
    pub(super) fn end(&self, environment: &EnvironmentName) -> Result<(), CliError> {
        let path = self.path(environment);
        std::fs::remove_file(&path).doing("removing", path.display())
    }

    fn path(&self, environment: &EnvironmentName) -> PathBuf {
        self.folder.join(format!("{environment}.json"))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Fails as long as something is unfinished.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_unfinished_until_its_end_and_one_process_has_the_folder() {
        let runs = tempfile::tempdir().unwrap();
        let journal = Journal::open(runs.path()).unwrap();
        assert!(Journal::open(runs.path()).is_err_and(|error| error.code == "locked"));
        let one = Unfinished { environment: "test-t1-0".parse().unwrap(), address: "here".to_owned() };
        journal.begin(&one).unwrap();
        drop(journal);
        let journal = Journal::open(runs.path()).unwrap();
        assert_eq!(journal.unfinished().unwrap(), std::slice::from_ref(&one));
        journal.end(&one.environment).unwrap();
        assert!(journal.unfinished().unwrap().is_empty());
        std::fs::write(runs.path().join(".unfinished/x.json"), "{}").unwrap();
        assert!(journal.unfinished().is_err_and(|error| error.code == "journal"));
    }
}
