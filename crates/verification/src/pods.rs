//! Amounts of CPU and memory, which an API server may write in another unit than
//! they were sent in.

use serde_json::Value;

/// CPU in thousandths and memory in bytes, such as `500 m / 536870912`; `-` for
/// what is missing or no amount.
pub(crate) fn amounts(cpu: &str, memory: &str) -> String {
    let shown = |amount: Option<u128>, unit: &str| match amount {
        Some(amount) => format!("{amount}{unit}"),
        None => "-".to_owned(),
    };
    format!("{} CPU, {} of memory", shown(scaled(cpu, 1000), "m"), shown(scaled(memory, 1), " bytes"))
}

/// The amounts of a container under `limits` or `requests`.
pub(crate) fn container_amounts(container: &Value, which: &str) -> String {
    let amount = |name: &str| match &container["resources"][which][name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    amounts(&amount("cpu"), &amount("memory"))
}

/// A quantity in `1/per` of its unit, if it is a whole number of those.
fn scaled(quantity: &str, per: u128) -> Option<u128> {
    let end = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (times, divided): (u128, u128) = match suffix {
        "" => (1, 1),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1000 * 1000, 1),
        "G" => (1000 * 1000 * 1000, 1),
        "T" => (1000 * 1000 * 1000 * 1000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        _ => return None,
    };
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let parts = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?.checked_mul(divided)?;
    let all = digits.checked_mul(times)?.checked_mul(per)?;
    all.is_multiple_of(parts).then(|| all / parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_in_another_unit_is_the_same() {
        for (one, other) in [("1000m", "1"), ("500m", "0.5"), ("1500m", "1.5")] {
            assert_eq!(scaled(one, 1000), scaled(other, 1000));
        }
        for (one, other) in [("1Gi", "1024Mi"), ("512Mi", "536870912"), ("1.5Gi", "1536Mi")] {
            assert_eq!(scaled(one, 1), scaled(other, 1));
        }
        assert_eq!(amounts("500m", "512Mi"), "500m CPU, 536870912 bytes of memory");
        for nonsense in ["", "m", "1x", "-1", "1.2.3", "0.0001m", "99999999999999999999999999999999999999999"]
        {
            assert_eq!(scaled(nonsense, 1000), None, "{nonsense}");
        }
    }
}
