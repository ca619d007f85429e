//! Names and identifiers: one newtype per meaning, each checked on entry.
//!
//! Every text that can reach a URL, a file name, a label or a log line passes
//! through one of these types, so hostile characters are refused once, here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text is not a valid name or identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {rule}")]
pub struct InvalidId {
    /// Which sort of name was expected, for instance `environment name`.
    pub what: &'static str,
    /// The offending text, shortened to 80 characters.
    pub text: String,
    /// The rule that it breaks, in words.
    pub rule: &'static str,
}

pub(crate) fn invalid(what: &'static str, text: &str, rule: &'static str) -> InvalidId {
    InvalidId { what, text: text.chars().take(80).collect(), rule }
}

/// The serialized form of a type, which is its text, and the schema of that.
macro_rules! text_form {
    ($name:ident, $description:expr, $pattern:expr) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = <Self as FromStr>::Err;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $crate::ids::text_schema($description, $pattern)
            }
        }
    };
}
pub(crate) use text_form;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                match check(text) {
                    true => Ok(Self(text.to_owned())),
                    false => Err(invalid($what, text, $rule)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_form!($name, concat!("A ", $what, ": ", $rule), $pattern);
    };
}

/// Lower-case letters, digits and inner single hyphens, starting with a letter.
fn is_slug(text: &str, length_max: usize) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= length_max
        && bytes[0].is_ascii_lowercase()
        && bytes[bytes.len() - 1] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// The JSON Schema of a text that `pattern` describes. It is for those who
/// write messages; what is accepted is decided by the parser alone.
pub(crate) fn text_schema(description: &str, pattern: &str) -> Schema {
    json_schema!({ "type": "string", "description": description, "pattern": pattern })
}

/// Pattern of a slug of at most 40 characters.
const SLUG_40: &str = "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$";

fn is_prefixed_base32(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == RANDOM_ID_CHARS
            && rest.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
    })
}

/// Characters of base32 in a random identifier: 80 bits.
const RANDOM_ID_CHARS: usize = 16;

/// Longest environment name. A bucket is called
/// `<environment>-<suffix>-<10 characters>` and has at most 63 characters.
const ENVIRONMENT_NAME_CHARS_MAX: usize = 40;

text_id!(
    /// Name of an environment, unique in a registry.
    EnvironmentName,
    "environment name",
    "use 1 to 40 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen",
    SLUG_40,
    |text| is_slug(text, ENVIRONMENT_NAME_CHARS_MAX)
);
text_id!(
    /// An Exoscale zone such as `ch-dk-2`.
    Zone,
    "zone",
    "a zone looks like ch-dk-2",
    "^[a-z][a-z0-9-]{0,17}-[a-z0-9]{1,18}$",
    |text| is_slug(text, 20) && text.contains('-')
);
text_id!(
    /// Key of a node in a resource graph, such as `cluster`.
    NodeKey,
    "node key",
    "use lower-case letters, digits and hyphens",
    "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
    |text| is_slug(text, 63)
);
text_id!(
    /// A person who may request or approve.
    PersonId,
    "person",
    "use 1 to 40 lower-case letters, digits and hyphens, starting with a letter",
    SLUG_40,
    |text| is_slug(text, 40)
);
text_id!(
    /// A role of a person in the roster, such as `platform`.
    RoleName,
    "role",
    "use 1 to 40 lower-case letters, digits and hyphens, starting with a letter",
    SLUG_40,
    |text| is_slug(text, 40)
);
text_id!(
    /// Identifies an approval key: the first 16 hexadecimal digits of the
    /// SHA-256 of the public key.
    KeyId,
    "key id",
    "a key id is 16 hexadecimal digits",
    "^[0-9a-f]{16}$",
    |text| text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);
