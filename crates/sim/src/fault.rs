//! Faults on order: which requests they hit and what they do.

use serde::{Deserialize, Serialize};

/// One rule: when a request matches, the fault applies to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which requests.
    #[serde(rename = "match", default)]
    pub when: Matcher,
    /// What happens to them.
    pub fault: Fault,
}

/// All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matcher {
    /// The operation id; a trailing `*` matches any rest. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only the n-th request (from 1) that the other conditions let through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Only from so many milliseconds after the world's first request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<i64>,
    /// Only until so many milliseconds after the world's first request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// Only with this probability (seeded).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// At most so many times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

impl Matcher {
    /// Matches the n-th request of `operation`.
    pub fn nth(operation: &str, nth: u64) -> Self {
        Self { operation: Some(operation.to_owned()), nth: Some(nth), ..Self::default() }
    }

    /// Matches every request of `operation`.
    pub fn every(operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..Self::default() }
    }

    pub(crate) fn names(&self, operation: &str) -> bool {
        match self.operation.as_deref() {
            None => true,
            Some(pattern) => match pattern.strip_suffix('*') {
                Some(start) => operation.starts_with(start),
                None => pattern == operation,
            },
        }
    }

    pub(crate) fn in_time(&self, since_start_ms: i64) -> bool {
        self.after_ms.is_none_or(|at| since_start_ms >= at)
            && self.until_ms.is_none_or(|at| since_start_ms < at)
    }
}

/// What a fault does to the request it hits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// This status at once, without effect. 503 answers plain text.
    Status {
        /// The HTTP status.
        status: u16,
        /// The message; absent: a generic one.
        #[serde(default)]
        message: Option<String>,
        /// Seconds for a `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u64>,
        /// The effect happens all the same (an answer of a proxy that gave up).
        #[serde(default)]
        after_effect: bool,
    },
    /// No effect and no reply.
    DropBefore,
    /// The effect, but no reply.
    DropAfter,
    /// The effect, and a 200 whose body is cut in the middle.
    Garbage,
    /// No reply now; the request is executed `delay_ms` later, unless its
    /// signature has expired by then.
    Late {
        /// How much later.
        delay_ms: i64,
    },
    /// The operation is accepted, then fails.
    OperationFails {
        /// One of the eleven reasons of the API.
        #[serde(default = "fault_reason")]
        reason: String,
        /// The message beside it.
        #[serde(default)]
        message: Option<String>,
        /// A created resource stays behind in state `error`.
        #[serde(default)]
        leaves_resource: bool,
    },
    /// The operation stays `pending` for ever; its resource goes on.
    OperationStuck,
    /// The operation takes `factor` times as long.
    Slow {
        /// The multiplier.
        factor: f64,
    },
    /// What this request creates is missing from lists for so long, and what
    /// it deletes stays in them.
    ListLag {
        /// For how long.
        ms: i64,
    },
    /// From this request on the quota of `resource` is `limit`.
    Quota {
        /// The quota's name.
        resource: String,
        /// Its new limit.
        limit: i64,
    },
}

fn fault_reason() -> String {
    "fault".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_from_json() {
        let text = r#"[
            {"match":{"operation":"create-sks-cluster","nth":1},"fault":{"kind":"status","status":503,"retry_after":5}},
            {"match":{"operation":"create-*","probability":0.3},"fault":{"kind":"drop-after"}},
            {"fault":{"kind":"late","delay_ms":1000}},
            {"fault":{"kind":"operation-fails","reason":"partial","leaves_resource":true}}
        ]"#;
        let rules: Vec<FaultRule> = serde_json::from_str(text).expect("rules");
        assert!(rules[1].when.names("create-api-key"));
        assert!(!rules[0].when.names("create-sks-nodepool"));
        assert!(serde_json::from_str::<FaultRule>(r#"{"fault":{"kind":"nonsense"}}"#).is_err());
    }
}
