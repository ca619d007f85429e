//! Bodies in protobuf, as typed clients send them. Replies are always JSON,
//! which these clients accept.

use super::prepare::base64;
use crate::schema::{Schema, Type};
use crate::value::{list, object};
use serde_json::{Map, Value, json};

/// What a body starts with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages inside each other at most.
const DEPTH_MAX: usize = 64;
/// One field of a message.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Decodes a body that holds a value of the type called `type_name`.
pub(crate) fn decode(schema: &Schema, type_name: &str, body: &[u8]) -> Option<Value> {
    let envelope = body.strip_prefix(MAGIC)?;
    let mut document = Map::new();
    let mut head = Map::new();
    let mut rest = envelope;
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Wire::Bytes(type_meta)) => {
                let mut inner = type_meta;
                while !inner.is_empty() {
                    let (number, value) = field(&mut inner)?;
                    let name = match number {
                        1 => "apiVersion",
                        2 => "kind",
                        _ => continue,
                    };
                    if let Wire::Bytes(bytes) = value {
                        head.insert(name.to_owned(), text(bytes)?);
                    }
                }
            }
            (2, Wire::Bytes(raw)) => {
                structure(schema, &schema.named(type_name), &[], raw, &mut document, DEPTH_MAX)?;
            }
            _ => {}
        }
    }
    document.extend(head);
    Some(Value::Object(document))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let (first, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(first & 0x7f).checked_shl(7 * place)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Wire<'a>)> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
    let value = match tag & 7 {
        0 => Wire::Number(varint(rest)?),
        1 => Wire::Number(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Wire::Bytes(take(rest, length)?)
        }
        5 => Wire::Number(u64::from(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?))),
        _ => return None,
    };
    Some((number, value))
}

fn text(bytes: &[u8]) -> Option<Value> {
    Some(Value::String(std::str::from_utf8(bytes).ok()?.to_owned()))
}

/// Decodes a message into the fields of a structure. `prefix` leads to the
/// message through those that are inlined.
fn structure(
    schema: &Schema,
    kind: &Type,
    prefix: &[u32],
    bytes: &[u8],
    out: &mut Map<String, Value>,
    depth: usize,
) -> Option<()> {
    let Type::Struct(place) = kind else {
        return None;
    };
    let fields = &schema.structure(*place)?.fields;
    let depth = depth.checked_sub(1)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, wire) = field(&mut rest)?;
        let path: Vec<u32> = prefix.iter().copied().chain([number]).collect();
        if let Some((name, known)) = fields.iter().find(|(_, field)| field.number == path) {
            let place = out.entry(name.as_str()).or_insert(Value::Null);
            value(schema, &known.kind, &wire, place, depth)?;
            let is_absent = known.embedded && place.as_object().is_some_and(Map::is_empty);
            if is_absent || known.drops(place) {
                out.remove(name);
            }
        } else if fields.values().any(|field| field.number.starts_with(&path))
            && let Wire::Bytes(inner) = wire
        {
            structure(schema, kind, &path, inner, out, depth)?;
        }
    }
    Some(())
}

fn value(schema: &Schema, kind: &Type, wire: &Wire<'_>, out: &mut Value, depth: usize) -> Option<()> {
    *out = match (kind, wire) {
        (Type::List(element, _), _) => {
            let mut item = Value::Null;
            value(schema, element, wire, &mut item, depth)?;
            list(out).push(item);
            return Some(());
        }
        (Type::Map(element, _), Wire::Bytes(entry)) => {
            let (key, inner) = map_entry(schema, element, entry, depth)?;
            object(out).insert(key, inner);
            return Some(());
        }
        (Type::Struct(_), Wire::Bytes(bytes)) => {
            structure(schema, kind, &[], bytes, object(out), depth)?;
            return Some(());
        }
        (Type::Text, Wire::Bytes(bytes)) => text(bytes)?,
        (Type::Bytes, Wire::Bytes(bytes)) => Value::String(base64(bytes)),
        (Type::Int32 | Type::Int64, Wire::Number(number)) => json!(i64::from_le_bytes(number.to_le_bytes())),
        (Type::Number, Wire::Number(number)) => json!(f64::from_bits(*number)),
        (Type::Bool, Wire::Number(number)) => Value::Bool(*number != 0),
        (Type::Time | Type::MicroTime, Wire::Bytes(bytes)) => match part(bytes, 1)? {
            Some(Wire::Number(seconds)) => {
                let seconds = i64::from_le_bytes(seconds.to_le_bytes());
                Value::String(crate::time::rfc3339(seconds.saturating_mul(1000)))
            }
            _ => Value::Null,
        },
        (Type::Quantity, Wire::Bytes(bytes)) => match part(bytes, 1)? {
            Some(Wire::Bytes(bytes)) => text(bytes)?,
            _ => json!("0"),
        },
        (Type::IntOrString, Wire::Bytes(bytes)) => {
            match (part(bytes, 1)?, part(bytes, 2)?, part(bytes, 3)?) {
                (Some(Wire::Number(1)), _, Some(Wire::Bytes(bytes))) => text(bytes)?,
                (_, Some(Wire::Number(number)), _) => json!(i64::from_le_bytes(number.to_le_bytes())),
                _ => json!(0),
            }
        }
        (Type::Any, Wire::Bytes(bytes)) => match part(bytes, 1)? {
            Some(Wire::Bytes(raw)) => serde_json::from_slice(raw).unwrap_or_default(),
            _ => Value::Null,
        },
        _ => return None,
    };
    Some(())
}

fn map_entry(schema: &Schema, element: &Type, entry: &[u8], depth: usize) -> Option<(String, Value)> {
    let (mut key, mut inner) = (String::new(), Value::Null);
    let mut rest = entry;
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Wire::Bytes(bytes)) => std::str::from_utf8(bytes).ok()?.clone_into(&mut key),
            (2, wire) => value(schema, element, &wire, &mut inner, depth)?,
            _ => {}
        }
    }
    Some((key, inner))
}

/// The field with a number of a small message.
fn part(bytes: &[u8], wanted: u32) -> Option<Option<Wire<'_>>> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, wire) = field(&mut rest)?;
        if number == wanted {
            return Some(Some(wire));
        }
    }
    Some(None)
}
