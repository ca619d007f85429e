//! `managedFields`: reading, writing, tracking of updates, and apply.

use super::fields::Fields;
use super::typed::{compare_objects, merge, object_fields, remove};
use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::schema::{Schema, Type};
use crate::time::rfc3339;
use crate::value::{at, items, set, text};
use serde_json::{Value, json};

/// Who writes an object, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) subresource: String,
    pub(crate) api_version: String,
    pub(crate) now: i64,
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: String,
    is_apply: bool,
    api_version: String,
    subresource: String,
    time: String,
    fields: Fields,
}

impl Entry {
    fn read(value: &Value) -> Self {
        Self {
            manager: text(value, "manager").to_owned(),
            is_apply: text(value, "operation") == "Apply",
            api_version: text(value, "apiVersion").to_owned(),
            subresource: text(value, "subresource").to_owned(),
            time: text(value, "time").to_owned(),
            fields: Fields::read(at(value, "fieldsV1")),
        }
    }

    fn write(&self) -> Value {
        let mut value = json!({
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "manager": self.manager,
            "operation": if self.is_apply { "Apply" } else { "Update" },
        });
        if !self.time.is_empty() {
            set(&mut value, "time", self.time.as_str());
        }
        set(&mut value, "fieldsV1", self.fields.write());
        if !self.subresource.is_empty() {
            set(&mut value, "subresource", self.subresource.as_str());
        }
        value
    }

    fn is_of(&self, writer: &Writer, is_apply: bool) -> bool {
        self.manager == writer.manager && self.is_apply == is_apply && self.subresource == writer.subresource
    }

    /// As messages about conflicts show it.
    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.is_apply {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }
}

fn read(object: &Value) -> Vec<Entry> {
    items(object, "metadata.managedFields").iter().map(Entry::read).collect()
}

fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    // Apply first, then by time, as the real server sorts.
    entries.sort_by(|a, b| {
        (!a.is_apply, &a.time, &a.manager, &a.subresource).cmp(&(
            !b.is_apply,
            &b.time,
            &b.manager,
            &b.subresource,
        ))
    });
    let entries: Vec<Value> = entries.iter().map(Entry::write).collect();
    if entries.is_empty() {
        crate::value::remove(object, "metadata.managedFields");
    } else {
        set(object, "metadata.managedFields", Value::Array(entries));
    }
}

/// Records in `new` that a writer has made it out of `old`.
pub(crate) fn track_update(
    schema: &Schema,
    kind: Kind,
    old: Option<&Value>,
    new: &mut Value,
    writer: &Writer,
) {
    let root = schema.named(kind.info().name);
    let comparison = compare_objects(schema, &root, old, new, &writer.subresource);
    let mut entries = old.map(read).unwrap_or_default();
    if comparison.changed.is_empty() && comparison.removed.is_empty() {
        write_back(new, old);
        return;
    }
    let mut own = match entries.iter().position(|entry| entry.is_of(writer, false)) {
        Some(place) => entries.swap_remove(place),
        None => Entry {
            manager: writer.manager.clone(),
            is_apply: false,
            api_version: writer.api_version.clone(),
            subresource: writer.subresource.clone(),
            time: String::new(),
            fields: Fields::default(),
        },
    };
    for entry in &mut entries {
        entry.fields.subtract(&comparison.changed);
        entry.fields.subtract(&comparison.removed);
    }
    own.fields.union(&comparison.changed);
    own.fields.subtract(&comparison.removed);
    own.time = rfc3339(writer.now);
    entries.push(own);
    write(new, entries);
}

fn write_back(new: &mut Value, old: Option<&Value>) {
    match old.map(|old| at(old, "metadata.managedFields")).filter(|fields| !fields.is_null()) {
        Some(fields) => set(new, "metadata.managedFields", fields.clone()),
        None => {
            crate::value::remove(new, "metadata.managedFields");
        }
    }
}

/// Applies a document to an object, or makes the object out of it. `None` means
/// that the object stays as it is.
pub(crate) fn apply(
    schema: &Schema,
    kind: Kind,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer,
    force: bool,
) -> Result<Option<Value>, Refusal> {
    let root = schema.named(kind.info().name);
    let wanted = object_fields(schema, &root, applied, &writer.subresource);
    let mut object = live.cloned().unwrap_or_else(|| json!({}));
    let mut applied = applied.clone();
    crate::value::remove(&mut applied, "metadata.managedFields");
    merge(schema, &root, &mut object, &applied);
    let mut entries = live.map(read).unwrap_or_default();
    let own = entries.iter().position(|entry| entry.is_of(writer, true)).map(|place| entries.remove(place));
    let mut is_same = false;
    if let Some(live) = live {
        let comparison = compare_objects(schema, &root, Some(live), &object, &writer.subresource);
        is_same = comparison.changed.is_empty();
        resolve_conflicts(&mut entries, &comparison.changed, force)?;
    }
    // Only a change of the object is dated, not one of its managers.
    let mut time = own.as_ref().map(|own| own.time.clone()).unwrap_or_default();
    if let Some(own) = &own {
        let others: Vec<&Fields> = entries.iter().map(|entry| &entry.fields).collect();
        let surplus = prunable(&own.fields, Some(&wanted), &others);
        remove(schema, &root, &mut object, &surplus);
        if is_same && own.fields == wanted {
            return Ok(None);
        }
    }
    if live.is_none_or(|live| is_changed(schema, &root, live, &object, writer)) {
        time = rfc3339(writer.now);
    }
    entries.push(Entry {
        manager: writer.manager.clone(),
        is_apply: true,
        api_version: writer.api_version.clone(),
        subresource: writer.subresource.clone(),
        time,
        fields: wanted,
    });
    write(&mut object, entries);
    Ok(Some(object))
}

/// Whether an object has changed beyond its managers.
fn is_changed(schema: &Schema, root: &Type, old: &Value, new: &Value, writer: &Writer) -> bool {
    let comparison = compare_objects(schema, root, Some(old), new, &writer.subresource);
    !comparison.changed.is_empty() || !comparison.removed.is_empty()
}

/// Refuses changes to fields of other managers, or takes the fields from them.
fn resolve_conflicts(entries: &mut [Entry], changed: &Fields, force: bool) -> Result<(), Refusal> {
    let mut conflicts = Vec::new();
    for entry in entries {
        let contested = entry.fields.intersection(changed);
        if force {
            entry.fields.subtract(&contested);
        } else {
            let shown = entry.shown();
            conflicts.extend(contested.paths().into_iter().map(|path| (shown.clone(), path)));
        }
    }
    if conflicts.is_empty() { Ok(()) } else { Err(Refusal::apply_conflict(&conflicts)) }
}

/// The fields that were applied before, are not any more, and belong to no
/// other manager.
fn prunable(last: &Fields, wanted: Option<&Fields>, others: &[&Fields]) -> Fields {
    let is_wanted = wanted.is_some_and(|wanted| !wanted.is_empty());
    let is_shared = others.iter().any(|fields| !fields.is_empty());
    let mut surplus =
        Fields { own: last.own && !is_wanted && !is_shared, children: std::collections::BTreeMap::new() };
    for (step, child) in &last.children {
        let theirs: Vec<&Fields> = others.iter().filter_map(|fields| fields.children.get(step)).collect();
        let wanted = wanted.and_then(|wanted| wanted.children.get(step));
        surplus.add(step.clone(), prunable(child, wanted, &theirs));
    }
    surplus
}