text_id!(
    /// Identifies one request for a change, and the plan made from it. Random,
    /// or derived from the request's idempotency key.
    PlanId,
    "plan id",
    "a plan id is plan_ and 16 characters",
    "^plan_[a-z2-7]{16}$",
    |text| is_prefixed_base32(text, "plan_")
);
text_id!(
    /// One run of an approved plan. Derived from the plan's id, because each
    /// plan executes once.
    OperationId,
    "operation id",
    "an operation id is op_ and 16 characters",
    "^op_[a-z2-7]{16}$",
    |text| is_prefixed_base32(text, "op_")
);
text_id!(
    /// Mark of ownership carried by a created resource: an HMAC under a key
    /// that only the engine holds, fixed before the plan is hashed.
    OwnerToken,
    "owner token",
    "an owner token is 16 characters of lower-case base32",
    "^[a-z2-7]{16}$",
    |text| is_prefixed_base32(text, "")
);
text_id!(
    /// What the cloud calls a resource: a UUID, a service name, a bucket name
    /// or an API key. Never contains a character that could leave its URL
    /// path segment.
    ResourceId,
    "resource id",
    "use 1 to 191 letters, digits, dots, hyphens and underscores",
    "^[A-Za-z0-9._-]{1,191}$",
    |text| !text.is_empty()
        && text.len() <= 191
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
);

impl PlanId {
    /// Makes a plan id from 10 random bytes.
    #[must_use]
    pub fn from_random(random: [u8; 10]) -> Self {
        Self(format!("plan_{}", base32_lower(&random)))
    }

    /// Makes a plan id from the first 80 bits of a MAC.
    #[must_use]
    pub fn from_mac(mac: &[u8; 32]) -> Self {
        Self(format!("plan_{}", base32_lower(&mac[..10])))
    }

    /// The one operation that can run this plan.
    #[must_use]
    pub fn operation(&self) -> OperationId {
        OperationId(format!("op_{}", &self.0["plan_".len()..]))
    }
}

impl OperationId {
    /// The plan that this operation runs.
    #[must_use]
    pub fn plan(&self) -> PlanId {
        PlanId(format!("plan_{}", &self.0["op_".len()..]))
    }
}

impl OwnerToken {
    /// Makes a token from the first 80 bits of a MAC.
    #[must_use]
    pub fn from_mac(mac: &[u8; 32]) -> Self {
        Self(base32_lower(&mac[..10]))
    }

    /// The short form that names with a tight length limit end with.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

/// RFC 4648 base32 in lower case without padding.
#[must_use]
pub fn base32_lower(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// A template: `T` and a number. Ordered by number, so that T10 follows T9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct TemplateId(pub u16);

impl FromStr for TemplateId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let number = text.strip_prefix(['T', 't']).and_then(|digits| {
            let length = (1..=3).contains(&digits.len()) && !digits.starts_with('0');
            // The parser of numbers would take a sign.
            let plain = length && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        });
        number.map(Self).ok_or_else(|| invalid("template", text, "a template is T and a number, such as T3"))
    }
}

text_form!(TemplateId, "A template: T and a number, such as T3", "^[Tt][1-9][0-9]{0,2}$");

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for text in ["", "-a", "a-", "A", "a_b", "a/b", "../x", "a\0", "a b", "ä", "1a", &"a".repeat(41)] {
            assert!(text.parse::<EnvironmentName>().is_err(), "{text:?}");
        }
        for text in ["", ".", "..", "a/b", "a?b", "a%2e", "a#", "a b", "a\n"] {
            assert!(text.parse::<ResourceId>().is_err(), "{text:?}");
        }
        assert!("stargate-t1-20261123".parse::<EnvironmentName>().is_ok());
    }

    #[test]
    fn templates_are_ordered_by_number() {
        let mut ids: Vec<TemplateId> = ["T10", "T9", "t1"].iter().map(|t| t.parse().unwrap()).collect();
        ids.sort();
        assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), ["T1", "T9", "T10"]);
        for text in ["T", "T0", "T01", "T+0", "T+3", "X1", "T1x", "T9999"] {
            assert!(text.parse::<TemplateId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_operation_id_leads_back_to_its_plan() {
        let plan = PlanId::from_random([7; 10]);
        assert_eq!(plan.operation().plan(), plan);
        assert_eq!(plan.to_string().parse::<PlanId>().unwrap(), plan);
    }
}
