//! Typed, pointed access to the keys of a mapping.
//!
//! A [`Decoder`] is one reading of one file. It refuses unknown keys and wrong
//! types, and collects the corrections that a run file may need; a template
//! must need none.

use std::cell::RefCell;
use std::str::FromStr;

use exokit_model::ids::InvalidId;
use exokit_model::spec::Correction;
use serde_saphyr::Spanned;

use crate::error::{DecodeError, SourceLocation, hint_words, join, nearest};
use crate::yaml::{Node, Value, describe, shorten, spelling};

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
    /// The file as the caller named it.
    file: &'a str,
    text: &'a str,
    mode: Mode,
    corrections: RefCell<Vec<Correction>>,
    ignored: RefCell<Vec<IgnoredKey>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str, mode: Mode) -> Self {
        Self { file, text, mode, corrections: RefCell::default(), ignored: RefCell::default() }
    }

    /// The corrections and the ignored keys, in the order of reading.
    pub(crate) fn notes(self) -> (Vec<Correction>, Vec<IgnoredKey>) {
        (self.corrections.into_inner(), self.ignored.into_inner())
    }

    /// Opens a mapping whose keys must be among `known`.
    pub(crate) fn open<'n>(
        &'n self,
        node: &'n Node,
        path: &str,
        known: &[&str],
    ) -> Result<Fields<'n>, DecodeError> {
        let location = node.referenced.into();
        let Value::Map(entries) = &node.value else {
            let why = format!("expected a mapping, found {}", describe(self.text, node));
            let hint = format!("write it as keys and values; known keys: {}", known.join(", "));
            return Err(DecodeError::new(self.file, location, path, why, hint));
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.value.as_str())) {
            self.unknown_key(key, path, known)?;
        }
        Ok(Fields { decoder: self, path: path.to_owned(), location, entries })
    }

    fn unknown_key(&self, key: &Spanned<String>, path: &str, known: &[&str]) -> Result<(), DecodeError> {
        let location: SourceLocation = key.referenced.into();
        let whole = join(path, &shorten(&key.value));
        if self.mode == (Mode::Run { lenient: true }) {
            let ignored = IgnoredKey { key: whole, line: location.line, column: location.column };
            self.ignored.borrow_mut().push(ignored);
            return Ok(());
        }
        let why = match nearest(&key.value, known.iter().copied()) {
            Some(word) => format!("unknown key; the nearest known one is {}", join(path, word)),
            None => "unknown key".to_owned(),
        };
        let mut hint = hint_words(&key.value, known);
        if self.mode != Mode::Template {
            hint.push_str("; or read the file leniently to ignore it");
        }
        Err(DecodeError::new(self.file, location, &whole, why, hint))
    }
}

/// A value, with what is needed to point at it.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) file: String,
    pub(crate) location: SourceLocation,
    pub(crate) key: String,
    pub(crate) value: T,
}

impl<T> At<T> {
    pub(crate) fn refuse(&self, why: impl Into<String>, hint: impl Into<String>) -> DecodeError {
        DecodeError::new(&self.file, self.location, &self.key, why.into(), hint.into())
    }

    /// The same location with another value.
    pub(crate) fn with<U>(&self, value: U) -> At<U> {
        At { file: self.file.clone(), location: self.location, key: self.key.clone(), value }
    }

    /// The error for a key that is not there.
    pub(crate) fn missing(&self) -> DecodeError {
        self.refuse("this key is missing", "state it")
    }
}

impl<T: Clone> At<T> {
    /// The value, if it is `good`.
    pub(crate) fn ensure(
        &self,
        good: bool,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Result<T, DecodeError> {
        if good { Ok(self.value.clone()) } else { Err(self.refuse(why, hint)) }
    }
}

impl At<String> {
    /// The error that the text is not `what`.
    pub(crate) fn wrong(&self, what: &str, hint: &str) -> DecodeError {
        self.refuse(format!("{:?} is not {what}", shorten(&self.value)), hint)
    }

    /// The text, if it is `good`; otherwise the error that it is not `what`.
    pub(crate) fn accept(&self, good: bool, what: &str, hint: &str) -> Result<String, DecodeError> {
        if good { Ok(self.value.clone()) } else { Err(self.wrong(what, hint)) }
    }

    /// The text as a checked name.
    pub(crate) fn id<I: FromStr<Err = InvalidId>>(&self) -> Result<I, DecodeError> {
        self.value.parse().map_err(|error: InvalidId| {
            let why = format!("{:?} is not a valid {}", shorten(&self.value), error.what);
            self.refuse(why, error.rule)
        })
    }

    /// The text as one of `known`.
    pub(crate) fn word<'w>(&self, known: &[&'w str]) -> Result<&'w str, DecodeError> {
        let words: Vec<_> = known.iter().map(|word| (*word, *word)).collect();
        self.choice(&words)
    }

    /// The meaning of the text, which must be one of the words of `known`.
    pub(crate) fn choice<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, DecodeError> {
        let chosen = known.iter().find(|(word, _)| *word == self.value);
        chosen.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            let why = format!("unknown value {:?}", shorten(&self.value));
            self.refuse(why, hint_words(&self.value, &words))
        })
    }
}

/// A free key and its text.
pub(crate) type Pair = (At<String>, At<String>);

/// The keys of one mapping.
pub(crate) struct Fields<'n> {
    decoder: &'n Decoder<'n>,
    path: String,
    location: SourceLocation,
    entries: &'n [(Spanned<String>, Node)],
}

