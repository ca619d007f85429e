//! Compact JSON Web Signatures in one form only: Ed25519, with a header of
//! exactly `alg`, `kid` and `typ`, and a payload in canonical JSON.
//!
//! Every freedom that the standard gives is a way to present one message as
//! two, so none is accepted: equal content has equal bytes here.

use data_encoding::BASE64URL_NOPAD;
use exokit_model::canonical::{CanonicalError, to_canonical_bytes};
use exokit_model::ids::KeyId;
use exokit_model::text::excerpt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::{PublicKey, SecretKey};

/// What a signature is for. A message signed for one purpose is refused for
/// every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// Value of `typ` in the header.
    pub typ: &'static str,
    /// Longest accepted message in bytes.
    pub bytes_max: usize,
}

/// A vote on a plan.
pub const APPROVAL: Purpose = Purpose { typ: "exokit-approval+jwt", bytes_max: 16 << 10 };

/// A roster with its policy.
pub const ROSTER: Purpose = Purpose { typ: "exokit-roster+jwt", bytes_max: 256 << 10 };

/// Why a text is not a valid signed message.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// Longer than allowed.
    #[error("it has {found} bytes, at most {max} are accepted")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// Not three parts of base64url.
    #[error("it is not three parts of base64url separated by dots")]
    Form,
    /// The header has other members, another order or another algorithm.
    #[error("its header is not exactly alg EdDSA, kid and typ")]
    Header,
    /// Made for another purpose.
    #[error("it is a \"{}\"", excerpt(.0))]
    WrongType(String),
    /// The signature does not verify.
    #[error("its signature does not verify")]
    BadSignature,
    /// The payload is not what it should be.
    #[error("its payload cannot be read: {}", excerpt(.0))]
    Payload(#[source] serde_json::Error),
    /// The payload is not in canonical form.
    #[error("its payload is not in canonical form")]
    NotCanonical,
    /// The payload cannot be written.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: KeyId,
    typ: String,
}

/// A message whose form is checked and whose signature is not.
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
    kid: KeyId,
}

/// Signs `payload` for a purpose.
///
/// # Errors
/// When the payload has no canonical form or the message would be too large.
pub fn sign<T: Serialize>(purpose: Purpose, key: &SecretKey, payload: &T) -> Result<String, JwsError> {
    let header = Header { alg: "EdDSA".to_owned(), kid: key.public().id(), typ: purpose.typ.to_owned() };
    let mut text = BASE64URL_NOPAD.encode(&to_canonical_bytes("a token header", &header)?);
    text.push('.');
    BASE64URL_NOPAD.encode_append(&to_canonical_bytes("a token payload", payload)?, &mut text);
    let signature = key.sign(text.as_bytes());
    text.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut text);
    check_length(purpose, &text)?;
    Ok(text)
}

fn check_length(purpose: Purpose, text: &str) -> Result<(), JwsError> {
    match text.len() <= purpose.bytes_max {
        true => Ok(()),
        false => Err(JwsError::TooLarge { found: text.len(), max: purpose.bytes_max }),
    }
}

impl<'a> Unverified<'a> {
    /// Checks length, form, header and purpose.
    ///
    /// # Errors
    /// When any of them is not as it must be.
    pub fn parse(purpose: Purpose, text: &'a str) -> Result<Self, JwsError> {
        check_length(purpose, text)?;
        let (signed, signature) = text.rsplit_once('.').ok_or(JwsError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Form)?;
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JwsError::Form);
        let header_bytes = decode(header)?;
        let header: Header = serde_json::from_slice(&header_bytes).map_err(|_| JwsError::Header)?;
        if header.alg != "EdDSA" || to_canonical_bytes("a token header", &header)? != header_bytes {
            return Err(JwsError::Header);
        }
        if header.typ != purpose.typ {
            return Err(JwsError::WrongType(header.typ));
        }
        Ok(Self { signed, payload: decode(payload)?, signature: decode(signature)?, kid: header.kid })
    }

    /// The key that it says it is signed with.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Checks the signature with `key`, then reads the payload.
    ///
    /// # Errors
    /// When the signature is not by `key`, or the payload is not the
    /// canonical form of a `T`.
    pub fn verify<T: Serialize + DeserializeOwned>(self, key: &PublicKey) -> Result<T, JwsError> {
        if key.id() != self.kid || !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(JwsError::BadSignature);
        }
        self.read()
    }

    /// Reads the payload without looking at the signature: to show it to a
    /// person, never to decide by it.
    ///
    /// # Errors
    /// When the payload is not the canonical form of a `T`.
    pub fn read<T: Serialize + DeserializeOwned>(self) -> Result<T, JwsError> {
        let value: T = serde_json::from_slice(&self.payload).map_err(JwsError::Payload)?;
        match to_canonical_bytes("a token payload", &value)? == self.payload {
            true => Ok(value),
            false => Err(JwsError::NotCanonical),
        }
    }
}
