//! Logins to image registries. The operator keeps them on the engine's host. A
//! plan names one, and the engine reads it when it makes the Secret.

use secrecy::SecretString;

/// Where logins are kept.
pub trait RegistryLogins: Send + Sync {
    /// The login of a name, as the `config.json` of a Docker client.
    ///
    /// # Errors
    /// When there is none, or when it cannot be used.
    fn read(&self, name: &str) -> Result<SecretString, NoLogin>;
}

/// Why a login cannot be had. It shows nothing of what was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NoLogin {
    /// The reason.
    pub why: String,
    /// What to do.
    pub hint: String,
}
