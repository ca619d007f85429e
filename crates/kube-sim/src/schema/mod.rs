//! The types of the API, from the published OpenAPI documents.
//!
//! `spec/schema.json` is reduced from them by `spec/reduce.py`, which describes
//! the form; it holds types, keys and defaults, no prose.

pub(crate) mod check;

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A type of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Text,
    Int32,
    Int64,
    Number,
    Bool,
    Time,
    MicroTime,
    Bytes,
    Quantity,
    IntOrString,
    /// Anything; replaced as a whole.
    Any,
    /// A structure, by its place in [`Schema::structs`].
    Struct(usize),
    List(Box<Type>, ListKind),
    /// A map; `true` when it is replaced as a whole.
    Map(Box<Type>, bool),
}

/// How lists are merged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ListKind {
    /// Replaced as a whole.
    Atomic,
    /// A set of plain values.
    Set,
    /// Items are told apart by these keys.
    Keys(Vec<String>),
}

/// A field of a structure.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Type,
    pub(crate) required: bool,
    /// Key of the strategic merge; empty for lists of plain values.
    pub(crate) merge_key: Option<String>,
    /// The strategic merge keeps only the keys of the patch.
    pub(crate) retains_keys: bool,
    pub(crate) default: Option<Value>,
    /// Number in protobuf, through inlined messages; empty when unknown.
    pub(crate) number: Vec<u32>,
    /// Whether it is a structure that is never absent in Go.
    pub(crate) embedded: bool,
    /// Whether Go leaves it out when it is empty, zero or false.
    pub(crate) omitted: bool,
    /// Allowed values, any when empty.
    pub(crate) choices: Vec<String>,
}

impl Field {
    /// Whether the typed server drops this value: null, or empty where Go
    /// leaves that out.
    pub(crate) fn drops(&self, value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::String(text) => self.omitted && text.is_empty(),
            Value::Number(number) => self.omitted && number.as_i64() == Some(0),
            Value::Bool(flag) => self.omitted && !flag,
            Value::Array(items) => self.omitted && items.is_empty(),
            Value::Object(map) => self.omitted && map.is_empty(),
        }
    }
}

/// A structure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Struct {
    pub(crate) name: String,
    /// Whether it is replaced as a whole.
    pub(crate) atomic: bool,
    pub(crate) fields: BTreeMap<String, Field>,
}

/// The types of one minor version of Kubernetes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    structs: Vec<Struct>,
    places: BTreeMap<String, usize>,
}

type Words = BTreeMap<String, BTreeMap<String, String>>;

#[derive(serde::Deserialize, Default)]
struct File {
    resources: BTreeMap<String, String>,
    types: BTreeMap<String, BTreeMap<String, Option<BTreeMap<String, String>>>>,
}

// The file is part of the build and read by a test: it cannot fail here.
static FILE: LazyLock<File> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../spec/schema.json")).unwrap_or_default());

static NEWEST: LazyLock<Schema> = LazyLock::new(|| Schema::of(&types("1.35")));
static PREVIOUS: LazyLock<Schema> = LazyLock::new(|| Schema::of(&types("1.34")));

fn types(version: &str) -> Words {
    let whole = |types: &BTreeMap<String, Option<BTreeMap<String, String>>>| {
        types.iter().filter_map(|(name, fields)| Some((name.clone(), fields.clone()?))).collect::<Words>()
    };
    let mut words = FILE.types.get("1.35").map(whole).unwrap_or_default();
    if version != "1.35" {
        for (name, fields) in FILE.types.get(version).into_iter().flatten() {
            match fields {
                Some(fields) => words.insert(name.clone(), fields.clone()),
                None => words.remove(name),
            };
        }
    }
    words
}

/// The schema of a version such as `1.34.2`. Versions after 1.35 have that of
/// 1.35.
pub(crate) fn of_version(version: &str) -> &'static Schema {
    let minor = version.trim_start_matches('v').split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_some_and(|minor| minor < 35) { &PREVIOUS } else { &NEWEST }
}

/// Whether Kubernetes has this resource at all.
pub(crate) fn is_known(group: &str, version: &str, plural: &str) -> bool {
    let key = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    FILE.resources.get(&key).is_some_and(|names| names.split(' ').any(|name| name == plural))
}

impl Schema {
    fn of(words: &Words) -> Self {
        let places = words.keys().enumerate().map(|(place, name)| (name.clone(), place)).collect();
        let mut schema = Self { structs: Vec::new(), places };
        for (name, fields) in words {
            let atomic = fields.contains_key("#");
            let fields = fields
                .iter()
                .filter(|(name, _)| *name != "#")
                .map(|(name, words)| (name.clone(), schema.field(words)))
                .collect();
            schema.structs.push(Struct { name: name.clone(), atomic, fields });
        }
        schema
    }

