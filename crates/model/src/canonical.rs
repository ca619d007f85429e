//! Canonical JSON (RFC 8785) and the digests taken over it.

use std::fmt;
use std::str::FromStr;

use serde::ser::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A value that cannot be written as canonical JSON, for instance because a
/// map has keys that are not text.
#[derive(Debug, thiserror::Error)]
#[error("writing {what} as canonical JSON")]
pub struct CanonicalError {
    what: &'static str,
    #[source]
    source: serde_json::Error,
}

/// Largest whole number in canonical JSON: a double holds every one up to it.
const WHOLE_MAX: u64 = (1 << 53) - 1;

/// The canonical bytes of `value`: equal values give equal bytes, and values
/// that differ give bytes that differ. The form of the standard has doubles
/// alone, in which neighbours beyond 2^53 are one number: what is signed or
/// hashed as one could be read as the other, so they are refused.
///
/// # Errors
/// When `value` has no JSON form, or has a whole number beyond 2^53 - 1.
pub fn to_canonical_bytes<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, CanonicalError> {
    let failed = |source| CanonicalError { what, source };
    match is_exact(&serde_json::to_value(value).map_err(failed)?) {
        true => serde_json_canonicalizer::to_vec(value).map_err(failed),
        false => Err(failed(serde_json::Error::custom("a whole number is beyond 9007199254740991"))),
    }
}

/// Whether every whole number in it survives as a double.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => whole <= WHOLE_MAX,
            (None, Some(negative)) => negative.unsigned_abs() <= WHOLE_MAX,
            (None, None) => true,
        },
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(fields) => fields.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes` under a domain prefix, so that a digest made for
    /// one purpose can never be presented for another.
    #[must_use]
    pub fn of(domain: &str, bytes: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(domain.as_bytes());
        hasher.update([0]);
        hasher.update(bytes);
        Self(hasher.finalize().into())
    }

    /// The first 12 digits: enough for a person to tell two apart.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("a digest is 64 lower-case hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidDigest)?;
        bytes.try_into().map(Self).map_err(|_| InvalidDigest)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;
    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_that_has_two_readings_has_no_canonical_form() {
        let exact = [json!(WHOLE_MAX), json!({"a": [-9_007_199_254_740_991_i64, 0.5, 1e300]})];
        for value in exact {
            let bytes = to_canonical_bytes("a test", &value).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }
        for value in [json!(WHOLE_MAX + 1), json!([{"a": u64::MAX}]), json!(i64::MIN)] {
            assert!(to_canonical_bytes("a test", &value).is_err(), "{value}");
        }
    }
}
