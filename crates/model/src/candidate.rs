//! A template as the selector sees it: what it would build, and where.

use std::collections::BTreeSet;

use crate::cost::ApprovalLevel;
use crate::ids::{TemplateId, Zone};
use crate::spec::EnvironmentSpec;

/// CPU and memory of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeShape {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
}

/// One template, instantiated with its defaults, ready to be compared with
/// requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The template.
    pub id: TemplateId,
    /// Its name, such as `minimal-test`.
    pub name: String,
    /// Its default approval level.
    pub level: ApprovalLevel,
    /// What each of its nodes has.
    pub node: NodeShape,
    /// Zones in which it can be made.
    pub zones: BTreeSet<Zone>,
    /// What it builds when nothing is overridden.
    pub spec: EnvironmentSpec,
}
