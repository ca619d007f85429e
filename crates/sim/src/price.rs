//! The public price lists, as far as their values are known.

use serde_json::{Map, Value, json};

const STANDARD: &[(&str, &str)] = &[
    ("micro", "0.00729"),
    ("tiny", "0.01458"),
    ("small", "0.02333"),
    ("medium", "0.04666"),
    ("large", "0.09333"),
    ("extra_large", "0.18667"),
    ("huge", "0.37334"),
    ("mega", "0.74667"),
    ("titan", "1.49333"),
    ("jumbo", "2.24"),
    ("colossus", "2.98666"),
];
const OTHER: &[(&str, &str)] = &[
    ("running_cpu_extra_large", "0.23333"),
    ("running_cpu_huge", "0.46666"),
    ("running_cpu_mega", "0.93333"),
    ("running_cpu_titan", "1.86667"),
    ("running_cpu_titan48c", "2.11458"),
    ("running_cpu_colossus", "3.71875"),
    ("running_memory_extra_large", "0.14"),
    ("running_memory_huge", "0.28"),
    ("running_memory_mega", "0.56"),
    ("running_memory_titan", "1.12"),
    ("running_storage_extra_large", "0.14"),
    ("running_storage_huge", "0.28"),
    ("running_storage_mega", "0.56"),
    ("running_storage_titan", "1.12"),
    ("running_storage_jumbo", "1.86667"),
    ("running_gpu3_small", "1.0453"),
    ("volume", "0.00014"),
    ("volume_data", "0.00006"),
    ("snapshot", "0.00014"),
    ("template", "0.00028"),
    ("network_load_balancer", "0.03472"),
    ("elastic_ip", "0.01389"),
    ("outbound_traffic", "0.02"),
];
const SOS: &[(&str, &str)] = &[("storage", "0.0000275")];
const PG: &[(&str, &str)] = &[("hobbyist-2", "0.0581"), ("premium-4", "0.38966")];

/// The list behind `/api/pricing/<name>`; a list whose values are not known
/// is empty rather than invented.
pub(crate) fn price_list(path: &str) -> Option<Value> {
    let prices = match path.strip_prefix("/api/pricing/")? {
        "opencompute" => compute(),
        "sos" => table(SOS, ""),
        "dbaas-pg" => table(PG, ""),
        "dbaas-valkey" | "blockstorage" | "sks" | "dns" => Map::new(),
        _ => return None,
    };
    // The same numerals in each currency.
    Some(json!({"chf": prices, "eur": prices, "usd": prices}))
}

fn compute() -> Map<String, Value> {
    let mut prices = table(STANDARD, "running_");
    prices.extend(table(OTHER, ""));
    prices
}

fn table(rows: &[(&str, &str)], prefix: &str) -> Map<String, Value> {
    rows.iter().map(|(name, price)| (format!("{prefix}{name}"), json!(price))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_lists() {
        let list = price_list("/api/pricing/opencompute").expect("list");
        assert_eq!(list["chf"]["running_small"], "0.02333");
        assert_eq!(list["usd"]["network_load_balancer"], "0.03472");
        assert_eq!(price_list("/api/pricing/dbaas-valkey").expect("list")["eur"], json!({}));
        assert!(price_list("/api/pricing/nonsense").is_none());
    }
}
