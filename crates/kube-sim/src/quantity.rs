//! Resource quantities such as `500m`, `1Gi` and `2e3`.

use serde_json::Value;

const SUFFIXES: [(&str, i128, i128); 14] = [
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Pi", 1 << 50, 1),
    ("Ei", 1 << 60, 1),
    ("n", 1, 1_000_000_000),
    ("u", 1, 1_000_000),
    ("m", 1, 1000),
    ("k", 1000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
    ("P", 1_000_000_000_000_000, 1),
];

/// Larger quantities count as this one, so that sums stay in range.
const MILLI_MAX: i128 = 1_000_000_000_000_000_000_000_000;

/// Thousandths of the unit, rounded up.
pub(crate) fn parse_milli(text: &str) -> Option<i128> {
    let (digits, factor, divisor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor, divisor)| Some((text.strip_suffix(suffix)?, *factor, *divisor)))
        .unwrap_or((text.strip_suffix('E').unwrap_or(text), exa(text), 1));
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<u32>().ok().filter(|e| *e <= 18)?),
        None => (digits, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |part: &str| part.len() <= 18 && part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let top = digits.checked_mul(factor)?.checked_mul(10_i128.checked_pow(exponent)?)?.checked_mul(1000)?;
    let bottom = scale.checked_mul(divisor)?;
    let milli = (top.checked_add(bottom - 1)? / bottom).min(MILLI_MAX);
    Some(if negative { -milli } else { milli })
}

fn exa(text: &str) -> i128 {
    if text.ends_with('E') { 1_000_000_000_000_000_000 } else { 1 }
}

/// Thousandths of the unit of a JSON value; zero when it is no quantity.
pub(crate) fn milli(value: &Value) -> i128 {
    match value {
        Value::String(text) => parse_milli(text).unwrap_or(0),
        Value::Number(number) => parse_milli(&number.to_string()).unwrap_or(0),
        _ => 0,
    }
}

/// Whole units of a JSON value, rounded up.
pub(crate) fn units(value: &Value) -> i128 {
    let milli = milli(value);
    (milli + 999).div_euclid(1000)
}

/// Thousandths as the server writes a decimal quantity: `2`, `1500m`.
pub(crate) fn format_milli(milli: i128) -> String {
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// Thousandths of bytes as the server writes them: `512Mi`, `1Gi`.
pub(crate) fn format_bytes(milli: i128) -> String {
    let bytes = milli / 1000;
    let units = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    for (suffix, shift) in units {
        let unit = 1_i128 << shift;
        if bytes != 0 && bytes % unit == 0 {
            return format!("{}{suffix}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// A quantity in the form that the server stores: the largest unit without a
/// fraction, of the same family of units. `None` for units below thousandths
/// and for exponents, which stay as they are.
pub(crate) fn canonical(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_binary = text.ends_with('i');
    let is_kept = text.ends_with(['n', 'u'])
        || text.trim_end_matches(['i', 'E']).contains(['e', 'E'])
        || text.starts_with('+');
    let milli = parse_milli(&text).filter(|_| !is_kept)?;
    let is_large = milli % 1000 == 0 && milli.unsigned_abs() >= 1_024_000;
    Some(if is_binary && is_large { format_bytes(milli) } else { format_decimal(milli) })
}

fn format_decimal(milli: i128) -> String {
    let whole = milli / 1000;
    if milli % 1000 != 0 || whole == 0 {
        return format_milli(milli);
    }
    let units = [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3)];
    for (suffix, power) in units {
        let unit = 10_i128.pow(power);
        if whole % unit == 0 {
            return format!("{}{suffix}", whole / unit);
        }
    }
    whole.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_thousandths() {
        for (text, milli) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("1.5", Some(1500)),
            (".5", Some(500)),
            ("500m", Some(500)),
            ("1u", Some(1)),
            ("2k", Some(2_000_000)),
            ("1Ki", Some(1_024_000)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("1e3", Some(1_000_000)),
            ("2E", Some(2_000_000_000_000_000_000_000)),
            ("-1", Some(-1000)),
            ("999999999999999E", Some(MILLI_MAX)),
            ("999999999999999999E", None),
            ("", None),
            ("m", None),
            ("1.2.3", None),
            ("1x", None),
            ("1 Gi", None),
            ("1e99", None),
        ] {
            assert_eq!(parse_milli(text), milli, "{text}");
        }
    }

    #[test]
    fn quantities_are_stored_in_canonical_form() {
        for (given, stored) in [
            (serde_json::json!(2), Some("2")),
            (serde_json::json!(0.5), Some("500m")),
            ("1000m".into(), Some("1")),
            ("1500m".into(), Some("1500m")),
            ("1024Mi".into(), Some("1Gi")),
            ("0.5Gi".into(), Some("512Mi")),
            ("512Ki".into(), Some("512Ki")),
            ("1000000".into(), Some("1M")),
            ("0".into(), Some("0")),
            ("-1".into(), Some("-1")),
            ("1n".into(), None),
            ("1e3".into(), None),
        ] {
            assert_eq!(canonical(&given).as_deref(), stored, "{given}");
        }
    }

    #[test]
    fn quantities_are_written_shortest() {
        for (milli, decimal, bytes) in [(0, "0", "0"), (1500, "1500m", "1"), (1_024_000, "1024", "1Ki")] {
            assert_eq!((format_milli(milli).as_str(), format_bytes(milli).as_str()), (decimal, bytes));
        }
    }
}
