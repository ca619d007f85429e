//! `tidy`: the house rules that the compiler does not know.
//!
//! Each check takes data and gives findings, so that its tests can show it a
//! broken rule. `cargo test -p xtask` runs all of them on this repository.

mod circles;
mod docs;
mod edges;
mod images;
mod length;
mod purity;
mod ratchet;
mod scrub;
mod source;
mod words;

use crate::outcome::Outcome;
use crate::repo::Repo;
use std::fmt;
use std::path::{Path, PathBuf};

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file or the crate.
    pub(crate) place: String,
    /// The line, from 1; 0 where the rule is about the whole.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

impl Finding {
    fn new(place: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self { place: place.into(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.place, self.what),
            line => write!(f, "{}:{line}: {}", self.place, self.what),
        }
    }
}

/// Runs every check and prints what it finds.
pub(crate) fn run(repo: &Repo) -> Outcome {
    let findings = findings(repo)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("tidy found 1 broken rule".to_owned()),
        n => Err(format!("tidy found {n} broken rules")),
    }
}

fn findings(repo: &Repo) -> Outcome<Vec<Finding>> {
    let sources = source::load(repo)?;
    let ratchet = ratchet::Ratchet::load(repo)?;
    let mut found = edges::check(&edges::of(&repo.metadata));
    found.extend(purity::check(repo)?);
    found.extend(words::check(&sources));
    found.extend(images::check(&sources));
    found.extend(circles::check(&sources));
    found.extend(ratchet.check(&length::measure(&sources)));
    found.extend(docs::check(repo)?);
    found.sort();
    found.dedup();
    Ok(found)
}

/// The files below the root whose name ends so, as sorted relative paths;
/// hidden folders and build output are left out.
fn files(root: &Path, ending: &str) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let failed = |error: std::io::Error| format!("cannot list {}: {error}", full.display());
        for entry in std::fs::read_dir(&full).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if entry.file_type().map_err(failed)?.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let repo = Repo::find().expect("the workspace");
        let found: Vec<String> = findings(&repo).expect("readable").iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn files_are_found_by_ending_and_build_output_is_left_out() {
        let repo = Repo::find().expect("the workspace");
        let found = files(&repo.root, ".rs").expect("readable");
        assert!(found.contains(&"xtask/src/tidy/mod.rs".to_owned()));
        assert!(!found.iter().any(|f| f.starts_with("target/")));
        assert!(files(&repo.root.join("no-such-folder"), ".rs").is_err());
    }
}
