//! Checks documents against the types of the API.

use super::{Field, ListKind, Schema, Struct, Type};
use crate::kind::Kind;
use crate::refusal::Cause;
use crate::value::text;
use serde_json::Value;

/// A step of a path into a document.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    /// An item, by its number and by its keys.
    Item(usize, String),
}

/// Something that the types do not allow.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    path: Vec<Step>,
    /// `None` for an unknown field; else the value's type, the structure that
    /// has the field and the type it should have.
    mismatch: Option<(&'static str, String, &'static str)>,
    /// The value as server-side apply shows it, if it is not named by its type.
    got: Option<String>,
}

impl Problem {
    /// Whether it is an unknown field, which the server drops.
    pub(crate) fn is_unknown_field(&self) -> bool {
        self.mismatch.is_none()
    }

    /// As the decoder of strict bodies and warnings words it.
    pub(crate) fn strict_text(&self) -> String {
        format!("unknown field \"{}\"", self.dotted())
    }

    /// As the decoder words a value of the wrong type.
    pub(crate) fn decode_text(&self) -> String {
        let fields: Vec<&str> = self
            .path
            .iter()
            .filter_map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                Step::Item(..) => None,
            })
            .collect();
        match &self.mismatch {
            None => self.strict_text(),
            Some((got, owner, wanted)) => format!(
                "json: cannot unmarshal {got} into Go struct field {owner}.{} of type {wanted}",
                fields.join(".")
            ),
        }
    }

    /// As server-side apply words it.
    pub(crate) fn typed_text(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Step::Item(_, keys) => path.push_str(keys),
            }
        }
        match &self.mismatch {
            None => format!("{path}: field not declared in schema"),
            Some((got, _, wanted)) => {
                let wanted = match *wanted {
                    "int32" | "int64" | "float64" => "numeric (int or float)",
                    "bool" => "boolean",
                    other => other,
                };
                let got = self.got.as_deref().unwrap_or(got);
                format!("{path}: expected {wanted}, got {got}")
            }
        }
    }

    /// The path in the form of field errors.
    fn dotted(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
                Step::Item(number, _) => path.push_str(&format!("[{number}]")),
            }
        }
        path
    }
}

/// Finds what the types do not allow, and drops unknown fields and what the
/// typed server leaves out. Quantities get their canonical form.
pub(crate) fn prune(schema: &Schema, kind: Kind, document: &mut Value) -> Vec<Problem> {
    walk(schema, kind, document, false)
}

/// Finds what the types do not allow in a document that is applied. Its empty
/// fields stay, because they belong to the manager.
pub(crate) fn find_problems(schema: &Schema, kind: Kind, document: &mut Value) -> Vec<Problem> {
    walk(schema, kind, document, true)
}

fn walk(schema: &Schema, kind: Kind, document: &mut Value, is_applied: bool) -> Vec<Problem> {
    let mut walk = Walk { schema, problems: Vec::new(), is_applied };
    walk.value(&schema.named(kind.info().name), "", document);
    for problem in &mut walk.problems {
        problem.path.reverse();
    }
    walk.problems
}

/// A walk through a document. Paths of problems are built on the way back, from
/// their end, so that documents without problems cost nothing.
struct Walk<'a> {
    schema: &'a Schema,
    problems: Vec<Problem>,
    is_applied: bool,
}

impl Walk<'_> {
    fn value(&mut self, kind: &Type, owner: &str, value: &mut Value) {
        let wanted = match (kind, &*value) {
            (Type::Any, _) | (_, Value::Null) => return,
            (Type::Struct(place), Value::Object(_)) => return self.structure(*place, value),
            (Type::List(element, list_kind), Value::Array(_)) => {
                return self.list(element, list_kind, owner, value);
            }
            (Type::Map(element, _), Value::Object(_)) => return self.map(element, owner, value),
            (Type::Quantity, given) if is_plain(kind, given) => {
                if !self.is_applied
                    && let Some(canonical) = crate::quantity::canonical(given)
                {
                    *value = Value::String(canonical);
                }
                return;
            }
            (kind, value) if is_plain(kind, value) => return,
            (kind, _) => type_name(kind),
        };
        let mismatch = Some((json_name(value), owner.to_owned(), wanted));
        let got = shown_in_go(kind, value);
        self.problems.push(Problem { path: Vec::new(), mismatch, got });
    }

    /// Adds a step to the problems found since there were `before`.
    fn step(&mut self, before: usize, step: impl Fn() -> Step) {
        for problem in self.problems.iter_mut().skip(before) {
            problem.path.push(step());
        }
    }

    fn structure(&mut self, place: usize, value: &mut Value) {
        let (Some(structure), Value::Object(map)) = (self.schema.structure(place), value) else {
            return;
        };
        map.retain(|name, inner| {
            let before = self.problems.len();
            let field = structure.fields.get(name);
            match field {
                Some(field) => self.value(&field.kind, &structure.name, inner),
                None if inner.is_null() => {}
                None => self.problems.push(Problem { path: Vec::new(), mismatch: None, got: None }),
            }
            self.step(before, || Step::Field(name.clone()));
            match self.is_applied {
                true => field.is_some() && !inner.is_null(),
                false => field.is_some_and(|field| !field.drops(inner)),
            }
        });
    }

    fn list(&mut self, element: &Type, kind: &ListKind, owner: &str, value: &mut Value) {
        for (number, item) in value.as_array_mut().into_iter().flatten().enumerate() {
            let before = self.problems.len();
            self.value(element, owner, item);
            self.step(before, || Step::Item(number, item_text(kind, item)));
        }
    }

    fn map(&mut self, element: &Type, owner: &str, value: &mut Value) {
        for (key, inner) in value.as_object_mut().into_iter().flatten() {
            let before = self.problems.len();
            self.value(element, owner, inner);
            self.step(before, || Step::Field(key.clone()));
        }
    }
}

