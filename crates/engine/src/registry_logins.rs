//! Logins to image registries. Whoever runs the engine keeps them on its host;
//! plans name them, and the engine reads them when it makes a Secret of one.

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
