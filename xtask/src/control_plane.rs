//! A real Kubernetes control plane for the tests in Python: etcd, the API
//! server, its controllers, the scheduler and kubectl.
//!
//! Go builds it from the modules in `xtask/control-plane`, once per machine and
//! version, because a build takes many minutes. The result stays in the user's
//! cache folder, which all clones share.

use crate::outcome::Outcome;
use crate::process::{program, run as run_command};
use crate::repo::Repo;
use crate::stages::{now, seconds};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The newest version of Kubernetes that the simulated cloud offers.
const VERSION: &str = "1.35.1";
/// Names the folder of the programs. Where it is set, that folder is used.
pub(crate) const VARIABLE: &str = "KUBEBUILDER_ASSETS";
/// A program: its name, its folder below `xtask/control-plane`, its package.
type Program = (&'static str, &'static str, &'static str);
const PROGRAMS: [Program; 5] = [
    ("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kube-scheduler", "k8s", "k8s.io/kubernetes/cmd/kube-scheduler"),
    ("kubectl", "k8s", "k8s.io/kubernetes/cmd/kubectl"),
];
const NO_GO: &str = "there is no Go\nhint: install Go 1.26, or set KUBEBUILDER_ASSETS to a folder with etcd, \
                     kube-apiserver, kube-controller-manager, kube-scheduler and kubectl";

/// Builds the control plane if it is not there, and prints where it is.
pub(crate) fn run(repo: &Repo) -> Outcome {
    let folder = match found()? {
        Some(folder) => folder,
        None if has_go() => build(repo)?,
        None => return Err(format!("could not build the control plane: {NO_GO}")),
    };
    for (name, ..) in PROGRAMS {
        let size =
            fs::metadata(folder.join(name)).map_err(|error| cannot("read", &folder.join(name), &error))?;
        println!("{:>6} MB  {name}", size.len() / 1_000_000);
    }
    println!("{VARIABLE}={}", folder.display());
    Ok(())
}

/// The folder for the tests, built if Go is at hand; `None` where the tests
/// against a real control plane are skipped.
pub(crate) fn prepare(repo: &Repo) -> Outcome<Option<PathBuf>> {
    if let Some(folder) = found()? {
        println!("the control plane is in {}", folder.display());
        return Ok(Some(folder));
    }
    if has_go() {
        return build(repo).map(Some);
    }
    println!("tests against a real control plane are skipped: {NO_GO}");
    Ok(None)
}

/// The folder that is given or built already.
fn found() -> Outcome<Option<PathBuf>> {
    if let Some(given) = variable(VARIABLE) {
        let given = PathBuf::from(given);
        let missing: Vec<&str> = missing(&given);
        return match missing.is_empty() {
            true => Ok(Some(given)),
            false => {
                let names = missing.join(", ");
                Err(format!("{VARIABLE} is {}, which has no {names}", given.display()))
            }
        };
    }
    let folder = cache_folder()?;
    Ok(missing(&folder).is_empty().then_some(folder))
}

/// The programs that a folder lacks.
fn missing(folder: &Path) -> Vec<&'static str> {
    PROGRAMS.iter().map(|(name, ..)| *name).filter(|name| !folder.join(name).is_file()).collect()
}

/// Where the programs are once they are built.
fn cache_folder() -> Outcome<PathBuf> {
    folder_below(variable("XDG_CACHE_HOME"), variable("HOME"))
        .ok_or_else(|| "could not find a cache folder: neither XDG_CACHE_HOME nor HOME is set".to_owned())
}

fn folder_below(cache: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let cache = cache.map(PathBuf::from).filter(|path| path.is_absolute());
    let root = cache.or_else(|| Some(PathBuf::from(home?).join(".cache")))?;
    Some(root.join("exokit").join(format!("control-plane-{VERSION}")))
}

/// A variable of the environment that is set and not empty.
fn variable(wanted: &str) -> Option<OsString> {
    std::env::vars_os().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value)
}

fn has_go() -> bool {
    let mut go = Command::new("go");
    go.arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    go.status().is_ok_and(|status| status.success())
}

