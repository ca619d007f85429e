//! Typed, pointed access to the keys of a mapping.
//!
//! A [`Decoder`] is one reading of one file. It refuses unknown keys and wrong
//! types, and collects the corrections that a run file may need; a template
//! must need none.

use std::str::FromStr;

use exokit_model::ids::InvalidId;
use exokit_model::spec::Correction;

use crate::error::{DecodeError, Place, hint_words, nearest};
use crate::yaml::{Entry, Node, Value, shorten};

/// How strictly a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Every key is stated and nothing needs correction.
    Template,
    /// Keys may be left out, mistakes of the earlier kit are corrected.
    Run {
        /// Unknown keys are reported, not refused.
        lenient: bool,
    },
}

/// A key that was ignored, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredKey {
    /// The key, such as `database.engine`.
    pub key: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

/// One reading of one file.
pub(crate) struct Decoder<'a> {
    pub(crate) file: &'a str,
    pub(crate) mode: Mode,
    pub(crate) corrections: Vec<Correction>,
    pub(crate) ignored: Vec<IgnoredKey>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(file: &'a str, mode: Mode) -> Self {
        Self { file, mode, corrections: Vec::new(), ignored: Vec::new() }
    }

    /// Opens a mapping whose keys must be among `known`.
    pub(crate) fn open<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        known: &[&'static str],
    ) -> Result<Fields<'n>, DecodeError>
    where
        'a: 'n,
    {
        let Value::Map(entries) = &node.value else {
            let why = format!("expected a mapping, found {}", node.value.describe());
            let hint = format!("write it as keys and values; known keys: {}", known.join(", "));
            return Err(DecodeError::new(self.file, node.place, path, why, hint));
        };
        for entry in entries {
            if !known.contains(&entry.key.as_str()) {
                self.unknown_key(entry, path, known)?;
            }
        }
        Ok(Fields {
            file: self.file,
            complete: self.mode == Mode::Template,
            path: path.to_owned(),
            place: node.place,
            entries,
        })
    }

    fn unknown_key(&mut self, entry: &Entry, path: &str, known: &[&'static str]) -> Result<(), DecodeError> {
        let key = join(path, &shorten(&entry.key));
        if self.mode == (Mode::Run { lenient: true }) {
            self.ignored.push(IgnoredKey { key, line: entry.place.line, column: entry.place.column });
            return Ok(());
        }
        let why = match nearest(&entry.key, known.iter().copied()) {
            Some(word) => format!("unknown key; the nearest known one is {}", join(path, word)),
            None => "unknown key".to_owned(),
        };
        let mut hint = hint_words(&entry.key, known);
        if self.mode != Mode::Template {
            hint.push_str("; or read the file leniently to ignore it");
        }
        Err(DecodeError::new(self.file, entry.place, &key, why, hint))
    }

    /// Notes a correction; in a template it is an error.
    pub(crate) fn correct<T>(
        &mut self,
        at: &At<T>,
        from: &str,
        to: &str,
        why: &str,
    ) -> Result<(), DecodeError> {
        if self.mode == Mode::Template {
            let wrong = format!("{:?} is not right: {why}", shorten(from));
            return Err(at.refuse(wrong, format!("write {to}")));
        }
        self.corrections.push(Correction {
            field: at.key.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
            why: why.to_owned(),
        });
        Ok(())
    }
}

/// A dotted path.
pub(crate) fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// A value, with what is needed to point at it.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) file: String,
    pub(crate) place: Place,
    pub(crate) key: String,
    pub(crate) value: T,
}

impl<T> At<T> {
    pub(crate) fn refuse(&self, why: String, hint: impl Into<String>) -> DecodeError {
        DecodeError::new(&self.file, self.place, &self.key, why, hint.into())
    }

    /// The same place with another value.
    pub(crate) fn with<U>(&self, value: U) -> At<U> {
        At { file: self.file.clone(), place: self.place, key: self.key.clone(), value }
    }
}

impl At<String> {
    /// The text as a checked name.
    pub(crate) fn id<I: FromStr<Err = InvalidId>>(&self) -> Result<I, DecodeError> {
        self.value.parse().map_err(|error: InvalidId| {
            let why = format!("{:?} is not a valid {}", shorten(&self.value), error.what);
            self.refuse(why, error.rule)
        })
    }

    /// The text as one of `known`.
    pub(crate) fn word<'w>(&self, known: &[&'w str]) -> Result<&'w str, DecodeError> {
        known.iter().find(|word| **word == self.value).copied().ok_or_else(|| {
            let why = format!("unknown value {:?}", shorten(&self.value));
            self.refuse(why, hint_words(&self.value, known))
        })
    }
}

/// A free key and its text.
pub(crate) type Pair = (At<String>, At<String>);

