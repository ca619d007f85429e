//! Strict decoding of messages: bounded in length and depth, no field twice,
//! no unknown field, no character that a terminal or a reader could be misled
//! by, and the place of the first mistake in the answer.

use std::fmt;

use exokit_model::text::{excerpt, is_hazardous};
use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use crate::envelope::{Meta, check_key};
use crate::failure::{Class, Failure};
use crate::{MESSAGE_BYTES_MAX, REPLY_BYTES_MAX, SCHEMA_VERSION};

/// How deep objects and lists may be nested. The deepest message has 5.
const DEPTH_MAX: usize = 12;

/// Names of the fields of [`Meta`].
pub(crate) const META: [&str; 3] = ["schema_version", "requester", "idempotency_key"];

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any message that is taken.
    #[error("the message has {found} bytes, at most {most} are taken")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The longest that is taken.
        most: usize,
    },
    /// Not JSON, or not as strict as is asked for: what and where.
    #[error("{0}")]
    Malformed(String),
    /// JSON, but not this message.
    #[error("at {path}: {why}")]
    Field {
        /// Which field, such as `ask.ttl_seconds`.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A message of another version: what it says, or that it says nothing.
    #[error("at schema_version: {0}, this agent speaks version {SCHEMA_VERSION}")]
    Version(String),
}

impl DecodeError {
    /// As a reply, about an operation called `on`.
    #[must_use]
    pub fn failure(&self, on: &str) -> Failure {
        let (class, code, hint) = match self {
            DecodeError::TooLarge { .. } => (Class::TooLarge, "too-large", "send less"),
            DecodeError::Malformed(_) => (Class::Invalid, "malformed", "send one JSON object in UTF-8"),
            DecodeError::Field { .. } => {
                (Class::Invalid, "field", "`exokit schema` prints what each message may have")
            }
            DecodeError::Version(_) => (Class::Invalid, "schema-version", "add \"schema_version\": 1"),
        };
        Failure::new(class, code, "reading the message", on, &self.to_string(), hint)
    }
}

/// Reads the body of a request, without what stands around it.
///
/// # Errors
/// The first thing that is wrong.
pub fn body<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, DecodeError> {
    serde_path_to_error::deserialize(Named(Value::Object(fields))).map_err(|error| {
        let path = error.path().to_string();
        DecodeError::Field { path: excerpt(&path), why: excerpt(&error.into_inner()) }
    })
}

/// Takes the fields around a body out of a message.
///
/// # Errors
/// When they are missing or not as they must be.
pub fn meta(fields: &mut Map<String, Value>) -> Result<Meta, DecodeError> {
    let version = fields.get("schema_version").cloned();
    if version.as_ref().and_then(Value::as_u64) != Some(u64::from(SCHEMA_VERSION)) {
        let found =
            version.map_or_else(|| "it is missing".to_owned(), |found| excerpt(&format!("it is {found}")));
        return Err(DecodeError::Version(found));
    }
    let taken = META.iter().filter_map(|name| Some(((*name).to_owned(), fields.remove(*name)?)));
    let meta: Meta = body(taken.collect())?;
    if let Some(key) = &meta.idempotency_key {
        check_key(key).map_err(|why| DecodeError::Field { path: "idempotency_key".to_owned(), why })?;
    }
    Ok(meta)
}

/// Reads one JSON object strictly.
///
/// # Errors
/// When it is too long, too deep, not JSON, no object, has a field twice, or
/// has a character that no message needs.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    bounded(bytes, MESSAGE_BYTES_MAX, Strict { depth: 0, refuses_hazards: true })
}

/// Reads the JSON object of a reply, as strictly, but with any characters: a
/// reply repeats names from the cloud, which anyone who may use the account can
/// choose. They are escaped where they are shown.
///
/// # Errors
/// When it is too long, too deep, not JSON, no object, or has a field twice.
pub fn reply(bytes: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    bounded(bytes, REPLY_BYTES_MAX, Strict { depth: 0, refuses_hazards: false })
}

fn bounded(bytes: &[u8], most: usize, strict: Strict) -> Result<Map<String, Value>, DecodeError> {
    if bytes.len() > most {
        return Err(DecodeError::TooLarge { found: bytes.len(), most });
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(DecodeError::Malformed("it is no JSON object".to_owned())),
        Err(error) => Err(DecodeError::Malformed(excerpt(&error))),
    }
}

