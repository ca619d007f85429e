//! Kubernetes quantities: parsing, sums and the canonical form.
//!
//! The API server rewrites quantities to their canonical form, for instance
//! `1000m` to `1`. A body in another form would differ at every comparison.

use std::collections::BTreeMap;

use exokit_model::spec::Quantities;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Quantities by the name of the resource.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// Suffixes of powers of 1024, largest first.
const BINARY: [(&str, u64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

/// Suffixes of powers of 1000, largest first.
const DECIMAL: [(&str, u64); 4] =
    [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];

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

/// Thousandths of a core in `500m` or `2`.
fn read_cpu(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(digits) => digits.parse().ok(),
        None => text.parse::<u64>().ok()?.checked_mul(1000),
    }
}

fn write_cpu(millicores: u64) -> String {
    match millicores % 1000 {
        0 => (millicores / 1000).to_string(),
        _ => format!("{millicores}m"),
    }
}

/// A number and the suffix after it.
fn split(text: &str) -> Option<(u64, &str)> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count = text[..text.len() - suffix.len()].parse().ok()?;
    Some((count, suffix))
}

/// Bytes in `512Mi`, `5M` or `1024`.
fn read_memory(text: &str) -> Option<u64> {
    let (count, suffix) = split(text)?;
    let unit = BINARY.iter().chain(&DECIMAL).find(|unit| unit.0 == suffix).map(|unit| unit.1);
    count.checked_mul(if suffix.is_empty() { 1 } else { unit? })
}

fn write_memory(bytes: u64) -> String {
    // Kubernetes takes a number without suffix as decimal.
    with_suffix(bytes, &BINARY).or_else(|| with_suffix(bytes, &DECIMAL)).unwrap_or_else(|| bytes.to_string())
}

/// The amount in the largest unit of which it is a whole number.
fn with_suffix(bytes: u64, units: &[(&str, u64)]) -> Option<String> {
    let (suffix, unit) = units.iter().find(|unit| bytes > 0 && bytes.is_multiple_of(unit.1))?;
    Some(format!("{}{suffix}", bytes / unit))
}

/// The canonical form, which keeps the base of the suffix, 1000 or 1024.
fn canonical_memory(text: &str) -> Option<String> {
    let bytes = read_memory(text)?;
    let units = if text.ends_with('i') { &BINARY } else { &DECIMAL };
    Some(with_suffix(bytes, units).unwrap_or_else(|| bytes.to_string()))
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
