//! The evidence: the state of an environment in cloud, cluster and ledger.

use std::collections::BTreeMap;

use exokit_model::cost::ApprovalLevel;
use serde_json::Value;

/// Everything that was observed. Documents are as cloud and cluster gave them; a
/// list holds everything of the kind that belongs to the environment, made by
/// exokit or not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// How it was made.
    pub provision: ProvisionEvidence,
    /// The SKS cluster.
    pub cluster: Option<Value>,
    /// Its nodepools.
    pub nodepools: Vec<Value>,
    /// Names of instance types, such as `standard.small`, by id.
    pub instance_types: BTreeMap<String, String>,
    /// The security groups of its machines, with their rules.
    pub security_groups: Vec<Value>,
    /// The managed databases.
    pub databases: Vec<Value>,
    /// The buckets.
    pub buckets: Vec<BucketEvidence>,
    /// The block storage volumes.
    pub volumes: Vec<Value>,
    /// The load balancers.
    pub load_balancers: Vec<Value>,
    /// Kubernetes objects: nodes and namespaces, role bindings for the whole
    /// cluster, and everything in the namespace of the environment.
    pub objects: Vec<Value>,
}

/// What the ledger says of the making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProvisionEvidence {
    /// Whether the operation succeeded.
    pub succeeded: bool,
    /// The level for which its votes verified when it began, if they did.
    pub approved_level: Option<ApprovalLevel>,
    /// Names of its secrets that stand in a record of the ledger.
    pub secrets_in_ledger: Vec<String>,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEvidence {
    /// Its name.
    pub name: String,
    /// Whether everyone may read it.
    pub is_public: bool,
}

impl Evidence {
    /// The objects of a kind, in order of their names.
    pub(crate) fn of_kind<'e>(&'e self, kind: &str) -> Vec<&'e Value> {
        let mut found: Vec<&Value> = self.objects.iter().filter(|object| object["kind"] == kind).collect();
        found.sort_by_key(|object| name(object));
        found
    }

    /// The object of a kind and name.
    pub(crate) fn object(&self, kind: &str, wanted: &str) -> Option<&Value> {
        self.of_kind(kind).into_iter().find(|object| name(object) == wanted)
    }
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// A text in a document; empty when it is not there.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number in a document; `-` when it is not there.
pub(crate) fn number(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).filter(|found| found.is_number()).map_or("-".to_owned(), ToString::to_string)
}

/// A list in a document; empty when it is not there.
pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
