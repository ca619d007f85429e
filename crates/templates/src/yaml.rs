//! YAML to a tree of located values, with limits against hostile input.
//!
//! Scalars keep their spelling, so that a version `1.10` stays `1.10` where
//! text is wanted.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Options, Spanned};

use crate::error::{DecodeError, Place};

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting; the formats need four.
const DEPTH_MAX: usize = 16;
/// Most values in one file, aliases written out.
const NODES_MAX: usize = 20_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number as it is spelled, and its value if it is a whole one.
    Number {
        spelled: String,
        whole: Option<i64>,
    },
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Value {
    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("{value}"),
            Value::Number { spelled, .. } => format!("the number {}", shorten(spelled)),
            Value::Text(text) => format!("the text {:?}", shorten(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

/// At most 40 characters, for messages.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads one document.
///
/// # Errors
/// When the text is too large, holds hidden characters, is not YAML, or goes
/// beyond a limit.
pub(crate) fn parse(file: &str, text: &str) -> Result<Node, DecodeError> {
    check_text(file, text)?;
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let place = error.location().map_or(Place::START, place_of);
        refuse_yaml(file, place, &error.without_snippet().to_string())
    })?;
    build(file, text, raw)
}

/// Booleans are `true` and `false` only, numbers with a leading zero or an
/// underscore are text, as people who write YAML by hand expect.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES_MAX,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn refuse_yaml(file: &str, place: Place, message: &str) -> DecodeError {
    // The place is told once, before the message.
    let why = match message.find(" at line ") {
        Some(end) => &message[..end],
        None => message,
    };
    DecodeError::new(
        file,
        place,
        "",
        shorten_message(why),
        "the file must be one YAML mapping; check indentation, quotes and repeated keys".to_owned(),
    )
}

fn shorten_message(message: &str) -> String {
    let flat: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match flat.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &flat[..end]),
        None => flat,
    }
}

/// Characters that make a text read differently from what it is: controls,
/// direction marks and invisible ones.
pub(crate) fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn check_text(file: &str, text: &str) -> Result<(), DecodeError> {
    let refuse = |place, why, hint: &str| Err(DecodeError::new(file, place, "", why, hint.to_owned()));
    if text.len() > FILE_BYTES_MAX {
        let why = format!("the file has {} bytes, more than {FILE_BYTES_MAX}", text.len());
        return refuse(Place::START, why, "such a file has a few thousand bytes");
    }
    // A byte order mark at the very beginning is usual.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut place = Place::START;
    for c in body.chars() {
        if is_hidden(c) {
            let why = format!("hidden character U+{:04X}", u32::from(c));
            return refuse(place, why, "remove it; it makes the text read as what it is not");
        }
        if c == '\n' {
            place = Place { line: place.line + 1, column: 1 };
        } else {
            place.column += 1;
        }
    }
    Ok(())
}

fn place_of(location: Location) -> Place {
    Place { line: location.line().max(1), column: location.column().max(1) }
}

/// Turns what serde saw into nodes, with spellings taken from the source.
fn build(file: &str, text: &str, raw: Spanned<Raw>) -> Result<Node, DecodeError> {
    let place = place_of(raw.referenced);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Number { whole, shown } => {
            Value::Number { spelled: spelling(text, raw.defined).unwrap_or(shown), whole }
        }
        Raw::Text(value) => {
            check_visible(file, place, &value)?;
            Value::Text(value)
        }
        Raw::List(items) => {
            Value::List(items.into_iter().map(|item| build(file, text, item)).collect::<Result<_, _>>()?)
        }
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| build_entry(file, text, key, value))
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Node { place, value })
}

fn build_entry(
    file: &str,
    text: &str,
    key: Spanned<String>,
    value: Spanned<Raw>,
) -> Result<Entry, DecodeError> {
    let place = place_of(key.referenced);
    check_visible(file, place, &key.value)?;
    Ok(Entry { key: key.value, place, node: build(file, text, value)? })
}

