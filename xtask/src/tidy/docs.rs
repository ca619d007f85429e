//! The documents agree with the repository: crates, links and commands.

use super::{Finding, files};
use crate::outcome::Outcome;
use crate::repo::Repo;
use crate::verbs::VERBS;
use std::path::{Component, Path, PathBuf};

const MAP: &str = "ARCHITECTURE.md";

/// Findings in every Markdown file of the repository.
pub(super) fn check(repo: &Repo) -> Outcome<Vec<Finding>> {
    let mut found = Vec::new();
    for must in [MAP, "README.md", "CHANGELOG.md"] {
        if !repo.root.join(must).is_file() {
            found.push(Finding::new(must, 0, "is missing"));
        }
    }
    let folders = folders(repo);
    for path in files(&repo.root, ".md")? {
        let text = std::fs::read_to_string(repo.root.join(&path))
            .map_err(|error| format!("cannot read {path}: {error}"))?;
        if path == MAP {
            found.extend(unmapped(&text, &folders));
        }
        found.extend(broken_links(&path, &text, |target| repo.root.join(target).exists()));
        found.extend(unknown_verbs(&path, &text));
    }
    Ok(found)
}

/// The folders of the crates, relative to the root.
fn folders(repo: &Repo) -> Vec<String> {
    let parents = repo.metadata.packages.iter().filter_map(|p| p.manifest_path.parent());
    parents
        .filter_map(|p| p.strip_prefix(&repo.metadata.workspace_root).ok())
        .map(ToString::to_string)
        .collect()
}

/// Crates that the map of the code does not mention.
fn unmapped(text: &str, folders: &[String]) -> Vec<Finding> {
    let mentioned = |folder: &&String| {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        [folder.as_str(), &format!("`{name}`"), &format!("exokit-{name}")].iter().any(|w| text.contains(*w))
    };
    let missing = folders.iter().filter(|folder| !mentioned(folder));
    missing.map(|folder| Finding::new(MAP, 0, format!("does not mention {folder}"))).collect()
}

/// Links to files that are not there, or that are not in this repository.
fn broken_links(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let folder = Path::new(path).parent().unwrap_or_else(|| Path::new(""));
    let mut found = Vec::new();
    for (line, target) in links(text) {
        let file = target.split('#').next().unwrap_or_default();
        if file.is_empty() || ["http://", "https://", "mailto:"].iter().any(|p| target.starts_with(p)) {
            continue;
        }
        match inside(&folder.join(file)) {
            Some(relative) if exists(&relative) => {}
            Some(_) => found.push(Finding::new(path, line, format!("links to {file}, which is not there"))),
            None => found.push(Finding::new(path, line, format!("links to {file}, outside the repository"))),
        }
    }
    found
}

/// The targets of `[text](target)` with their lines; blocks and spans of code have none.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for piece in prose.split("](").skip(1) {
            if let Some((target, _)) = piece.split_once(')') {
                let target = target.split(' ').next().unwrap_or_default();
                found.push((n + 1, target.trim_matches(['<', '>']).to_owned()));
            }
        }
    }
    found
}

/// The path without `.` and `..`; none if it leaves the root.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}

/// `cargo xtask VERB` with a verb that is none.
fn unknown_verbs(path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        for rest in line.split("cargo xtask ").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(rest.len());
            let verb = &rest[..end];
            if !verb.is_empty() && !VERBS.iter().any(|(known, _)| *known == verb) {
                found.push(Finding::new(path, n + 1, format!("`cargo xtask {verb}` is no command")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_the_map_does_not_mention_is_found() {
        let folders = ["crates/model".to_owned(), "crates/sim".to_owned(), "xtask".to_owned()];
        assert!(unmapped("`crates/model`, exokit-sim and `xtask`", &folders).is_empty());
        let found = unmapped("`model` and xtask", &folders);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("crates/sim"));
    }

    #[test]
    fn a_link_to_nothing_or_to_the_outside_is_found() {
        let check = |text: &str| {
            let there = |path: &Path| path == Path::new("docs/a.md") || path == Path::new("LICENSE");
            broken_links("docs/b.md", text, there).iter().map(|f| f.line).collect::<Vec<_>>()
        };
        assert!(check("[a](a.md#top) [l](../LICENSE) [w](https://example.org) [t](#here)").is_empty());
        assert!(check("`[x](gone.md)`\n```\n[x](gone.md)\n```\n").is_empty());
        assert_eq!(check("fine\n[x](gone.md) and ![p](gone.png \"title\")"), [2, 2]);
        assert_eq!(check("[up](../../elsewhere.md)"), [1]);
    }

    #[test]
    fn a_command_that_is_none_is_found() {
        assert!(
            unknown_verbs(
                "README.md",
                "run `cargo xtask ci`, `cargo xtask control-plane` or cargo xtask test -p x"
            )
            .is_empty()
        );
        assert_eq!(unknown_verbs("README.md", "\n`cargo xtask deploy`").len(), 1);
    }
}
