//! Where things are: the root of the workspace, what it holds, the target directory.

use crate::outcome::Outcome;
use cargo_metadata::{Metadata, MetadataCommand, TargetKind};
use std::path::{Path, PathBuf};

/// The workspace that this program belongs to.
pub(crate) struct Repo {
    /// The folder of the workspace's manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds; what the verbs make for themselves goes here too.
    pub(crate) target: PathBuf,
    /// The packages of the workspace, without anything from outside.
    pub(crate) metadata: Metadata,
}

impl Repo {
    /// Asks cargo about the workspace.
    pub(crate) fn find() -> Outcome<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .no_deps()
            .exec()
            .map_err(|error| format!("cannot read the workspace: {error}"))?;
        Ok(Self {
            root: metadata.workspace_root.clone().into_std_path_buf(),
            target: metadata.target_directory.clone().into_std_path_buf(),
            metadata,
        })
    }

    /// Whether this package has an example of this name.
    pub(crate) fn has_example(&self, package: &str, example: &str) -> bool {
        self.metadata
            .packages
            .iter()
            .filter(|p| p.name.as_str() == package)
            .flat_map(|p| &p.targets)
            .any(|t| t.name == example && t.kind.contains(&TargetKind::Example))
    }

    /// The path of a program that `cargo build --release` makes.
    pub(crate) fn release(&self, name: &str) -> PathBuf {
        self.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_found_by_package_and_name() {
        let repo = Repo::find().expect("the workspace");
        assert!(repo.has_example("exokit-sim", "serve"));
        assert!(!repo.has_example("exokit-model", "serve"));
    }
}
