//! Why a file was refused: where exactly, what is wrong and what to do.

use exokit_model::text::excerpt;
use serde_saphyr::Location;

/// A refused file, pointing at the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{why}", self.key_prefix())]
pub struct DecodeError {
    /// The file as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1, in characters.
    pub column: u64,
    /// The key, such as `database.type`; empty when the file as a whole is
    /// refused.
    pub key: String,
    /// What is wrong, in words.
    pub why: String,
    hint: String,
}

impl DecodeError {
    pub(crate) fn new(file: &str, location: SourceLocation, key: &str, why: String, hint: String) -> Self {
        Self {
            file: file.to_owned(),
            line: location.line,
            column: location.column,
            key: key.to_owned(),
            why,
            hint,
        }
    }

    fn key_prefix(&self) -> String {
        match self.key.as_str() {
            "" => String::new(),
            key => format!("{}: ", excerpt(&key)),
        }
    }

    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// A line and column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceLocation {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl SourceLocation {
    /// The beginning of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl From<Location> for SourceLocation {
    fn from(location: Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// A dotted path.
pub(crate) fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// The known word that `text` most likely was meant to be, if any is near.
pub(crate) fn nearest<'w>(text: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Longer texts are not compared: the cost grows with the product of the
    // lengths, and no known word is nearly that long.
    if text.len() > 80 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    known
        .into_iter()
        .map(|word| {
            let distance = strsim::damerau_levenshtein(&lower, &word.to_ascii_lowercase());
            (distance, word)
        })
        .filter(|(distance, word)| *distance <= word.len().div_ceil(2).max(1))
        .min()
        .map(|(_, word)| word)
}

/// A hint that names the nearest known word, or all of them.
pub(crate) fn hint_words(text: &str, known: &[&str]) -> String {
    match nearest(text, known.iter().copied()) {
        Some(word) => format!("did you mean {word}? known: {}", known.join(", ")),
        None => format!("use one of {}", known.join(", ")),
    }
}
