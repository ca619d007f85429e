//! Secret slots: places of a request for values that are known only at run time
//! and recorded nowhere.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::NodeKey;

/// A secret value that a plan names and does not hold. It is filled in when the
/// request is sent, in base64, as Kubernetes takes the data of a `Secret`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSlot {
    /// The resource that has the secret; for a login, the object that gets it.
    pub node: NodeKey,
    /// Which of its secrets.
    pub value: SecretValue,
}

/// A value of a resource that is known only once it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretValue {
    /// Address of a database with user and password in it.
    DatabaseUri,
    /// Name of its first user.
    DatabaseUser,
    /// Password of that user.
    DatabasePassword,
    /// Name of a bucket.
    BucketName,
    /// Public half of the key to a bucket.
    AccessKey,
    /// Secret half of the key to a bucket.
    SecretKey,
    /// The login to an image registry that the engine's host has.
    RegistryLogin,
}

impl SecretValue {
    /// Those that are handed out to people.
    pub const FOR_PEOPLE: [SecretValue; 5] = [
        SecretValue::DatabaseUri,
        SecretValue::DatabaseUser,
        SecretValue::DatabasePassword,
        SecretValue::AccessKey,
        SecretValue::SecretKey,
    ];
}

/// The name in plans.
impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