/// Builds the programs beside their place and moves them there last, so that
/// the folder is there in full or not at all.
fn build(repo: &Repo) -> Outcome<PathBuf> {
    let folder = cache_folder()?;
    let fresh = folder.with_file_name(format!("control-plane-{VERSION}.new-{}", std::process::id()));
    fs::create_dir_all(&fresh).map_err(|error| cannot("create", &fresh, &error))?;
    println!(
        "building the control plane of Kubernetes {VERSION}; without a cache of Go's this takes many minutes"
    );
    let begin = now();
    for program in &PROGRAMS {
        run_command(build_command(repo, program, &fresh))?;
    }
    println!("built the control plane in {}", seconds(begin.elapsed()));
    match fs::rename(&fresh, &folder) {
        Ok(()) => Ok(folder),
        // Another run has built it in the meantime.
        Err(_) if missing(&folder).is_empty() => {
            fs::remove_dir_all(&fresh).map_err(|error| cannot("remove", &fresh, &error))?;
            Ok(folder)
        }
        Err(error) => Err(cannot("create", &folder, &error)),
    }
}

fn build_command(repo: &Repo, (name, module, package): &Program, out: &Path) -> Command {
    let mut go = program(repo, "go", &["build", "-trimpath", "-ldflags"]);
    go.current_dir(repo.root.join("xtask").join("control-plane").join(module));
    go.arg(link_flags(module)).arg("-o").arg(out.join(name)).arg(package);
    // The versions are those of the committed go.mod and go.sum.
    go.env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    go
}

/// Flags of the linker. Kubernetes takes its version from them.
fn link_flags(module: &str) -> String {
    let mut flags = "-s -w".to_owned();
    if module == "k8s" {
        let minor = VERSION.split('.').nth(1).unwrap_or_default();
        let values =
            [("gitVersion", format!("v{VERSION}")), ("gitMajor", "1".into()), ("gitMinor", minor.into())];
        for (name, value) in values {
            flags.push_str(&format!(" -X k8s.io/component-base/version.{name}={value}"));
        }
    }
    flags
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("could not {what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_that_of_the_user() {
        let at = |cache: Option<&str>, home: Option<&str>| {
            folder_below(cache.map(OsString::from), home.map(OsString::from))
                .map(|path| path.display().to_string())
        };
        let below = |root: &str| Some(format!("{root}/exokit/control-plane-{VERSION}"));
        assert_eq!(at(Some("/cache"), Some("/home/a")), below("/cache"));
        assert_eq!(at(None, Some("/home/a")), below("/home/a/.cache"));
        // A relative path is not valid there, says the specification.
        assert_eq!(at(Some("cache"), Some("/home/a")), below("/home/a/.cache"));
        assert_eq!(at(None, None), None);
    }

    #[test]
    fn only_kubernetes_is_told_its_version() {
        assert_eq!(link_flags("etcd"), "-s -w");
        let flags = link_flags("k8s");
        assert!(
            flags.contains("version.gitVersion=v1.35.1") && flags.ends_with("version.gitMinor=35"),
            "{flags}"
        );
    }

    #[test]
    fn a_folder_is_whole_with_all_programs_only() {
        let folder = std::env::temp_dir().join(format!("exokit-control-plane-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        assert_eq!(missing(&folder).len(), PROGRAMS.len());
        for (name, ..) in PROGRAMS {
            fs::write(folder.join(name), "").expect("a file");
        }
        assert!(missing(&folder).is_empty());
        fs::remove_file(folder.join("etcd")).expect("the file is removed");
        assert_eq!(missing(&folder), ["etcd"]);
        fs::remove_dir_all(&folder).expect("the folder is removed");
    }

    #[test]
    fn the_modules_are_of_the_version() {
        let repo = Repo::find().expect("the workspace");
        for (name, module, package) in PROGRAMS {
            let path = repo.root.join("xtask").join("control-plane").join(module);
            let text = fs::read_to_string(path.join("go.mod")).expect("a module");
            assert!(text.contains(package), "{name}");
            assert!(module == "etcd" || text.contains(&format!("k8s.io/kubernetes v{VERSION}")), "{name}");
            assert!(path.join("go.sum").exists(), "{name}");
        }
    }
}
