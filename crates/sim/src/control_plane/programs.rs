//! The programs of a control plane.

use crate::SimError;
use std::path::{Path, PathBuf};

const HINT: &str =
    "build the programs with `cargo xtask control-plane`, and set KUBEBUILDER_ASSETS to their folder";

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
}

impl Programs {
    pub(super) const ETCD: &str = "etcd";
    pub(super) const API_SERVER: &str = "kube-apiserver";
    pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
    pub(super) const SCHEDULER: &str = "kube-scheduler";
    const ALL: [&str; 4] = [Self::ETCD, Self::API_SERVER, Self::CONTROLLER_MANAGER, Self::SCHEDULER];

    /// The programs in a folder, if they are all there.
    pub(super) fn find(folder: PathBuf) -> Result<Self, SimError> {
        for program in Self::ALL {
            if !folder.join(program).is_file() {
                let folder = folder.display().to_string();
                let cause = format!("{folder} has no program {program}");
                return Err(SimError::ControlPlane { cause, hint: HINT });
            }
        }
        Ok(Self { folder })
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        Path::new(&self.folder).join(program)
    }
}
