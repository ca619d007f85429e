//! Faults on order: which requests they hit and what they do.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::latency::Range;

/// What a file of faults and latencies holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Faults on order.
    pub faults: Vec<FaultRule>,
    /// Latencies by operation id, in place of the measured ones.
    pub latencies: BTreeMap<String, Range>,
}

impl Schedule {
    /// Reads a file: an object with `faults` and `latencies`, or an array that
    /// holds faults alone.
    ///
    /// # Errors
    /// When it is neither, or orders what makes no sense.
    pub fn read(text: &[u8]) -> serde_json::Result<Self> {
        let schedule: Self = match text.trim_ascii_start().first() {
            Some(b'[') => Self { faults: serde_json::from_slice(text)?, ..Self::default() },
            _ => serde_json::from_slice(text)?,
        };
        match schedule.nonsense() {
            Some(nonsense) => Err(serde_json::Error::custom(nonsense)),
            None => Ok(schedule),
        }
    }

    /// What no world can do, in words.
    fn nonsense(&self) -> Option<String> {
        let latency = self.latencies.iter().find(|(_, range)| !is_sensible(**range));
        let latency = latency.map(|(operation, _)| {
            format!("the latency of {operation} must go from low_ms up to high_ms, at most {DELAY_MS_MAX}")
        });
        latency.or_else(|| {
            let wrong =
                |(at, rule): (usize, &FaultRule)| Some(format!("fault {}: {}", at + 1, rule.nonsense()?));
            self.faults.iter().enumerate().find_map(wrong)
        })
    }
}

/// Longest latency or delay that a file can ask for: a day.
const DELAY_MS_MAX: u64 = 86_400_000;
/// How much slower a file can make an operation.
const FACTOR_MAX: f64 = 1_000.0;

fn is_sensible(range: Range) -> bool {
    range.low_ms <= range.high_ms && range.high_ms <= DELAY_MS_MAX
}

fn is_delay(ms: i64) -> bool {
    u64::try_from(ms).is_ok_and(|ms| ms <= DELAY_MS_MAX)
}

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

impl FaultRule {
    fn nonsense(&self) -> Option<String> {
        let unlikely = self.when.probability.is_some_and(|p| !(0.0..=1.0).contains(&p));
        match (&self.fault, unlikely) {
            (_, true) => Some("probability must be from 0 to 1".to_owned()),
            (Fault::Slow { factor }, _) if !(0.0..=FACTOR_MAX).contains(factor) => {
                Some(format!("factor must be from 0 to {FACTOR_MAX}"))
            }
            (Fault::Late { delay_ms: ms } | Fault::ListLag { ms }, _) if !is_delay(*ms) => {
                Some(format!("a delay must be from 0 to {DELAY_MS_MAX} ms"))
            }
            (Fault::Status { status, .. }, _) if !(100..=599).contains(status) => {
                Some("status must be from 100 to 599".to_owned())
            }
            _ => None,
        }
    }
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
    /// The reply has a field that no client knows, and an unknown word in
    /// place of its state.
    Strange,
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
    fn a_file_holds_faults_and_latencies_or_faults_alone() {
        let both = br#" {"faults":[{"fault":{"kind":"garbage"}}],"latencies":{"create-sks-cluster":{"low_ms":1,"high_ms":2}}}"#;
        let read = Schedule::read(both).expect("a schedule");
        assert_eq!((read.faults.len(), read.latencies["create-sks-cluster"]), (1, Range::new(1, 2)));
        let alone = Schedule::read(br#"[{"fault":{"kind":"garbage"}}]"#).expect("rules alone");
        assert_eq!((alone.faults, alone.latencies.len()), (read.faults, 0));
        for wrong in [
            "",
            "7",
            r#"{"latency":{}}"#,
            r#"{"latencies":{"x":{"low_ms":-1,"high_ms":2}}}"#,
            r#"{"latencies":{"x":{"low_ms":3,"high_ms":2}}}"#,
            r#"{"latencies":{"x":{"low_ms":0,"high_ms":18446744073709551615}}}"#,
            r#"[{"fault":{"kind":"slow","factor":-2.5}}]"#,
            r#"[{"fault":{"kind":"slow","factor":1e300}}]"#,
            r#"[{"fault":{"kind":"late","delay_ms":9223372036854775807}}]"#,
            r#"[{"fault":{"kind":"list-lag","ms":-1}}]"#,
            r#"[{"fault":{"kind":"status","status":7}}]"#,
            r#"[{"match":{"probability":2.0},"fault":{"kind":"garbage"}}]"#,
        ] {
            assert!(Schedule::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

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
