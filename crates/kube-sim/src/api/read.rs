//! Get and list.

use super::body::{Answer, Content};
use super::call::Call;
use super::options;
use super::route::Target;
use super::table;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::selector::{FieldSelector, LabelSelector, labels};
use serde_json::{Value, json};
use std::sync::Arc;

/// Which objects of a kind a request means.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Selection {
    pub(crate) fn of(call: &Call<'_>, target: &Target) -> Result<Self, Refusal> {
        Ok(Self {
            labels: LabelSelector::parse(call.query.get("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(target.kind, call.query.get("fieldSelector").unwrap_or_default())?,
        })
    }

    pub(crate) fn selects(&self, object: &Value) -> bool {
        self.labels.selects(labels(object)) && self.fields.selects(object)
    }
}

impl Cluster {
    /// Answers a request for one object.
    pub(crate) fn get(&self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        if let Some(version) = call.query.get("resourceVersion").filter(|text| text.parse::<u64>().is_err()) {
            return Err(Refusal::internal(options::unreadable_version(version)));
        }
        let object = self
            .store
            .get(target.kind, &target.key())
            .ok_or_else(|| Refusal::not_found(target.kind.info(), target.name()))?;
        if table::is_wanted(call) {
            let table = table::table(target.kind, std::slice::from_ref(object), json!({}), self.now, call);
            return Ok(Answer::object(200, table));
        }
        Ok(Answer::object(200, Arc::clone(object)))
    }

    /// Answers a request for the objects of a kind, of one namespace or of all.
    pub(crate) fn list(&self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        let selection = Selection::of(call, target)?;
        options::check_list(call, false)?;
        let limit = options::limit(call)?;
        let (revision, after) = match call.query.get("continue") {
            Some(token) => read_token(token)?,
            None => (self.store.revision(), None),
        };
        if self.store.changes_after(revision).is_none() && revision < self.store.revision() {
            let message = "The provided continue parameter is too old to display a consistent list result. \
                           You can start a new list without the continue parameter.";
            return Err(Refusal::expired(message));
        }
        let mut items: Vec<Arc<Value>> = Vec::new();
        let mut last = String::new();
        let mut remaining = 0;
        for (key, object) in self.store.range(target.kind, target.namespace.as_deref(), after.as_deref()) {
            // The store behind a real server counts before anything is selected.
            if limit.is_some_and(|limit| items.len() >= limit) {
                remaining += 1;
                continue;
            }
            if !selection.selects(object) {
                continue;
            }
            key.clone_into(&mut last);
            items.push(Arc::clone(object));
        }
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if remaining > 0 {
            metadata["continue"] = json!(write_token(revision, &last));
            if selection.labels.is_empty() && selection.fields.is_empty() {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        if table::is_wanted(call) {
            return Ok(Answer::object(200, table::table(target.kind, &items, metadata, self.now, call)));
        }
        Ok(Answer::content(Content::Written(written_list(target, &items, &metadata))))
    }
}

/// A list, written without copying its items. Items of a list carry no kind of
/// their own, as the real server leaves it out.
fn written_list(target: &Target, items: &[Arc<Value>], metadata: &Value) -> Vec<u8> {
    let info = target.kind.info();
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        info.name,
        info.api_version()
    );
    let mut out = head.into_bytes();
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        let fields =
            item.as_object().into_iter().flatten().filter(|(key, _)| *key != "kind" && *key != "apiVersion");
        out.push(b'{');
        for (place, (key, value)) in fields.enumerate() {
            if place > 0 {
                out.push(b',');
            }
            // Keys of the first level are names of fields and need no escape.
            out.push(b'"');
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut out, value);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_token(revision: u64, last: &str) -> String {
    percent_encoding::utf8_percent_encode(&format!("{revision}:{last}"), percent_encoding::NON_ALPHANUMERIC)
        .to_string()
}

fn read_token(token: &str) -> Result<(u64, Option<String>), Refusal> {
    let decoded = percent_encoding::percent_decode_str(token).decode_utf8_lossy();
    decoded
        .split_once(':')
        .and_then(|(revision, last)| Some((revision.parse().ok()?, Some(last.to_owned()))))
        .ok_or_else(|| Refusal::bad_request("continue key is not valid"))
}
