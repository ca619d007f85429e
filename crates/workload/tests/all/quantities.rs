//! Reads quantities for other tests, by rules of its own.

use serde_json::Value;

/// Thousandths of a core.
pub(crate) fn cpu(value: &Value) -> u64 {
    let text = value.as_str().unwrap();
    text.strip_suffix('m').map_or_else(|| text.parse::<u64>().unwrap() * 1000, |milli| milli.parse().unwrap())
}

/// Bytes.
pub(crate) fn memory(value: &Value) -> u64 {
    let text = value.as_str().unwrap();
    let (digits, factor) = match (text.strip_suffix("Gi"), text.strip_suffix("Mi"), text.strip_suffix("Ki")) {
        (Some(digits), _, _) => (digits, 1 << 30),
        (_, Some(digits), _) => (digits, 1 << 20),
        (_, _, Some(digits)) => (digits, 1 << 10),
        _ => (text, 1),
    };
    digits.parse::<u64>().unwrap() * factor
}

/// Asserts that a quantity is in the form that Kubernetes shows.
#[track_caller]
pub(crate) fn assert_canonical(text: &str) {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().unwrap();
    let shorter = match &text[digits.len()..] {
        "m" => number.is_multiple_of(1000),
        "Ki" | "Mi" | "Gi" => number.is_multiple_of(1024),
        "" => false,
        other => panic!("{text}: unit {other}"),
    };
    assert!(!shorter, "{text} has a shorter form");
}
