//! Kubernetes quantities: CPU in thousandths of a core and memory in bytes, read
//! and written in the canonical form of the API server, such as `1` for `1000m`.

/// Suffixes of powers of 1024, largest first.
const BINARY: [(&str, u64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

/// Suffixes of powers of 1000, largest first.
const DECIMAL: [(&str, u64); 4] =
    [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];

/// Thousandths of a core in `500m` or `2`.
#[must_use]
pub fn read_cpu(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(digits) => digits.parse().ok(),
        None => text.parse::<u64>().ok()?.checked_mul(1000),
    }
}

/// Thousandths of a core in canonical form.
#[must_use]
pub fn write_cpu(millicores: u64) -> String {
    match millicores % 1000 {
        0 => (millicores / 1000).to_string(),
        _ => format!("{millicores}m"),
    }
}

/// Bytes in `512Mi`, `5M` or `1024`.
#[must_use]
pub fn read_memory(text: &str) -> Option<u64> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = text[..text.len() - suffix.len()].parse().ok()?;
    let unit = BINARY.iter().chain(&DECIMAL).find(|unit| unit.0 == suffix).map(|unit| unit.1);
    count.checked_mul(if suffix.is_empty() { 1 } else { unit? })
}

/// Bytes in canonical form. Kubernetes takes a number without suffix as decimal.
#[must_use]
pub fn write_memory(bytes: u64) -> String {
    with_suffix(bytes, &BINARY).or_else(|| with_suffix(bytes, &DECIMAL)).unwrap_or_else(|| bytes.to_string())
}

/// The canonical form of an amount of memory, which keeps the base of its suffix,
/// 1000 or 1024.
#[must_use]
pub fn canonical_memory(text: &str) -> Option<String> {
    let bytes = read_memory(text)?;
    let units = if text.ends_with('i') { &BINARY } else { &DECIMAL };
    Some(with_suffix(bytes, units).unwrap_or_else(|| bytes.to_string()))
}

/// The amount in the largest unit of which it is a whole number.
fn with_suffix(bytes: u64, units: &[(&str, u64)]) -> Option<String> {
    let (suffix, unit) = units.iter().find(|unit| bytes > 0 && bytes.is_multiple_of(unit.1))?;
    Some(format!("{}{suffix}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_in_another_unit_is_the_same() {
        assert_eq!(read_cpu("1000m"), read_cpu("1"));
        for (one, other) in [("1Gi", "1024Mi"), ("512Mi", "536870912"), ("5G", "5000M")] {
            assert_eq!(read_memory(one), read_memory(other));
        }
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in ["", "m", "1x", "-1", "1.2.3", "99999999999999999999999999999999999999999"] {
            assert_eq!((read_cpu(text), read_memory(text)), (None, None), "{text}");
        }
    }
}
