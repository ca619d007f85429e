//! Canonical JSON (RFC 8785) and the digests taken over it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::ids::text_form;

/// A value that cannot be written as canonical JSON, for instance because a
/// map has keys that are not text.
#[derive(Debug, thiserror::Error)]
#[error("writing {what} as canonical JSON")]
pub struct CanonicalError {
    what: &'static str,
    #[source]
    source: serde_json::Error,
}

/// Largest number in canonical JSON: a double holds every whole number up to it.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The canonical bytes of `value`: equal values give equal bytes, and values
/// that differ give bytes that differ. The form of the standard has doubles
/// alone, in which neighbours beyond 2^53 are one number: what is signed or
/// hashed as one could be read as the other, so they are refused. A double
/// beyond it is refused too: it is written as a whole number.
///
/// # Errors
/// When `value` has no JSON form, or has a number beyond 2^53 - 1.
pub fn to_canonical_bytes<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, CanonicalError> {
    let failed = |source| CanonicalError { what, source };
    let read = serde_json::to_value(value).map_err(failed)?;
    if is_plain(&read) {
        return serde_json::to_vec(&read).map_err(failed);
    }
    match is_exact(&read) {
        true => serde_json_canonicalizer::to_vec(value).map_err(failed),
        false => Err(failed(serde_json::Error::custom("a number is beyond 9007199254740991"))),
    }
}

/// Whether the canonical form is what `serde_json` writes anyway, many times
/// faster: it sorts fields by their bytes, which is the order of the standard
/// for ASCII, and only the way in which it writes fractions differs.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64() && is_exact(value),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(fields) => fields.iter().all(|(name, value)| name.is_ascii() && is_plain(value)),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Whether every number in it is read as it was written.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => whole <= NUMBER_MAX,
            (None, Some(negative)) => negative.unsigned_abs() <= NUMBER_MAX,
            (None, None) => number.as_f64().is_some_and(|double| double.abs() <= NUMBER_MAX as f64),
        },
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(fields) => fields.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
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

text_form!(Digest, "A SHA-256 digest: 64 lower-case hexadecimal digits", "^[0-9a-f]{64}$");

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

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any document, with names and numbers for which the two ways of writing
    /// differ among them.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
            any::<f64>().prop_map(|any| Value::from(if any.abs() > NUMBER_MAX as f64 {
                1.0 / any
            } else {
                any
            })),
            "(\\PC|[\"\\\\/\u{0}-\u{1f}\u{7f}]){0,8}".prop_map(Value::from),
        ];
        let name = prop_oneof!["[ -~]{0,3}", "[a\"\u{1}\u{e9}\u{ffff}\u{1f600}]{0,3}"];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::from),
                btree_map(name.clone(), inner, 0..5).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_plain_value_is_written_as_the_standard_says(value in document()) {
            let standard = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(to_canonical_bytes("a test", &value).unwrap(), standard);
        }
    }

    #[test]
    fn names_are_in_the_order_of_the_standard() {
        // Some feature of some crate may one day make `serde_json` keep the order
        // in which fields were put in.
        #[derive(Serialize)]
        struct Unsorted {
            b: u8,
            a: u8,
        }
        assert_eq!(to_canonical_bytes("a test", &Unsorted { b: 2, a: 1 }).unwrap(), br#"{"a":1,"b":2}"#);
        // By bytes it is the other way round.
        let value = json!({"\u{ffff}": 1, "\u{1f600}": 2});
        let written = to_canonical_bytes("a test", &value).unwrap();
        assert_eq!(written, "{\"\u{1f600}\":2,\"\u{ffff}\":1}".as_bytes());
        assert_eq!(to_canonical_bytes("a test", &json!([1.0, 1e-7, -0.0])).unwrap(), b"[1,1e-7,0]");
    }

    #[test]
    fn a_number_that_has_two_readings_has_no_canonical_form() {
        let exact = [json!(NUMBER_MAX), json!({"a": [-9_007_199_254_740_991_i64, 0.5, 1e-300]})];
        for value in exact {
            let bytes = to_canonical_bytes("a test", &value).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }
        // The doubles are written as whole numbers that would be refused.
        let doubles =
            [json!(1_903_321_168_118_294_000.0), json!({"a": -9_007_199_254_740_992.0}), json!(1e300)];
        let whole = [json!(NUMBER_MAX + 1), json!([{"a": u64::MAX}]), json!(i64::MIN)];
        for value in whole.into_iter().chain(doubles) {
            assert!(to_canonical_bytes("a test", &value).is_err(), "{value}");
        }
    }
}
