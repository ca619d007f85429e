//! YAML with positions, decoded by `serde-saphyr` within limits against hostile input.
//!
//! Most files decode into a type with [`decode`]. Templates and run files
//! decode into a tree of [`Node`]s first: serde's `flatten` loses positions,
//! and a derived type can neither say where an ignored key stands nor be
//! complete in one kind of file and have defaults in the other.

use std::fmt;

use exokit_model::text::is_hazardous;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, MessageFormatter, Options, Spanned, UserMessageFormatter};

use crate::error::{DecodeError, SourceLocation, hint_words, join, nearest};

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting; the formats need four.
const DEPTH_MAX: usize = 16;
/// Most values in one file, aliases written out.
const NODES_MAX: usize = 20_000;

/// A value and its location.
pub(crate) type Node = Spanned<Value>;

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number, with its value if it is a whole one. Its spelling is in the
    /// source: a version `1.10` is not `1.1`.
    Number(Option<i64>),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

/// The type of a value, in words.
pub(crate) fn describe(text: &str, node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(_) => format!("the number {}", shorten(spelling(text, node))),
        Value::Text(text) => format!("the text {:?}", shorten(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// A number as the source spells it.
pub(crate) fn spelling<'t>(text: &'t str, node: &Node) -> &'t str {
    let span = node.defined.span();
    let spelled = span.byte_offset().zip(span.byte_len()).and_then(|(start, length)| {
        let start = usize::try_from(start).ok()?;
        text.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    });
    spelled.unwrap_or_default().trim()
}

/// At most 40 characters, for messages.
pub(crate) fn shorten(text: &str) -> String {
    shorten_to(40, text)
}

fn shorten_to(chars: usize, text: &str) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Decodes a file; `file` is its name in errors.
///
/// # Errors
/// When the text is too large, holds hidden characters, is not YAML, goes
/// beyond a limit, or does not fit `T`. The error has the line and column.
pub fn decode<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DecodeError> {
    parse(file, text)?;
    let mut track = serde_path_to_error::Track::new();
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        T::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track))
    })
    .map_err(|error| refusal(file, &track.path().to_string(), &error))
}

/// Reads one document as a tree.
///
/// # Errors
/// When the text is too large, holds hidden characters, is not YAML, or goes
/// beyond a limit.
pub(crate) fn parse(file: &str, text: &str) -> Result<Node, DecodeError> {
    check_text(file, text)?;
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| refusal(file, "", &error))
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

/// An error of the library in the words of this crate.
fn refusal(file: &str, path: &str, error: &Error) -> DecodeError {
    let location = error.location().map_or(SourceLocation::START, SourceLocation::from);
    let mut key = if path == "." { String::new() } else { path.to_owned() };
    let (why, hint) = words(error);
    if let Error::SerdeMissingField { field, .. } = error {
        key = join(&key, field);
    }
    let line: String = why.chars().map(|c| if is_hazardous(c) { ' ' } else { c }).collect();
    DecodeError::new(file, location, &key, shorten_to(300, &line), hint)
}

/// The fault and the next step, in words.
fn words(error: &Error) -> (String, String) {
    let (why, hint) = match error {
        Error::AliasError { error, .. } => return words(error),
        Error::Message { msg, .. } => {
            let (why, hint) = msg.split_once('\n').unwrap_or((msg, "correct the value"));
            (why.to_owned(), hint)
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            let why = match nearest(field, expected.iter().copied()) {
                Some(word) => format!("unknown key; the nearest known one is {word}"),
                None => "unknown key".to_owned(),
            };
            return (why, hint_words(field, expected));
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let why = format!("unknown value {:?}", shorten(variant));
            return (why, hint_words(variant, expected));
        }
        Error::SerdeMissingField { .. } => ("this key is missing".to_owned(), "state it"),
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), "correct the value")
        }
        Error::InvalidScalar { ty, .. } if ty.starts_with(['i', 'u']) => {
            ("expected a whole number".to_owned(), "write a number such as 2, without quotes")
        }
        Error::InvalidScalar { .. } => ("the value has the wrong type".to_owned(), "correct the value"),
        Error::Unexpected { expected: "mapping start", .. } => {
            ("expected a mapping".to_owned(), "write it as keys and values")
        }
        Error::Unexpected { expected: "sequence start", .. } => {
            ("expected a list".to_owned(), "write it as lines that begin with a hyphen")
        }
        Error::Unexpected { .. } => ("expected a single value".to_owned(), "write a word or a number"),
        Error::InvalidBooleanStrict { .. } => {
            ("expected true or false".to_owned(), "write true or false, without quotes")
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            ("the file is nested too deeply or has too many values".to_owned(), "make the file smaller")
        }
        error => (
            UserMessageFormatter.format_message(error).into_owned(),
            "the file must be one YAML mapping; check indentation, quotes and repeated keys",
        ),
    };
    (why, hint.to_owned())
}

