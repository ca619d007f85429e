//! The engine's own four keys: one marks what it makes, one seals secrets, one
//! names plans after idempotency keys, and one seals plans that leave it.
//!
//! All are derived from one root secret, which the caller reads from a file
//! or from a secret store. None is an approval key, and none is known to the
//! bus or the cloud.

use chacha20poly1305::aead::{Aead, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use data_encoding::BASE64;
use exokit_model::canonical::Digest;
use exokit_model::event::Sealed;
use exokit_model::ids::{NodeKey, OperationId, OwnerToken, PersonId, PlanId};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of the root secret in bytes.
pub const ROOT_BYTES: usize = 32;

/// Length of a sealing nonce in bytes.
pub(crate) const NONCE_BYTES: usize = 12;

/// The keys. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct Keyring {
    owner: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    request: Zeroizing<[u8; 32]>,
    plan_seal: Zeroizing<[u8; 32]>,
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
        let derived = |domain: &str| Zeroizing::new(mac(root, &[domain.as_bytes()]));
        Self {
            owner: derived("exokit-owner/v1"),
            seal: derived("exokit-seal/v1"),
            request: derived("exokit-request/v1"),
            plan_seal: derived("exokit-plan-seal/v1"),
        }
    }

    /// The owner token of a node: fixed before the plan is hashed, equal for
    /// every attempt, and impossible to invent without the key.
    #[must_use]
    pub fn token(&self, plan: &PlanId, node: &NodeKey) -> OwnerToken {
        let parts = [b"token/v1".as_slice(), plan.as_str().as_bytes(), node.as_str().as_bytes()];
        OwnerToken::from_mac(&mac(&self.owner, &parts))
    }

    /// The id of the plan that a request with an idempotency key leads to:
    /// equal for the same key of the same requester, and nobody without the
    /// key of the engine can say which it will be.
    #[must_use]
    pub fn plan_id(&self, requester: &PersonId, key: &str) -> PlanId {
        let parts = [b"plan-id/v1".as_slice(), requester.as_str().as_bytes(), key.as_bytes()];
        PlanId::from_mac(&mac(&self.request, &parts))
    }

    /// The seal of a plan with this digest.
    #[must_use]
    pub fn seal_plan(&self, digest: &Digest) -> Digest {
        Digest(mac(&self.plan_seal, &[&digest.0]))
    }

    /// Whether it is the seal of a plan with this digest. How long it takes
    /// does not tell how much of it is right.
    #[must_use]
    pub fn opens_plan(&self, digest: &Digest, seal: &Digest) -> bool {
        hmac(&self.plan_seal, &[&digest.0]).verify_slice(&seal.0).is_ok()
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
    hmac(key, parts).finalize().into_bytes().into()
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
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
    fn plan_ids_differ_by_root_secret_requester_and_key() {
        let (one, two) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]));
        let person = |name: &str| name.parse::<PersonId>().unwrap();
        let id = one.plan_id(&person("dana"), "key-1");
        assert_eq!(id, Keyring::new(&[1; 32]).plan_id(&person("dana"), "key-1"));
        assert_eq!(id.to_string().parse::<PlanId>().unwrap(), id);
        let others = [
            two.plan_id(&person("dana"), "key-1"),
            one.plan_id(&person("alex"), "key-1"),
            one.plan_id(&person("dana"), "key-2"),
            // Where the name ends is part of it.
            one.plan_id(&person("danak"), "ey-1"),
            one.plan_id(&person("dana"), ""),
        ];
        assert!(others.iter().all(|other| *other != id), "{others:?}");
    }

    #[test]
    fn a_plan_is_known_by_its_seal_and_by_no_other() {
        let (one, two) = (Keyring::new(&[1; 32]), Keyring::new(&[2; 32]));
        let (digest, other) = (Digest::of("test", b"plan"), Digest::of("test", b"other plan"));
        let seal = one.seal_plan(&digest);
        assert!(one.opens_plan(&digest, &seal));
        assert!(!one.opens_plan(&other, &seal));
        assert!(!two.opens_plan(&digest, &seal));
        for bit in 0..256 {
            let mut altered = seal;
            altered.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!one.opens_plan(&digest, &altered), "{bit}");
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