impl<'n> Fields<'n> {
    /// Notes a correction; in a template it is an error.
    pub(crate) fn correct<T>(&self, at: &At<T>, from: &str, to: &str, why: &str) -> Result<(), DecodeError> {
        if self.decoder.mode == Mode::Template {
            let wrong = format!("{:?} is not right: {why}", shorten(from));
            return Err(at.refuse(wrong, format!("write {to}")));
        }
        self.decoder.corrections.borrow_mut().push(Correction {
            field: at.key.as_str().into(),
            from: from.into(),
            to: to.into(),
            why: why.into(),
        });
        Ok(())
    }

    fn node(&self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|(known, _)| known.value == key);
        entry.map(|(_, node)| node).filter(|node| !matches!(node.value, Value::Null))
    }

    fn at<T>(&self, key: &str, location: impl Into<SourceLocation>, value: T) -> At<T> {
        At {
            file: self.decoder.file.to_owned(),
            location: location.into(),
            key: join(&self.path, key),
            value,
        }
    }

    /// Whether the key stands in the file with a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// A value that no key of the file gave.
    pub(crate) fn absent<T>(&self, key: &str, value: T) -> At<T> {
        self.at(key, self.location, value)
    }

    fn wrong(&self, key: &str, node: &Node, expected: &str, hint: &str) -> DecodeError {
        let why = format!("expected {expected}, found {}", describe(self.decoder.text, node));
        self.at(key, node.referenced, ()).refuse(why, hint)
    }

    /// The default for a key that was left out; an error in a template.
    fn default<T>(&self, key: &str, default: T) -> Result<At<T>, DecodeError> {
        let at = self.absent(key, default);
        match self.decoder.mode {
            Mode::Template => Err(at.missing()),
            Mode::Run { .. } => Ok(at),
        }
    }

    /// A text, or a number as it is spelled.
    fn scalar(&self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(_) => Some(spelling(self.decoder.text, node).to_owned()),
            _ => None,
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<At<String>>, DecodeError> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let hint = "write a text; quote it if it is a word such as true";
        let text = self.scalar(node).ok_or_else(|| self.wrong(key, node, "text", hint))?;
        Ok(Some(self.at(key, node.referenced, text)))
    }

    pub(crate) fn text_or(&self, key: &str, default: &str) -> Result<At<String>, DecodeError> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => self.default(key, default.to_owned()),
        }
    }

    pub(crate) fn need_text(&self, key: &str) -> Result<At<String>, DecodeError> {
        self.text(key)?.ok_or_else(|| self.absent(key, ()).missing())
    }

    pub(crate) fn whole_or(&self, key: &str, default: u32) -> Result<At<u32>, DecodeError> {
        let Some(node) = self.node(key) else {
            return self.default(key, default);
        };
        let hint = match node.value {
            Value::Text(_) => "write a number without quotes",
            _ => "write a number such as 2",
        };
        let Value::Number(Some(whole)) = node.value else {
            return Err(self.wrong(key, node, "a whole number", hint));
        };
        match u32::try_from(whole) {
            Ok(value) => Ok(self.at(key, node.referenced, value)),
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
        let texts = items.iter().map(|item| match &item.value {
            Value::Text(text) => Ok(self.at(key, item.referenced, text.clone())),
            _ => Err(self.wrong(key, item, "a text in the list", "write a word")),
        });
        let texts = texts.collect::<Result<_, _>>()?;
        Ok(Some(self.at(key, node.referenced, texts)))
    }

    /// A nested mapping whose keys must be among `known`.
    pub(crate) fn section(&self, key: &str, known: &[&str]) -> Result<Option<Fields<'n>>, DecodeError> {
        let node = self.node(key);
        node.map(|node| self.decoder.open(node, &join(&self.path, key), known)).transpose()
    }

    /// The same; an absent one is empty, and its keys are missed where it
    /// should be.
    pub(crate) fn section_or_empty(&self, key: &str, known: &[&str]) -> Result<Fields<'n>, DecodeError> {
        let empty = || Fields { path: join(&self.path, key), entries: &[], ..*self };
        Ok(self.section(key, known)?.unwrap_or_else(empty))
    }

    /// A section that is there and not switched off. One that does not say
    /// whether it is enabled is: to leave out what was asked for is worse than to
    /// show it in a plan.
    pub(crate) fn enabled(&self, key: &str, known: &[&str]) -> Result<Option<Fields<'n>>, DecodeError> {
        let Some(section) = self.section(key, known)? else {
            return Ok(None);
        };
        Ok(section.flag_or("enabled", true)?.then_some(section))
    }

    /// A nested mapping of free keys to texts.
    pub(crate) fn pairs(&self, key: &str) -> Result<Vec<Pair>, DecodeError> {
        let Some(node) = self.node(key) else {
            return Ok(Vec::new());
        };
        let Value::Map(entries) = &node.value else {
            return Err(self.wrong(key, node, "a mapping", "write it as keys and values"));
        };
        let pair = |(name, node): &(Spanned<String>, Node)| {
            let path = join(key, &name.value);
            let text = match &node.value {
                Value::Bool(value) => Some(value.to_string()),
                _ => self.scalar(node),
            };
            let text = text.ok_or_else(|| self.wrong(&path, node, "text", "write a text"))?;
            let name = self.at(&path, name.referenced, name.value.clone());
            Ok((name, self.at(&path, node.referenced, text)))
        };
        entries.iter().map(pair).collect()
    }
}
