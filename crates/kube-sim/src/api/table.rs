//! Tables, as `kubectl get` shows them.

mod cells;

use super::call::Call;
use crate::kind::Kind;
use crate::value::{at, name};
use cells::{cells, columns};
use serde_json::{Value, json};
use std::sync::Arc;

/// How a request wants objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Object,
    /// A table with metadata, whole objects or nothing in its rows.
    Table(Include),
}

/// What a row holds beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    Object,
    None,
}

impl Format {
    pub(crate) fn of(call: &Call<'_>) -> Self {
        if !is_wanted(call) {
            return Self::Object;
        }
        Self::Table(match call.query.get("includeObject") {
            Some("Object") => Include::Object,
            Some("None") => Include::None,
            _ => Include::Metadata,
        })
    }

    /// An object as a watch delivers it.
    pub(crate) fn shown(self, kind: Kind, object: &Arc<Value>, now: i64) -> Value {
        match self {
            Self::Object => Value::clone(object),
            Self::Table(include) => {
                let metadata = json!({"resourceVersion": at(object, "metadata.resourceVersion")});
                build(kind, std::slice::from_ref(object), metadata, now, include)
            }
        }
    }
}

/// Whether a request asks for a table.
pub(crate) fn is_wanted(call: &Call<'_>) -> bool {
    // The first type that the server knows wins.
    let accept = call.header("accept");
    let first = accept.split(',').map(str::trim).find(|part| {
        let is_json = part.starts_with("application/json") || part.starts_with("*/*");
        is_json
            && (!part.contains("as=")
                || part.contains("as=Table") && part.contains("v=v1;") | part.contains("v=v1"))
    });
    first.is_some_and(|part| part.contains("as=Table") && !part.contains("v=v1beta1"))
}

/// The table of objects.
pub(crate) fn table(kind: Kind, objects: &[Arc<Value>], metadata: Value, now: i64, call: &Call<'_>) -> Value {
    let include = match Format::of(call) {
        Format::Table(include) => include,
        Format::Object => Include::Metadata,
    };
    build(kind, objects, metadata, now, include)
}

fn build(kind: Kind, objects: &[Arc<Value>], metadata: Value, now: i64, include: Include) -> Value {
    let definitions: Vec<Value> = columns(kind)
        .iter()
        .map(|(name, kind, priority)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": kind, "format": format, "description": name, "priority": priority})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut row = json!({"cells": cells(kind, object, now)});
            match include {
                Include::Object => row["object"] = Value::clone(object),
                Include::Metadata => {
                    row["object"] = json!({
                        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                        "metadata": at(object, "metadata"),
                    });
                }
                Include::None => {}
            }
            row
        })
        .collect();
    debug_assert!(objects.iter().all(|object| !name(object).is_empty()));
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}
