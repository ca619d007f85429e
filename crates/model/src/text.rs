//! Text from outside: which characters are hazardous, and how such text is
//! shown to people.
//!
//! Names in the cloud, labels and reasons of requesters, plans and replies of
//! an agent are foreign. Decoders refuse names with a hazardous character.
//! Everything that a person reads shows foreign text escaped, so that it cannot
//! move the cursor, begin a line of its own, or read differently from what it
//! is.

use std::borrow::Cow;
use std::fmt::{self, Debug, Display, Write};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// Longest excerpt in a message, in characters.
const EXCERPT_CHARS_MAX: usize = 400;

/// Longest text that is shown, in characters. Without a limit one value could
/// push the rest of an approval page off the screen.
const TEXT_CHARS_MAX: usize = 4_000;

/// Whether a terminal acts on the character, or shows nothing for it: control
/// characters, line and paragraph separators, bidirectional marks, and what
/// Unicode 16 lists as `Default_Ignorable_Code_Point` (zero-width characters,
/// fillers, variation selectors, tags) or as interlinear annotation.
#[must_use]
pub fn is_hazardous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a text is a DNS label (RFC 1123), as names in a cluster are made of.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.is_empty()
        && text.len() <= 63
}

/// Shows text on one line: hazardous characters are escaped as `\n` or
/// `\u{202e}`, and long text is cut. Escaping twice changes nothing.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, TEXT_CHARS_MAX)
    }
}

/// An excerpt of `found` for a message: escaped and cut.
#[must_use]
pub fn excerpt(found: &dyn Display) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_escaped(&mut out, &found.to_string(), EXCERPT_CHARS_MAX);
    out
}

fn write_escaped(out: &mut dyn Write, text: &str, chars_max: usize) -> fmt::Result {
    for (count, c) in text.chars().enumerate() {
        match (count < chars_max, is_hazardous(c)) {
            (false, _) => return out.write_char('…'),
            (true, true) => write!(out, "{}", c.escape_default())?,
            (true, false) => out.write_char(c)?,
        }
    }
    Ok(())
}

/// Text from outside. It is stored and serialized as it is, and formatted with
/// [`Escaped`].
///
/// # Examples
/// ```
/// use exokit_model::text::ForeignText;
///
/// let name = ForeignText::from("web\nDestroys nothing");
/// assert_eq!(format!("{name}"), "web\\nDestroys nothing");
/// assert_eq!(name.raw(), "web\nDestroys nothing");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ForeignText(String);

impl ForeignText {
    /// The text as it came: for programs and comparisons, not for people.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }
}

impl Display for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&Escaped(&self.0), f)
    }
}

impl Debug for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<String> for ForeignText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ForeignText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl PartialEq<&str> for ForeignText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl JsonSchema for ForeignText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// Joins texts with `separator`, each escaped.
#[must_use]
pub fn join(texts: &[ForeignText], separator: &str) -> String {
    texts.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hazardous_characters_are_escaped_and_long_text_is_cut() {
        for (text, shown) in [
            ("grün \"a\" \\ 日本語 \u{1f680}", "grün \"a\" \\ 日本語 \u{1f680}"),
            ("a\u{1b}[2J\r\n\u{202e}b", "a\\u{1b}[2J\\r\\n\\u{202e}b"),
            (
                "\u{8}\t\u{7f}\u{9b}\u{200d}\u{fe0f}\u{e0041}",
                "\\u{8}\\t\\u{7f}\\u{9b}\\u{200d}\\u{fe0f}\\u{e0041}",
            ),
        ] {
            assert_eq!(excerpt(&text), shown);
            assert_eq!(ForeignText::from(text).to_string(), shown);
            assert_eq!(Escaped(shown).to_string(), shown, "escaping twice");
        }
        let long = "ä".repeat(100_000);
        assert_eq!(excerpt(&long).chars().count(), EXCERPT_CHARS_MAX + 1);
        assert_eq!(Escaped(&long).to_string().chars().count(), TEXT_CHARS_MAX + 1);
    }

    #[test]
    fn foreign_text_is_raw_as_data() {
        let text = ForeignText::from("a\nb");
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"a\\nb\"");
        assert_eq!(serde_json::from_str::<ForeignText>("\"a\\nb\"").unwrap(), text);
        assert_eq!(format!("{text:?}"), "\"a\\nb\"");
    }
}
