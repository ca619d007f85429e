//! Keys that sign votes and rosters, and for nothing else.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use exokit_model::ids::KeyId;
use pkcs8::pkcs5::{EncryptionScheme, pbes2};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use sha2::{Digest as _, Sha256};

/// Rounds of PBKDF2-HMAC-SHA256 between passphrase and encryption key.
const PASSPHRASE_ROUNDS: u32 = 600_000;

/// Most rounds that a file may ask for: some seconds.
const PASSPHRASE_ROUNDS_MAX: u32 = 10_000_000;

/// Why a key cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a usable public key.
    #[error("a public key is 32 bytes in base64url without padding, on the curve and not weak")]
    Public,
    /// Not an encrypted private key.
    #[error("this is not an encrypted private key in PKCS#8 PEM")]
    Pem,
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// The key could not be encrypted.
    #[error("encrypting the key failed: {0}")]
    Encrypt(pkcs8::Error),
}

impl KeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            KeyError::Public => "take the public key that `exokit approver` printed",
            KeyError::Pem => "point to the file that `exokit approver` wrote",
            KeyError::Passphrase => "try the passphrase again; a lost one needs a new key",
            KeyError::Encrypt(_) => "report this; it should not happen",
        }
    }
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the form that stands in a roster.
    ///
    /// # Errors
    /// When it is not a valid Ed25519 key, or a weak one.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| KeyError::Public)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Public)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Public)?;
        match key.is_weak() {
            true => Err(KeyError::Public),
            false => Ok(Self(key)),
        }
    }

    /// The form that stands in a roster.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.as_bytes())
    }

    /// The first 16 hexadecimal digits of the SHA-256 of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Sha256::digest(self.0.as_bytes());
        data_encoding::HEXLOWER.encode(&digest[..8]).parse().expect("16 hexadecimal digits are a key id")
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A private key. Its memory is overwritten when it is dropped and it is
/// never printed.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes a key from 32 random bytes.
    #[must_use]
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&random))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The key as PKCS#8 PEM, encrypted with AES-256 under a key derived from
    /// the passphrase. `salt` and `iv` must be fresh random bytes.
    ///
    /// # Errors
    /// When the encryption fails.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &str,
        salt: &[u8; 16],
        iv: [u8; 16],
    ) -> Result<String, KeyError> {
        let plain = self.0.to_pkcs8_der().map_err(KeyError::Encrypt)?;
        let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(PASSPHRASE_ROUNDS, salt, iv)
            .map_err(|error| KeyError::Encrypt(error.into()))?;
        let info = PrivateKeyInfoRef::try_from(plain.as_bytes()).map_err(KeyError::Encrypt)?;
        let encrypted = info.encrypt_with_params(parameters, passphrase).map_err(KeyError::Encrypt)?;
        let pem = encrypted
            .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
            .map_err(|error| KeyError::Encrypt(error.into()))?;
        Ok(pem.as_str().to_owned())
    }

    /// Opens what [`SecretKey::to_encrypted_pem`] wrote.
    ///
    /// # Errors
    /// When it is not such a file, or the passphrase is wrong.
    pub fn from_encrypted_pem(pem: &str, passphrase: &str) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(pem).map_err(|_| KeyError::Pem)?;
        if label != "ENCRYPTED PRIVATE KEY" {
            return Err(KeyError::Pem);
        }
        let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::Pem)?;
        if !is_affordable(&info.encryption_algorithm) {
            return Err(KeyError::Pem);
        }
        let plain = info.decrypt(passphrase).map_err(|_| KeyError::Passphrase)?;
        SigningKey::from_pkcs8_der(plain.as_bytes()).map(Self).map_err(|_| KeyError::Passphrase)
    }
}

/// Whether opening the key takes bounded time and memory. The file says how
/// much of both its derivation takes, up to hours and all the memory there is.
fn is_affordable(scheme: &EncryptionScheme) -> bool {
    let derivation = scheme.pbes2().and_then(|parameters| parameters.kdf.pbkdf2());
    derivation.is_some_and(|parameters| parameters.iteration_count <= PASSPHRASE_ROUNDS_MAX)
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().id())
    }
}