/// The keys of one mapping.
pub(crate) struct Fields<'n> {
    file: &'n str,
    complete: bool,
    path: String,
    place: Place,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    fn node(&self, key: &str) -> Option<&'n Node> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
            .filter(|node| !matches!(node.value, Value::Null))
    }

    fn at<T>(&self, key: &str, place: Place, value: T) -> At<T> {
        At { file: self.file.to_owned(), place, key: join(&self.path, key), value }
    }

    /// Whether the key stands in the file with a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// A value that no key of the file gave.
    pub(crate) fn absent<T>(&self, key: &str, value: T) -> At<T> {
        self.at(key, self.place, value)
    }

    fn wrong(&self, key: &str, node: &Node, expected: &str, hint: &str) -> DecodeError {
        let why = format!("expected {expected}, found {}", node.value.describe());
        self.at(key, node.place, ()).refuse(why, hint)
    }

    /// The default for a key that was left out; an error in a template.
    fn default<T>(&self, key: &str, default: T) -> Result<At<T>, DecodeError> {
        let at = self.absent(key, default);
        match self.complete {
            true => Err(at.refuse("this key is missing".to_owned(), "state it")),
            false => Ok(at),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<At<String>>, DecodeError> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Number { spelled, .. } => spelled.clone(),
            _ => {
                return Err(self.wrong(
                    key,
                    node,
                    "text",
                    "write a text; quote it if it is a word such as true",
                ));
            }
        };
        Ok(Some(self.at(key, node.place, text)))
    }

    pub(crate) fn text_or(&self, key: &str, default: &str) -> Result<At<String>, DecodeError> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => self.default(key, default.to_owned()),
        }
    }

    pub(crate) fn need_text(&self, key: &str) -> Result<At<String>, DecodeError> {
        self.text(key)?
            .ok_or_else(|| self.absent(key, ()).refuse("this key is missing".to_owned(), "state it"))
    }

    pub(crate) fn whole_or(&self, key: &str, default: u32) -> Result<At<u32>, DecodeError> {
        let Some(node) = self.node(key) else {
            return self.default(key, default);
        };
        let hint = match node.value {
            Value::Text(_) => "write a number without quotes",
            _ => "write a number such as 2",
        };
        let Value::Number { whole: Some(whole), .. } = node.value else {
            return Err(self.wrong(key, node, "a whole number", hint));
        };
        match u32::try_from(whole) {
            Ok(value) => Ok(self.at(key, node.place, value)),
            Err(_) => Err(self.wrong(key, node, "a whole number from 0 to 4294967295", hint)),
        }
    }

    pub(crate) fn flag_or(&self, key: &str, default: bool) -> Result<bool, DecodeError> {
        match self.node(key) {
            None => self.default(key, default).map(|at| at.value),
            Some(Node { value: Value::Bool(value), .. }) => Ok(*value),
            Some(node) => Err(self.wrong(key, node, "true or false", "write true or false, without quotes")),
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Option<At<Vec<At<String>>>>, DecodeError> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let Value::List(items) = &node.value else {
            return Err(self.wrong(key, node, "a list", "write it as lines that begin with a hyphen"));
        };
        let mut texts = Vec::new();
        for item in items {
            let Value::Text(text) = &item.value else {
                return Err(self.wrong(key, item, "a text in the list", "write a word"));
            };
            texts.push(self.at(key, item.place, text.clone()));
        }
        Ok(Some(self.at(key, node.place, texts)))
    }

    /// A nested mapping whose keys must be among `known`.
    pub(crate) fn section(
        &self,
        decoder: &mut Decoder<'n>,
        key: &str,
        known: &[&'static str],
    ) -> Result<Option<Fields<'n>>, DecodeError> {
        match self.node(key) {
            Some(node) => decoder.open(node, &join(&self.path, key), known).map(Some),
            None => Ok(None),
        }
    }

    /// A nested mapping of free keys to texts.
    pub(crate) fn pairs(&self, key: &str) -> Result<Vec<Pair>, DecodeError> {
        let Some(node) = self.node(key) else {
            return Ok(Vec::new());
        };
        let Value::Map(entries) = &node.value else {
            return Err(self.wrong(key, node, "a mapping", "write it as keys and values"));
        };
        entries
            .iter()
            .map(|entry| {
                let path = join(key, &entry.key);
                let text = match &entry.node.value {
                    Value::Text(text) => text.clone(),
                    Value::Number { spelled, .. } => spelled.clone(),
                    Value::Bool(value) => value.to_string(),
                    _ => return Err(self.wrong(&path, &entry.node, "text", "write a text")),
                };
                Ok((self.at(&path, entry.place, entry.key.clone()), self.at(&path, entry.node.place, text)))
            })
            .collect()
    }
}
