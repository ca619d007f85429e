//! Access of people and agents to what was built: secrets, and kubeconfigs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::ids::{InvalidId, invalid, text_form};
use crate::secret_slot::SecretValue;

/// Rights inside a cluster. Each has the rights of those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ClusterRole {
    /// Reads the namespace of the environment, without its secrets.
    #[default]
    Viewer,
    /// Changes the namespace of the environment and reads its secrets.
    Editor,
    /// Administers the cluster.
    Admin,
}

impl ClusterRole {
    /// Every role.
    pub const ALL: [ClusterRole; 3] = [ClusterRole::Viewer, ClusterRole::Editor, ClusterRole::Admin];

    /// The group in the client certificate. exokit binds the first two in the
    /// environment's namespace; Kubernetes binds the third by itself.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            ClusterRole::Viewer => "exokit:viewers",
            ClusterRole::Editor => "exokit:editors",
            ClusterRole::Admin => "system:masters",
        }
    }
}

impl fmt::Display for ClusterRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for ClusterRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no role: use viewer, editor or admin"))
    }
}

/// What is handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Access {
    /// Secret values of the environment's resources.
    Secrets {
        /// Which; empty stands for all.
        values: BTreeSet<SecretValue>,
    },
    /// A kubeconfig with a client certificate.
    Kubeconfig {
        /// The rights of its holder.
        role: ClusterRole,
        /// How long the certificate is valid, in seconds.
        ttl_seconds: u32,
    },
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::Secrets { values } if values.is_empty() => f.write_str("all secrets"),
            Access::Secrets { values } => {
                let names: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "the secrets {}", names.join(", "))
            }
            Access::Kubeconfig { role, ttl_seconds } => {
                write!(f, "a kubeconfig with the role {role} for {ttl_seconds} s")
            }
        }
    }
}

/// The X25519 public key of a recipient, in unpadded base64url. Only the holder
/// of the private key can open what is sealed to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct RecipientKey([u8; 32]);

impl RecipientKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for RecipientKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| invalid("recipient key", text, "32 bytes in unpadded base64url"))
    }
}

impl fmt::Display for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

text_form!(RecipientKey, "An X25519 public key: 32 bytes in unpadded base64url", "^[A-Za-z0-9_-]{43}$");

/// What a plan of access hands out, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessTerms {
    /// The secrets or the kubeconfig.
    pub access: Access,
    /// The key that it is sealed to, so that the approval covers the recipient.
    pub recipient: RecipientKey,
}

/// Credentials of a cluster. Its debug form does not show them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterCredentials {
    /// URL of the API server.
    pub server: String,
    /// The name in the server's certificate, where that is not the host of the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Authorities of the server, in PEM.
    pub certificate_authority: String,
    /// Certificate of the client, in PEM.
    pub client_certificate: String,
    /// Its key, in PEM.
    pub client_key: String,
    /// The namespace of the environment.
    pub namespace: String,
}

impl fmt::Debug for ClusterCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterCredentials").field("server", &self.server).finish_non_exhaustive()
    }
}

/// How the requester of an access was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequesterProof {
    /// By access to the state directory on this host.
    Local,
    /// By a bearer token of this agent with the scope `access`.
    Bearer,
    /// Not at all: the message names somebody.
    None,
}

impl fmt::Display for RequesterProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_key_has_one_text_form() {
        let key = RecipientKey::new([7; 32]);
        assert_eq!(key.to_string().parse::<RecipientKey>().unwrap(), key);
        for wrong in ["", "AA", &format!("{key}="), &"A".repeat(44)] {
            assert!(wrong.parse::<RecipientKey>().is_err(), "{wrong:?}");
        }
    }
}
