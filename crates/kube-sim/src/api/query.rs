//! The parameters of a request.

use std::collections::BTreeMap;

/// Parameters by name; the first of several values counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let mut map = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            map.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(map)
    }

    /// A parameter that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a parameter is a true flag.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| ["true", "1"].contains(&value))
    }

    /// Whether the request must change nothing.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.get("dryRun").is_some()
    }
}
