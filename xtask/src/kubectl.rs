//! The `kubectl` that tests drive a simulated cluster with: the one of Debian's
//! package, unpacked under the target directory without being installed.

use crate::outcome::Outcome;
use crate::process::{program, run};
use crate::repo::Repo;
use std::fs;
use std::path::{Path, PathBuf};

const PACKAGE: &str = "kubernetes-client";
/// Names the program for the tests. Where it is set, that program is used.
pub(crate) const VARIABLE: &str = "EXOKIT_KUBECTL";

/// The program to test with; it may not be there before [`prepare`].
pub(crate) fn path(repo: &Repo) -> PathBuf {
    given().unwrap_or_else(|| folder(repo).join("usr").join("bin").join("kubectl"))
}

/// Downloads and unpacks the package, unless that was done before or another
/// program is given.
pub(crate) fn prepare(repo: &Repo) -> Outcome {
    let kubectl = path(repo);
    if kubectl.exists() {
        println!("{} is there", kubectl.display());
        return Ok(());
    }
    if given().is_some() {
        return Err(format!("{VARIABLE} is {}, which does not exist", kubectl.display()));
    }
    unpack(repo).map_err(|error| {
        let hint = format!("where apt has no access to a Debian archive, set {VARIABLE} to a kubectl");
        format!("cannot get kubectl from the Debian package `{PACKAGE}`: {error}\nhint: {hint}")
    })
}

fn given() -> Option<PathBuf> {
    let (_, path) = std::env::vars_os().find(|(name, path)| name == VARIABLE && !path.is_empty())?;
    Some(path.into())
}

fn folder(repo: &Repo) -> PathBuf {
    repo.target.join("tools").join(PACKAGE)
}

fn unpack(repo: &Repo) -> Outcome {
    let tools = repo.target.join("tools");
    let fresh = tools.join(format!("{PACKAGE}.new"));
    let failed = |error: std::io::Error| format!("cannot prepare {}: {error}", fresh.display());
    // What an earlier run was stopped in the middle of.
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(failed)?;
    }
    fs::create_dir_all(&fresh).map_err(failed)?;
    // Lists of its own, so that neither those of the machine nor rights are needed.
    let lists = fresh.join("lists");
    fs::create_dir_all(lists.join("partial")).map_err(failed)?;
    for step in [["update", "--quiet"].as_slice(), &["download", "--quiet", PACKAGE]] {
        let mut apt = program(repo, "apt-get", step);
        apt.current_dir(&fresh).arg("--option").arg(format!("Dir::State::lists={}", lists.display()));
        apt.arg("--option").arg(format!("Dir::Cache={}", fresh.join("cache").display()));
        run(apt)?;
    }
    fs::remove_dir_all(&lists).map_err(failed)?;
    let archive = archive_in(&fresh)?;
    let mut unpack = program(repo, "dpkg-deb", &["--extract"]);
    unpack.args([&archive, &fresh]);
    run(unpack)?;
    fs::remove_file(&archive).map_err(failed)?;
    // Renamed last, so that the folder is there in full or not at all.
    fs::rename(&fresh, folder(repo)).map_err(failed)
}

/// The one package in a folder.
fn archive_in(folder: &Path) -> Outcome<PathBuf> {
    let entries =
        fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    paths.find(is_package).ok_or_else(|| format!("no package came into {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_found_by_its_extension() {
        let folder = std::env::temp_dir().join(format!("exokit-kubectl-{}", std::process::id()));
        fs::create_dir_all(folder.join("usr")).expect("a folder");
        assert!(archive_in(&folder).is_err_and(|message| message.contains("no package")));
        let package = folder.join("kubernetes-client_1_amd64.deb");
        fs::write(&package, "").expect("a file");
        assert_eq!(archive_in(&folder), Ok(package));
        fs::remove_dir_all(&folder).expect("the folder is removed");
    }
}
