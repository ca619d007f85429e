//! Secrets on their way to one recipient: sealed by HPKE (RFC 9180, base mode)
//! with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20Poly1305.
//!
//! The bus, a proxy and a log in between see the sealed text only.

use data_encoding::BASE64URL_NOPAD;
use exokit_model::access::{Access, RecipientKey};
use exokit_model::ids::EnvironmentName;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use serde::{Deserialize, Serialize};

/// The purpose, as HPKE's `info`.
const INFO: &[u8] = b"exokit-access/v1";

/// Length of an encapsulated key in bytes.
const ENCAPSULATED_BYTES: usize = 32;

/// Secrets or a kubeconfig, sealed to the recipient that asked for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SealedReply {
    /// Of which environment. It is authenticated as HPKE's `aad`.
    pub environment: EnvironmentName,
    /// What is in it.
    pub access: Access,
    /// Encapsulated key and ciphertext, in unpadded base64url. The plaintext is
    /// JSON: for secrets an object with their names and values, for a kubeconfig
    /// what `ClusterCredentials` describes.
    pub sealed: String,
    /// When the certificate in a kubeconfig ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Why something sealed cannot be opened, or cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The recipient's key is no point of the curve that can be used.
    #[error("the recipient key cannot be used")]
    Recipient,
    /// It is for another key or another environment, or it was altered.
    #[error("the reply was sealed for another key or another environment, or it was altered")]
    Open,
}

/// Seals a text for a recipient.
///
/// # Errors
/// When the key of the recipient cannot be used.
pub fn seal(
    recipient: &RecipientKey,
    environment: &EnvironmentName,
    text: &SecretString,
) -> Result<String, SealError> {
    let unusable = |_| SealError::Recipient;
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(recipient.as_bytes()).map_err(unusable)?;
    let aad = environment.as_str().as_bytes();
    let (encapsulated, ciphertext) =
        hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &key,
            INFO,
            text.expose_secret().as_bytes(),
            aad,
        )
        .map_err(unusable)?;
    let mut sealed = encapsulated.to_bytes().to_vec();
    sealed.extend(ciphertext);
    Ok(BASE64URL_NOPAD.encode(&sealed))
}

/// A key pair of a recipient, for one request. It is not written anywhere.
pub struct Recipient {
    private: SecretBox<[u8; 32]>,
    public: RecipientKey,
}

impl Recipient {
    /// The key pair that follows from 32 random bytes.
    #[must_use]
    pub fn new(random: &SecretBox<[u8; 32]>) -> Self {
        let (private, public) = X25519HkdfSha256::derive_keypair(random.expose_secret());
        let private = SecretBox::new(Box::new(private.to_bytes().into()));
        Self { private, public: RecipientKey::new(public.to_bytes().into()) }
    }

    /// The key to ask with.
    #[must_use]
    pub fn key(&self) -> &RecipientKey {
        &self.public
    }

    /// Opens what was sealed for this recipient.
    ///
    /// # Errors
    /// [`SealError::Open`].
    pub fn open(&self, environment: &EnvironmentName, sealed: &str) -> Result<SecretString, SealError> {
        let failed = |_| SealError::Open;
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).map_err(|_| SealError::Open)?;
        let (encapsulated, ciphertext) = bytes.split_at_checked(ENCAPSULATED_BYTES).ok_or(SealError::Open)?;
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(self.private.expose_secret());
        let key = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(failed)?;
        let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &private.map_err(failed)?,
            &key,
            INFO,
            ciphertext,
            environment.as_str().as_bytes(),
        )
        .map_err(failed)?;
        String::from_utf8(opened).map(SecretString::from).map_err(|_| SealError::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_recipient_opens_it_for_its_environment() {
        let recipient = |byte| Recipient::new(&SecretBox::new(Box::new([byte; 32])));
        let (one, other) = (recipient(1), recipient(2));
        let name: EnvironmentName = "first".parse().unwrap();
        let sealed = seal(one.key(), &name, &SecretString::from("pass")).unwrap();
        assert!(!sealed.contains("pass"));
        assert_eq!(one.open(&name, &sealed).unwrap().expose_secret(), "pass");
        assert_eq!(other.open(&name, &sealed).unwrap_err(), SealError::Open);
        assert_eq!(one.open(&"second".parse().unwrap(), &sealed).unwrap_err(), SealError::Open);
        assert_eq!(one.open(&name, &sealed[1..]).unwrap_err(), SealError::Open);
        assert_eq!(one.open(&name, "").unwrap_err(), SealError::Open);
        let zero = RecipientKey::new([0; 32]);
        assert_eq!(seal(&zero, &name, &SecretString::from("pass")).unwrap_err(), SealError::Recipient);
    }
}
