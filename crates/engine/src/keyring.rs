//! The engine's own two keys: one marks what it makes, one seals secrets.
//!
//! Both are derived from one root secret, which the caller reads from a file
//! or from a secret store. Neither is an approval key, and neither is known to
//! the bus or the cloud.

use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use data_encoding::BASE64;
use exokit_model::event::Sealed;
use exokit_model::ids::{NodeKey, OperationId, OwnerToken, PlanId};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of the root secret in bytes.
pub const ROOT_BYTES: usize = 32;

/// Length of a sealing nonce in bytes.
pub const NONCE_BYTES: usize = 12;

/// The keys. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct Keyring {
    owner: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(..)")
    }
}

/// A sealed secret that cannot be opened: another key, or altered bytes.
#[derive(Debug, thiserror::Error)]
#[error("a sealed secret cannot be opened: it was sealed with another root secret, or it was altered")]
pub struct SealError;

impl Keyring {
    /// Derives the keys.
    #[must_use]
    pub fn new(root: &[u8; ROOT_BYTES]) -> Self {
        Self {
            owner: Zeroizing::new(mac(root, &[b"exokit-owner/v1"])),
            seal: Zeroizing::new(mac(root, &[b"exokit-seal/v1"])),
        }
    }

    /// The owner token of a node: fixed before the plan is hashed, equal for
    /// every attempt, and impossible to invent without the key.
    #[must_use]
    pub fn token(&self, plan: &PlanId, node: &NodeKey) -> OwnerToken {
        let parts = [b"token/v1".as_slice(), plan.as_str().as_bytes(), node.as_str().as_bytes()];
        OwnerToken::from_mac(&mac(&self.owner, &parts))
    }

    /// Seals a secret for one node of one operation. A nonce must never be
    /// used twice; a random one is given.
    ///
    /// # Errors
    /// When the secret is too long for the cipher, which no secret of the
    /// cloud is.
    pub fn seal(
        &self,
        operation: &OperationId,
        node: &NodeKey,
        secret: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Sealed, SealError> {
        let aad = format!("{operation} {node}");
        let payload = Payload { msg: secret.as_bytes(), aad: aad.as_bytes() };
        let ciphertext = self.cipher().encrypt(&Nonce::from(nonce), payload).map_err(|_| SealError)?;
        Ok(Sealed { nonce: BASE64.encode(&nonce), ciphertext: BASE64.encode(&ciphertext) })
    }

    /// Opens what [`Keyring::seal`] sealed.
    ///
    /// # Errors
    /// When it was sealed for something else, or altered.
    pub fn open(
        &self,
        operation: &OperationId,
        node: &NodeKey,
        sealed: &Sealed,
    ) -> Result<Zeroizing<String>, SealError> {
        let aad = format!("{operation} {node}");
        let nonce: [u8; NONCE_BYTES] = BASE64
            .decode(sealed.nonce.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(SealError)?;
        let ciphertext = BASE64.decode(sealed.ciphertext.as_bytes()).map_err(|_| SealError)?;
        let payload = Payload { msg: &ciphertext, aad: aad.as_bytes() };
        let plain = self.cipher().decrypt(&Nonce::from(nonce), payload).map_err(|_| SealError)?;
        String::from_utf8(plain).map(Zeroizing::new).map_err(|_| SealError)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Key::from(*self.seal))
    }
}

/// HMAC-SHA256 over length-prefixed parts.
fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> NodeKey {
        text.parse().unwrap()
    }

    #[test]
    fn tokens_differ_by_key_plan_and_node() {
        let (one, two) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]));
        let (plan, other) = (PlanId::from_random([1; 10]), PlanId::from_random([2; 10]));
        let token = one.token(&plan, &key("cluster"));
        assert_eq!(token, one.token(&plan, &key("cluster")));
        for different in [
            two.token(&plan, &key("cluster")),
            one.token(&other, &key("cluster")),
            one.token(&plan, &key("bucket")),
        ] {
            assert_ne!(token, different);
        }
    }

    #[test]
    fn a_sealed_secret_opens_only_where_it_belongs() {
        let ring = Keyring::new(&[1; 32]);
        let (op, other) =
            (PlanId::from_random([1; 10]).operation(), PlanId::from_random([2; 10]).operation());
        let sealed = ring.seal(&op, &key("bucket-key"), "hunter2", [9; 12]).unwrap();
        assert!(!format!("{sealed:?} {ring:?}").contains("hunter2"));
        assert_eq!(*ring.open(&op, &key("bucket-key"), &sealed).unwrap(), "hunter2");
        assert!(ring.open(&other, &key("bucket-key"), &sealed).is_err());
        assert!(ring.open(&op, &key("cluster"), &sealed).is_err());
        assert!(Keyring::new(&[2; 32]).open(&op, &key("bucket-key"), &sealed).is_err());
    }
}
