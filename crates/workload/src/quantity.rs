//! Kubernetes quantities: sums, and amounts as objects have them.
//!
//! The API server rewrites quantities to their canonical form, for instance
//! `1000m` to `1`. A body in another form would differ at every comparison.

use std::collections::BTreeMap;

use exokit_model::quantity::{canonical_memory, read_cpu, read_memory, write_cpu, write_memory};
use exokit_model::spec::Quantities;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Quantities by the name of the resource.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// CPU in thousandths of a core, and memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Demand {
    pub(crate) millicores: u64,
    pub(crate) bytes: u64,
}

impl Demand {
    /// Parses a pair of quantities. An unknown form counts as zero; a checked
    /// description has none.
    pub(crate) fn of(quantities: &Quantities) -> Self {
        Self {
            millicores: read_cpu(&quantities.cpu).unwrap_or_default(),
            bytes: read_memory(&quantities.memory).unwrap_or_default(),
        }
    }

    /// The demand of `count` pods.
    pub(crate) fn times(self, count: u64) -> Self {
        Self { millicores: self.millicores.saturating_mul(count), bytes: self.bytes.saturating_mul(count) }
    }

    /// The sum of two demands.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            millicores: self.millicores.saturating_add(other.millicores),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// The larger CPU and the larger memory.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { millicores: self.millicores.max(other.millicores), bytes: self.bytes.max(other.bytes) }
    }

    /// As amounts of `cpu` and `memory`.
    pub(crate) fn amounts(self) -> Amounts {
        Amounts::from([
            ("cpu".to_owned(), Quantity(write_cpu(self.millicores))),
            ("memory".to_owned(), Quantity(write_memory(self.bytes))),
        ])
    }
}

/// A pair of quantities as amounts of `cpu` and `memory`, in canonical form.
pub(crate) fn amounts(quantities: &Quantities) -> Amounts {
    let cpu = read_cpu(&quantities.cpu).map_or_else(|| quantities.cpu.clone(), write_cpu);
    let memory = canonical_memory(&quantities.memory).unwrap_or_else(|| quantities.memory.clone());
    Amounts::from([("cpu".to_owned(), Quantity(cpu)), ("memory".to_owned(), Quantity(memory))])
}

/// A number of GiB.
pub(crate) fn gibibytes(count: u32) -> Quantity {
    Quantity(write_memory(u64::from(count) << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(cpu: &str, memory: &str) -> Quantities {
        Quantities { cpu: cpu.to_owned(), memory: memory.to_owned() }
    }

    #[test]
    fn quantities_are_written_as_kubernetes_shows_them() {
        for (cpu, memory, cpu_shown, memory_shown) in [
            ("500m", "512Mi", "500m", "512Mi"),
            ("1000m", "1024Mi", "1", "1Gi"),
            ("1500m", "1536Mi", "1500m", "1536Mi"),
            ("2", "5000M", "2", "5G"),
            ("20m", "1024k", "20m", "1024k"),
        ] {
            let shown = amounts(&pair(cpu, memory));
            assert_eq!((&*shown["cpu"].0, &*shown["memory"].0), (cpu_shown, memory_shown));
        }
    }

    #[test]
    fn demands_add_up() {
        let sum = Demand::of(&pair("300m", "512Mi")).times(3).plus(Demand::of(&pair("100m", "5M")));
        assert_eq!(sum.amounts()["cpu"].0, "1");
        assert_eq!(sum.amounts()["memory"].0, "1615612736".parse::<u64>().map(write_memory).unwrap());
        assert_eq!(write_memory(5_000_001), "5000001");
        assert_eq!(write_memory(3 << 30), "3Gi");
    }
}