/// Checks a text that came otherwise than in JSON, such as in an address.
///
/// # Errors
/// When it has a character that no message needs.
pub fn text(text: &str) -> Result<(), DecodeError> {
    checked::<serde_json::Error>(text).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// A value whose fields have names: what is an object in the schema is no list
/// of its fields in their order, which derived code would take.
struct Named(Value);

impl<'de> Deserializer<'de> for Named {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Named))),
            Value::Object(fields) => visitor.visit_map(named(fields)),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(_) => Err(Self::Error::invalid_type(serde::de::Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Object(fields) if fields.len() == 1 => {
                MapAccessDeserializer::new(named(fields)).deserialize_enum(name, variants, visitor)
            }
            other => other.deserialize_enum(name, variants, visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for Named {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The fields of an object, each of them named in turn.
fn named<'de>(fields: Map<String, Value>) -> impl MapAccess<'de, Error = serde_json::Error> {
    MapDeserializer::new(fields.into_iter().map(|(name, value)| (name, Named(value))))
}

/// Reads any value, more strictly than JSON is.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
    /// Whether a hazardous character in a text is refused.
    refuses_hazards: bool,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth < DEPTH_MAX {
            true => Ok(Self { depth: self.depth + 1, ..self }),
            false => Err(E::custom(format!("it is nested deeper than {DEPTH_MAX} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("it is no number"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        if self.refuses_hazards {
            checked(text)?;
        }
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            checked(&name)?;
            let value = entries.next_value_seed(inner)?;
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format!("field {name:?} stands twice")));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

/// Refuses hazardous characters except line breaks and tabs.
fn checked<E: serde::de::Error>(text: &str) -> Result<(), E> {
    // Nearly every text is of these alone, and a plan is long.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    match text.chars().find(|c| is_hazardous(*c) && !matches!(c, '\n' | '\r' | '\t')) {
        None => Ok(()),
        Some(found) => Err(E::custom(format!("character U+{:04X} is not taken", u32::from(found)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::StatusRequest;

    fn request<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Meta, T), DecodeError> {
        let mut fields = object(bytes)?;
        Ok((meta(&mut fields)?, body(fields)?))
    }

    fn status(text: &str) -> Result<(Meta, StatusRequest), DecodeError> {
        request(text.as_bytes())
    }

    #[test]
    fn a_good_message_is_read() {
        let (meta, body) = status(r#"{"schema_version":1,"requester":"kim","environment":"first"}"#).unwrap();
        assert_eq!((meta.requester.unwrap().as_str(), body.environment.as_str()), ("kim", "first"));
    }

    #[test]
    fn a_list_is_no_object() {
        use crate::request::PlanRequest;
        let plan = |shape: &str| {
            let text = format!(r#"{{"schema_version":1,"provision":{{"template":"T1","shape":{shape}}}}}"#);
            request::<PlanRequest>(text.as_bytes()).map(drop)
        };
        assert_eq!(plan(r#"{"nodes":2}"#), Ok(()));
        for list in ["[]", "[null,null]", "[{}]"] {
            let error = plan(list).unwrap_err();
            assert!(error.to_string().contains("shape"), "{error}");
        }
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let deep = format!("{{\"schema_version\":1,\"environment\":{}1{}}}", "[".repeat(40), "]".repeat(40));
        for (text, code, part) in [
            ("", "malformed", "EOF"),
            ("[]", "malformed", "no JSON object"),
            ("{}x", "malformed", "trailing"),
            (r#"{"a":1,"a":2}"#, "malformed", "\"a\" stands twice"),
            ("{\"a\":\"\\u202e\"}", "malformed", "U+202E"),
            ("{\"a\":\"\\u0000\"}", "malformed", "U+0000"),
            ("{\"\\u0007\":1}", "malformed", "U+0007"),
            (&deep, "malformed", "nested deeper"),
            (r#"{"environment":"first"}"#, "schema-version", "it is missing"),
            (r#"{"schema_version":2,"environment":"first"}"#, "schema-version", "it is 2"),
            (r#"{"schema_version":1,"environment":"First"}"#, "field", "at environment: environment name"),
            (r#"{"schema_version":1,"environment":"first","colour":1}"#, "field", "unknown field `colour`"),
            (r#"{"schema_version":1}"#, "field", "missing field `environment`"),
            (r#"{"schema_version":1,"requester":"A","environment":"first"}"#, "field", "at requester"),
            (
                r#"{"schema_version":1,"idempotency_key":"a b","environment":"first"}"#,
                "field",
                "at idempotency_key",
            ),
        ] {
            let error = status(text).unwrap_err();
            assert_eq!(error.failure("status").code, code, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        let long = vec![b' '; MESSAGE_BYTES_MAX + 1];
        assert_eq!(
            object(&long).unwrap_err(),
            DecodeError::TooLarge { found: long.len(), most: MESSAGE_BYTES_MAX }
        );
    }
}
