//! Sets of fields, in the form of `fieldsV1`.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A set of fields as a tree. The steps are those of `fieldsV1`: `f:name`,
/// `k:{"name":"x"}` for an item with keys, `v:"x"` for an item of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields {
    /// Whether this place itself is in the set.
    pub(crate) own: bool,
    pub(crate) children: BTreeMap<String, Fields>,
}

impl Fields {
    /// The set of just this place.
    pub(crate) fn leaf() -> Self {
        Self { own: true, children: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.children.is_empty()
    }

    /// Reads `fieldsV1`.
    pub(crate) fn read(value: &Value) -> Self {
        let mut fields = Self::default();
        let Value::Object(map) = value else {
            return fields;
        };
        for (step, inner) in map {
            if step == "." {
                fields.own = true;
            } else {
                let mut child = Self::read(inner);
                child.own |= child.children.is_empty();
                fields.children.insert(step.clone(), child);
            }
        }
        fields
    }

    /// Writes `fieldsV1`.
    pub(crate) fn write(&self) -> Value {
        let mut map = Map::new();
        if self.own && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, child) in &self.children {
            map.insert(step.clone(), child.write());
        }
        Value::Object(map)
    }

    /// Adds a child, unless it is empty.
    pub(crate) fn add(&mut self, step: String, child: Self) {
        if !child.is_empty() {
            self.children.insert(step, child);
        }
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.own |= other.own;
        for (step, child) in &other.children {
            self.children.entry(step.clone()).or_default().union(child);
        }
    }

    /// Removes the members of another set.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.own &= !other.own;
        for (step, theirs) in &other.children {
            if let Some(own) = self.children.get_mut(step) {
                own.subtract(theirs);
                if own.is_empty() {
                    self.children.remove(step);
                }
            }
        }
    }

    /// The members of both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self { own: self.own && other.own, children: BTreeMap::new() };
        for (step, child) in &self.children {
            if let Some(theirs) = other.children.get(step) {
                both.add(step.clone(), child.intersection(theirs));
            }
        }
        both
    }

    /// The members that messages show: the deepest ones, as paths.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect_paths(&mut String::new(), &mut found);
        found
    }

    fn collect_paths(&self, prefix: &mut String, found: &mut Vec<String>) {
        if self.own {
            found.push(prefix.clone());
        }
        for (step, child) in &self.children {
            let length = prefix.len();
            prefix.push_str(&step_text(step));
            child.collect_paths(prefix, found);
            prefix.truncate(length);
        }
    }
}

/// A step as messages show it.
pub(crate) fn step_text(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        _ => step.to_owned(),
    }
}