/// Escapes in quoted text can make hidden characters too.
fn check_visible(file: &str, place: Place, text: &str) -> Result<(), DecodeError> {
    match text.chars().find(|c| is_hidden(*c)) {
        Some(c) => Err(DecodeError::new(
            file,
            place,
            "",
            format!("hidden character U+{:04X}", u32::from(c)),
            "remove the escape; it makes the text read as what it is not".to_owned(),
        )),
        None => Ok(()),
    }
}

/// A number as it stands in the source; none when the source has something
/// else there, as can be with tags.
fn spelling(text: &str, location: Location) -> Option<String> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    let spelled = text.get(start..start.checked_add(length)?)?.trim();
    let plain = !spelled.is_empty()
        && spelled.len() <= 40
        && spelled.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    plain.then(|| spelled.to_owned())
}

/// A value as serde sees it.
enum Raw {
    Null,
    Bool(bool),
    Number { whole: Option<i64>, shown: String },
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number { whole: Some(value), shown: value.to_string() })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number { whole: i64::try_from(value).ok(), shown: value.to_string() })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number { whole: None, shown: value.to_string() })
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries: Vec<(Spanned<String>, Spanned<Raw>)> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            if entries.len() >= NODES_MAX {
                return Err(A::Error::custom("too many keys"));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match parse("f.yaml", text) {
            Ok(node) => show(&node),
            Err(error) => format!("{error}"),
        };
        assert!(shown.contains(expected), "{text:?} gave {shown:?}, not {expected:?}");
    }

    fn show(node: &Node) -> String {
        let at = format!("@{}:{}", node.place.line, node.place.column);
        match &node.value {
            Value::Map(entries) => entries
                .iter()
                .map(|entry| format!("{}={}", entry.key, show(&entry.node)))
                .collect::<Vec<_>>()
                .join(" "),
            Value::List(items) => items.iter().map(show).collect::<Vec<_>>().join(","),
            Value::Number { spelled, whole } => format!("{spelled}/{whole:?}{at}"),
            Value::Text(text) => format!("{text:?}{at}"),
            Value::Bool(value) => format!("{value}{at}"),
            Value::Null => format!("null{at}"),
        }
    }

    #[test]
    fn scalars_keep_their_spelling_and_place() {
        check("a: 1.10", "a=1.10/None@1:4");
        check("a:\n  b: 16", "b=16/Some(16)@2:6");
        check("a: 0644", "a=\"0644\"@1:4");
        check("a: 1_000", "a=\"1_000\"@1:4");
        check("a: no", "a=\"no\"@1:4");
        check("a: true", "a=true@1:4");
        check("a: '1'", "a=\"1\"@1:4");
        check("a:", "a=null");
        check("a: [1, x]", "1/Some(1)@1:5,\"x\"@1:8");
        check("é: ü\nb: 1.50", "b=1.50/None@2:4");
        check("a: &v 1.10\nb: *v", "b=1.10/None@2:4");
        check("\u{feff}a: 1", "a=1/Some(1)");
    }

    #[test]
    fn hostile_texts_are_refused_with_their_place() {
        check("a: 1\na: 2", "f.yaml:2:1: ");
        check("a: [", "f.yaml:");
        check("a: x\0y", "f.yaml:1:5: hidden character U+0000");
        check("ok: 1\nb: \u{202e}x", "f.yaml:2:4: hidden character U+202E");
        check("a: \"\\u202e\"", "hidden character U+202E");
        check("\"\\u200b\": 1", "hidden character U+200B");
        check(&"x".repeat(FILE_BYTES_MAX + 1), "bytes, more than");
        check(&format!("a: {}", "[".repeat(2_000)), "f.yaml:1:");
        check("--- \na: 1\n---\nb: 2", "f.yaml:");
        check("a: !!python/object x", "f.yaml:1:");
    }

    #[test]
    fn an_alias_bomb_is_stopped() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let inner = format!("*a{}, ", level - 1).repeat(9);
            text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        check(&text, "f.yaml:");
    }
}
