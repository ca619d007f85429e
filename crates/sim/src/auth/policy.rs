//! IAM policies: the verdict of an organisation and a role policy.

use super::cel::{self, Bindings};
use serde_json::Value;

/// Whether `policy` allows a call of `service` with these bindings.
///
/// With `rules`, the first rule that is true decides and no match denies,
/// whatever the default strategy. An allow rule that cannot be evaluated does
/// not match; a deny rule that cannot be evaluated denies.
pub(crate) fn allows(policy: &Value, service: &str, bindings: &Bindings) -> bool {
    let Some(rules) = policy.get("services").and_then(|s| s.get(service)) else {
        return policy.get("default-service-strategy").and_then(Value::as_str) == Some("allow");
    };
    match rules.get("type").and_then(Value::as_str) {
        Some("allow") => true,
        Some("rules") => first_match(rules, bindings),
        _ => false,
    }
}

fn first_match(service: &Value, bindings: &Bindings) -> bool {
    for rule in service.get("rules").and_then(Value::as_array).into_iter().flatten() {
        let allow = rule.get("action").and_then(Value::as_str) == Some("allow");
        let text = rule.get("expression").and_then(Value::as_str).unwrap_or_default();
        let verdict = cel::evaluate(text, bindings).ok().flatten();
        match (allow, verdict) {
            (true, Some(true)) => return true,
            (false, Some(true) | None) => return false,
            _ => {}
        }
    }
    false
}

/// The first expression of `policy` that the simulator cannot evaluate.
pub(crate) fn unsupported(policy: &Value) -> Option<String> {
    let services = policy.get("services").and_then(Value::as_object)?;
    let refusal = |text| cel::evaluate(text, &Bindings::new()).err();
    services
        .values()
        .filter_map(|service| service.get("rules").and_then(Value::as_array))
        .flatten()
        .filter_map(|rule| rule.get("expression").and_then(Value::as_str))
        .find_map(|text| refusal(text).map(|why| format!("expression '{text}': {why}")))
}

/// The policy that allows everything.
pub(crate) fn allow_all() -> Value {
    serde_json::json!({"default-service-strategy": "allow", "services": {}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn verdicts() {
        let policy = json!({
            "default-service-strategy": "deny",
            "services": {
                "dbaas": {"type": "allow"},
                "dns": {"type": "deny"},
                "sos": {"type": "rules", "rules": [
                    {"action": "deny", "expression": "operation == 'delete-object'"},
                    {"action": "allow", "expression": "resources.bucket == 'mine'"}]},
                "iam": {"type": "rules", "rules": [
                    {"action": "deny", "expression": "nowhere == 'x'"},
                    {"action": "allow", "expression": "true"}]}}});
        let call = |service: &str, operation: &str, bucket: &str| {
            let bindings = [("operation", operation), ("resources.bucket", bucket)]
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect();
            allows(&policy, service, &bindings)
        };
        assert!(call("dbaas", "x", ""));
        assert!(!call("dns", "x", ""));
        assert!(!call("compute", "x", ""));
        assert!(call("sos", "get-object", "mine"));
        assert!(!call("sos", "delete-object", "mine"));
        assert!(!call("sos", "get-object", "other"));
        assert!(!call("iam", "x", ""), "a deny rule that fails denies");
        assert!(allows(&allow_all(), "compute", &Bindings::new()));
        assert_eq!(unsupported(&policy), None);
        let odd = json!({"services":{"sos":{"rules":[{"expression":"size(x) > 1"}]}}});
        assert!(unsupported(&odd).is_some());
    }
}