    /// The type called `name`, such as `Deployment`.
    pub(crate) fn named(&self, name: &str) -> Type {
        self.places.get(name).map_or(Type::Any, |place| Type::Struct(*place))
    }

    /// All structures.
    pub(crate) fn structures(&self) -> &[Struct] {
        &self.structs
    }

    /// The structure at a place.
    pub(crate) fn structure(&self, place: usize) -> Option<&Struct> {
        self.structs.get(place)
    }

    /// The field of a structure; `None` for other types and unknown fields.
    pub(crate) fn field_of(&self, kind: &Type, name: &str) -> Option<&Field> {
        match kind {
            Type::Struct(place) => self.structure(*place)?.fields.get(name),
            _ => None,
        }
    }

    fn field(&self, words: &str) -> Field {
        let mut words = words.split(' ');
        let mut letters = words.next().unwrap_or("*");
        let mut field = Field {
            kind: self.parse(&mut letters),
            required: false,
            merge_key: None,
            retains_keys: false,
            default: None,
            number: Vec::new(),
            embedded: false,
            omitted: false,
            choices: Vec::new(),
        };
        for word in words {
            let rest = word.get(1..).unwrap_or_default();
            match word.chars().next() {
                Some('!') => field.required = true,
                Some('~') => field.merge_key = Some(rest.to_owned()),
                Some('^') => field.retains_keys = true,
                Some(':') => field.number = rest.split('.').filter_map(|part| part.parse().ok()).collect(),
                Some('.') => field.embedded = true,
                Some('-') => field.omitted = true,
                Some('=') => field.default = serde_json::from_str(rest).ok(),
                Some('|') => field.choices = rest.split('|').map(str::to_owned).collect(),
                _ => {}
            }
        }
        field
    }

    fn parse(&self, letters: &mut &str) -> Type {
        let Some(first) = letters.chars().next() else {
            return Type::Any;
        };
        *letters = letters.get(first.len_utf8()..).unwrap_or_default();
        match first {
            's' => Type::Text,
            'i' => Type::Int32,
            'l' => Type::Int64,
            'n' => Type::Number,
            'b' => Type::Bool,
            't' => Type::Time,
            'T' => Type::MicroTime,
            'y' => Type::Bytes,
            'q' => Type::Quantity,
            'x' => Type::IntOrString,
            '@' => {
                let end = letters.find([']', '}']).unwrap_or(letters.len());
                let (name, rest) = letters.split_at(end);
                *letters = rest;
                self.named(name)
            }
            '[' => {
                let element = self.parse(letters);
                let keys = letters.strip_prefix(']').unwrap_or(letters);
                let end = keys.find([']', '}']).unwrap_or(keys.len());
                let (keys, rest) = keys.split_at(end);
                *letters = rest;
                let kind = match keys {
                    "" => ListKind::Atomic,
                    "=" => ListKind::Set,
                    keys => ListKind::Keys(keys.split(',').map(str::to_owned).collect()),
                };
                Type::List(Box::new(element), kind)
            }
            '{' => {
                let element = self.parse(letters);
                let rest = letters.strip_prefix('}').unwrap_or(letters);
                let atomic = rest.starts_with('#');
                *letters = rest.strip_prefix('#').unwrap_or(rest);
                Type::Map(Box::new(element), atomic)
            }
            _ => Type::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_file_parses() {
        let file: File = serde_json::from_str(include_str!("../../spec/schema.json")).unwrap();
        assert!(file.resources.contains_key("apps/v1"));
        for version in ["1.34", "1.35"] {
            assert!(Schema::of(&types(version)).structs.len() > 200, "{version}");
        }
    }

    #[test]
    fn words_of_the_data_file_mean_what_the_reducer_says() {
        let schema = of_version("1.35.0");
        let ports = schema.field_of(&schema.named("Container"), "ports").unwrap();
        let Type::List(element, kind) = &ports.kind else { panic!("{ports:?}") };
        assert_eq!(**element, schema.named("ContainerPort"));
        assert_eq!(*kind, ListKind::Keys(vec!["containerPort".into(), "protocol".into()]));
        assert_eq!(ports.merge_key.as_deref(), Some("containerPort"));
        let protocol = schema.field_of(element, "protocol").unwrap();
        assert_eq!(protocol.default, Some("TCP".into()));
        assert_eq!(protocol.choices, ["SCTP", "TCP", "UDP"]);
    }

    #[test]
    fn two_versions_differ() {
        let added = |version| of_version(version).places.contains_key("WorkloadReference");
        assert!(added("1.35.1"));
        assert!(!added("1.34.2"));
    }
}