/// An item of a list in a path, such as `[name="app"]`.
fn item_text(kind: &ListKind, item: &Value) -> String {
    match kind {
        ListKind::Keys(keys) => {
            let pairs: Vec<String> = keys
                .iter()
                .filter_map(|key| Some(format!("{key}={}", item.get(key).filter(|value| !value.is_null())?)))
                .collect();
            format!("[{}]", pairs.join(","))
        }
        ListKind::Set => format!("[={item}]"),
        ListKind::Atomic => "[0]".to_owned(),
    }
}

fn is_plain(kind: &Type, value: &Value) -> bool {
    match kind {
        Type::Text | Type::Bytes => value.is_string(),
        Type::Time | Type::MicroTime => value.as_str().is_some_and(|t| crate::time::parse(t).is_some()),
        Type::Int32 => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Type::Int64 => value.is_i64() || value.is_u64(),
        Type::Number => value.is_number(),
        Type::Bool => value.is_boolean(),
        Type::Quantity => {
            value.as_str().is_none_or(|q| crate::quantity::parse_milli(q).is_some())
                && (value.is_string() || value.is_number())
        }
        Type::IntOrString => value.is_string() || value.is_i64(),
        _ => false,
    }
}

fn type_name(kind: &Type) -> &'static str {
    match kind {
        Type::Text => "string",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Number => "float64",
        Type::Bool => "bool",
        Type::Time => "v1.Time",
        Type::MicroTime => "v1.MicroTime",
        Type::Bytes => "[]uint8",
        Type::Quantity => "resource.Quantity",
        Type::IntOrString => "intstr.IntOrString",
        Type::List(..) => "list",
        Type::Struct(_) | Type::Map(..) | Type::Any => "map",
    }
}

/// A value of the wrong type as the typed server prints it.
fn shown_in_go(kind: &Type, value: &Value) -> Option<String> {
    match (kind, value) {
        (Type::Text, Value::Number(_) | Value::Bool(_)) => {
            Some(format!("&value.valueUnstructured{{Value:{value}}}"))
        }
        (Type::Bool, Value::Number(_)) => Some(format!("&{{{value}}}")),
        _ => None,
    }
}

fn json_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null => "null",
    }
}

/// A path that is written out only for messages.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
    Key(&'a Path<'a>, &'a str),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, number) => write!(f, "{parent}[{number}]"),
            Self::Key(parent, key) => write!(f, "{parent}[{key}]"),
        }
    }
}

/// Missing required fields and values that are not allowed, outside `status`.
pub(crate) fn causes(schema: &Schema, kind: Kind, document: &Value) -> Vec<Cause> {
    let mut found = Vec::new();
    let (Type::Struct(place), Value::Object(map)) = (schema.named(kind.info().name), document) else {
        return found;
    };
    for (name, field) in schema.structure(place).iter().flat_map(|structure| &structure.fields) {
        if name != "status" {
            field_causes(schema, field, Path::Field(&Path::Root, name), map.get(name), &mut found);
        }
    }
    found
}

fn field_causes(
    schema: &Schema,
    field: &Field,
    path: Path<'_>,
    value: Option<&Value>,
    found: &mut Vec<Cause>,
) {
    match value.filter(|value| !value.is_null() && **value != "") {
        None if field.required => found.push(Cause::required(&path.to_string(), "")),
        None => {}
        Some(value) => {
            let is_allowed = field.choices.is_empty()
                || value.as_str().is_none_or(|text| field.choices.iter().any(|choice| choice == text));
            if !is_allowed {
                found.push(Cause::unsupported(&path.to_string(), value, &field.choices));
            }
            value_causes(schema, &field.kind, path, value, found);
        }
    }
}

fn value_causes(schema: &Schema, kind: &Type, path: Path<'_>, value: &Value, found: &mut Vec<Cause>) {
    match (kind, value) {
        (Type::Struct(place), Value::Object(map)) => {
            let Some(Struct { fields, .. }) = schema.structure(*place) else {
                return;
            };
            for (name, field) in fields {
                field_causes(schema, field, Path::Field(&path, name), map.get(name), found);
            }
        }
        (Type::List(element, _), Value::Array(items)) => {
            for (number, item) in items.iter().enumerate() {
                value_causes(schema, element, Path::Index(&path, number), item, found);
            }
        }
        (Type::Map(element, _), Value::Object(map)) if matches!(**element, Type::Struct(_)) => {
            for (key, inner) in map {
                value_causes(schema, element, Path::Key(&path, key), inner, found);
            }
        }
        _ => {}
    }
}

/// What is wrong with an object in the API of a version of Kubernetes such as
/// `1.35`: unknown fields, wrong types, missing and unsupported values. Empty
/// means that the types allow it.
///
/// # Examples
/// ```
/// let object = serde_json::json!({
///     "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "date": {},
/// });
/// assert_eq!(exokit_kube_sim::validate("1.35", &object), ["unknown field \"date\""]);
/// ```
pub fn validate(version: &str, object: &Value) -> Vec<String> {
    let Some(kind) = Kind::by_name(text(object, "apiVersion"), text(object, "kind")) else {
        let (api_version, kind) = (text(object, "apiVersion"), text(object, "kind"));
        return vec![format!("no matches for kind \"{kind}\" in version \"{api_version}\"")];
    };
    let schema = super::of_version(version);
    let mut pruned = object.clone();
    let problems = prune(schema, kind, &mut pruned);
    crate::defaults::apply(kind, &mut pruned);
    let mut texts: Vec<String> = problems.iter().map(Problem::decode_text).collect();
    texts.extend(
        causes(schema, kind, &pruned).into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)),
    );
    texts
}