/// Whether a character is refused: a hazardous one, except line breaks and
/// tabs, of which YAML is made.
pub(crate) fn is_hidden(c: char) -> bool {
    is_hazardous(c) && !matches!(c, '\n' | '\r' | '\t')
}

fn check_text(file: &str, text: &str) -> Result<(), DecodeError> {
    let refuse = |location, why, hint: &str| Err(DecodeError::new(file, location, "", why, hint.to_owned()));
    if text.len() > FILE_BYTES_MAX {
        let why = format!("the file has {} bytes, more than {FILE_BYTES_MAX}", text.len());
        return refuse(SourceLocation::START, why, "such a file has a few thousand bytes");
    }
    // A byte order mark at the very beginning is usual.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut location = SourceLocation::START;
    for c in body.chars() {
        if is_hidden(c) {
            let why = format!("hidden character U+{:04X}", u32::from(c));
            return refuse(location, why, "remove it; it makes the text read as what it is not");
        }
        if c == '\n' {
            location = SourceLocation { line: location.line + 1, column: 1 };
        } else {
            location.column += 1;
        }
    }
    Ok(())
}

/// An error of a decoded value: what is wrong and what to do.
pub(crate) fn refuse<E: serde::de::Error>(why: &str, hint: &str) -> E {
    E::custom(format_args!("{why}\n{hint}"))
}

/// Refuses a text with a hidden character; escapes in quoted text can make one.
fn check_visible<E: serde::de::Error>(text: &str) -> Result<(), E> {
    match text.chars().find(|c| is_hidden(*c)) {
        Some(c) => Err(refuse(
            &format!("hidden character U+{:04X}", u32::from(c)),
            "remove the escape; it makes the text read as what it is not",
        )),
        None => Ok(()),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(Some(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(i64::try_from(value).ok()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number(None))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        check_visible(value)?;
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Value::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Spanned<String>, Node)> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            check_visible(&key.value)?;
            entries.push((key, map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match parse("f.yaml", text) {
            Ok(node) => show(text, &node),
            Err(error) => format!("{error}"),
        };
        assert!(shown.contains(expected), "{text:?} gave {shown:?}, not {expected:?}");
    }

    fn show(text: &str, node: &Node) -> String {
        let at = format!("@{}:{}", node.referenced.line(), node.referenced.column());
        match &node.value {
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| format!("{}={}", key.value, show(text, node)))
                .collect::<Vec<_>>()
                .join(" "),
            Value::List(items) => items.iter().map(|item| show(text, item)).collect::<Vec<_>>().join(","),
            Value::Number(whole) => format!("{}/{whole:?}{at}", spelling(text, node)),
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

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Typed {
        #[serde(default)]
        _count: Option<u32>,
        #[serde(default)]
        _on: bool,
        #[serde(default)]
        _nested: std::collections::BTreeMap<String, Word>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        Left,
        Right,
    }

    #[test]
    fn typed_files_are_refused_in_plain_words() {
        for (text, expected, hint) in [
            ("-count: two", "f.yaml:1:9: -count: expected a whole number", "without quotes"),
            (
                "-count: 1\n-cuont: 2",
                "f.yaml:2:1: -cuont: unknown key; the nearest known one is -count",
                "did you mean",
            ),
            ("-on: yes", "f.yaml:1:6: -on: expected true or false", "without quotes"),
            ("-nested:\n  a: lefd", "a: unknown value \"lefd\"", "did you mean left"),
            ("-nested:\n  a: lefd", "f.yaml:2:", ""),
            ("[]", "f.yaml:1:1: expected a mapping", "keys and values"),
            ("-nested: [1]", "f.yaml:1:10: -nested: expected a mapping", ""),
            ("-on: [true]", "f.yaml:1:6: -on: expected a single value", ""),
            ("a: \"\\u202e\"", "hidden character U+202E", "remove"),
            ("-count: 1\n-count: 2", "f.yaml:2:1: duplicate mapping key `-count`", "repeated keys"),
        ] {
            let error = decode::<Typed>("f.yaml", text).unwrap_err();
            assert!(error.to_string().contains(expected), "{text:?}: {error}");
            assert!(error.hint().contains(hint), "{text:?}: {}", error.hint());
        }
        assert!(decode::<Typed>("f.yaml", "-count: 1\n-nested: {a: right}").is_ok());
    }
}
