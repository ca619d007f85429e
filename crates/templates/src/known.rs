//! Words of the cloud that files may use: zones, node types, add-ons.
//!
//! The lists serve early, pointed errors. What the cloud really offers is read
//! from it before a plan is made.

use exokit_model::candidate::NodeShape;

/// Zones, in the order of their names.
pub const ZONES: [&str; 8] =
    ["at-vie-1", "at-vie-2", "bg-sof-1", "ch-dk-2", "ch-gva-2", "de-fra-1", "de-muc-1", "hr-zag-1"];

/// Families of nodes. Those with GPUs need an image and an approval by the
/// cloud that exokit does not handle.
pub(crate) const FAMILIES: [&str; 4] = ["standard", "cpu", "memory", "storage"];

/// Sizes that the cloud has but refuses for nodes.
pub(crate) const SIZES_TOO_SMALL: [&str; 2] = ["micro", "tiny"];

/// The smallest size of a node.
pub(crate) const SIZE_MIN: &str = "small";

/// Family, size, CPUs and GiB of memory.
const SHAPES: [(&str, &str, u32, u32); 24] = [
    ("standard", "small", 2, 2),
    ("standard", "medium", 2, 4),
    ("standard", "large", 4, 8),
    ("standard", "extra-large", 4, 16),
    ("standard", "huge", 8, 32),
    ("standard", "mega", 12, 64),
    ("standard", "titan", 16, 128),
    ("standard", "jumbo", 24, 225),
    ("standard", "colossus", 40, 320),
    ("cpu", "extra-large", 8, 16),
    ("cpu", "huge", 16, 32),
    ("cpu", "mega", 32, 64),
    ("cpu", "titan", 40, 128),
    ("cpu", "titan48c", 48, 128),
    ("cpu", "colossus", 80, 320),
    ("memory", "extra-large", 2, 16),
    ("memory", "huge", 4, 32),
    ("memory", "mega", 8, 64),
    ("memory", "titan", 12, 128),
    ("storage", "extra-large", 4, 16),
    ("storage", "huge", 8, 32),
    ("storage", "mega", 12, 64),
    ("storage", "titan", 16, 128),
    ("storage", "jumbo", 24, 225),
];

/// CPU and memory of a node; none when there is no such type.
pub(crate) fn node_shape(family: &str, size: &str) -> Option<NodeShape> {
    SHAPES
        .iter()
        .find(|shape| shape.0 == family && shape.1 == size)
        .map(|shape| NodeShape { cpus: shape.2, memory_gib: shape.3 })
}

/// Sizes of a family, smallest first.
pub(crate) fn sizes(family: &str) -> Vec<&'static str> {
    SHAPES.iter().filter(|shape| shape.0 == family).map(|shape| shape.1).collect()
}

/// The add-on that lets the cluster use load balancers and makes nodes ready.
pub(crate) const ADDON_CCM: &str = "exoscale-cloud-controller";
/// The add-on that makes block storage.
pub(crate) const ADDON_CSI: &str = "exoscale-container-storage-interface";
/// The add-on that autoscaling reads.
pub(crate) const ADDON_METRICS: &str = "metrics-server";

/// Add-ons of a control plane.
pub(crate) const ADDONS: [&str; 4] = [ADDON_CCM, ADDON_CSI, ADDON_METRICS, "karpenter"];

/// Storage classes; the first is the usual one.
pub(crate) const STORAGE_CLASSES: [&str; 2] = ["exoscale-sbs", "exoscale-bs-retain"];

/// Tiers of database plans, as in `startup-4`.
pub(crate) const PLAN_TIERS: [&str; 4] = ["hobbyist", "startup", "business", "premium"];
