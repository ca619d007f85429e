//! The official operations: routing of paths and checks of request bodies.
//!
//! `spec/operations.json` is reduced from the official OpenAPI document by
//! `spec/reduce.py`; it holds types, bounds and names, no prose.

mod check;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(crate) use check::check_body;

/// One operation of the official API.
#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    /// The operation id, such as `create-sks-cluster`.
    pub id: String,
    /// The HTTP method.
    pub method: String,
    /// The path below `/v2`, with `{parameters}`.
    pub path: String,
    /// The service that IAM policies know it under.
    pub service: String,
    /// What the request body must look like.
    #[serde(default)]
    pub(crate) body: Option<Shape>,
}

/// The checked part of a schema.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) properties: BTreeMap<String, Shape>,
    pub(crate) required: Vec<String>,
    pub(crate) items: Option<Box<Shape>>,
    pub(crate) values: Option<Box<Shape>>,
    #[serde(rename = "enum")]
    pub(crate) choices: Vec<serde_json::Value>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) nullable: bool,
}

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    // The file is part of the build and read by a test: it cannot fail here.
    serde_json::from_str(include_str!("../../spec/operations.json")).unwrap_or_default()
});

static BY_ROOT: LazyLock<BTreeMap<(&str, &str), Vec<&Operation>>> = LazyLock::new(|| {
    let mut map: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for operation in OPERATIONS.iter() {
        let root = first_segment(&operation.path);
        map.entry((operation.method.as_str(), root)).or_default().push(operation);
    }
    map
});

fn first_segment(path: &str) -> &str {
    let start = path.trim_start_matches('/');
    start.split(['/', ':']).next().unwrap_or(start)
}

/// All operations of the official API, served or not.
pub fn operations() -> &'static [Operation] {
    &OPERATIONS
}

/// The operation behind `method` and `path` (below `/v2`, decoded), with the
/// path parameters.
pub(crate) fn find(method: &str, path: &str) -> Option<(&'static Operation, BTreeMap<String, String>)> {
    BY_ROOT
        .get(&(method, first_segment(path)))?
        .iter()
        .filter_map(|op| matches(&op.path, path).map(|(params, literal)| (*op, params, literal)))
        .max_by_key(|(_, _, literal)| *literal)
        .map(|(op, params, _)| (op, params))
}

/// Whether any method exists for `path`.
pub(crate) fn knows_path(path: &str) -> bool {
    ["GET", "POST", "PUT", "PATCH", "DELETE"].iter().any(|method| find(method, path).is_some())
}

fn matches(pattern: &str, path: &str) -> Option<(BTreeMap<String, String>, usize)> {
    let wanted = pattern.trim_matches('/').split('/');
    let given = path.trim_start_matches('/').split('/');
    if wanted.clone().count() != given.clone().count() {
        return None;
    }
    let mut params = BTreeMap::new();
    let mut literal = 0;
    for (want, have) in wanted.zip(given) {
        let (want, want_action) = action(want);
        let (have, have_action) = if want_action.is_some() { action(have) } else { (have, None) };
        if want_action != have_action {
            return None;
        }
        literal += usize::from(want_action.is_some());
        match want.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(name) if !have.is_empty() => {
                params.insert(name.to_owned(), have.to_owned());
            }
            None if want == have => literal += 1,
            _ => return None,
        }
    }
    Some((params, literal))
}

/// Splits `{id}:attach` into `{id}` and `attach`.
fn action(segment: &str) -> (&str, Option<&str>) {
    match segment.rsplit_once(':') {
        Some((head, tail)) => (head, Some(tail)),
        None => (segment, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_operation() {
        assert_eq!(operations().len(), 371);
        let cases = [
            ("GET", "/zone", "list-zones"),
            ("POST", "/sks-cluster/abc/nodepool", "create-sks-nodepool"),
            ("PUT", "/sks-cluster/abc/nodepool/def:scale", "scale-sks-nodepool"),
            ("PUT", "/security-group/abc:attach", "attach-instance-to-security-group"),
            ("GET", "/dbaas-postgres/n/user/u/password/reveal", "reveal-dbaas-postgres-user-password"),
            ("DELETE", "/load-balancer/a/service/b", "delete-load-balancer-service"),
            ("POST", "/iam-organization-policy:reset", "reset-iam-organization-policy"),
            ("PATCH", "/ai/deployment/a", "update-deployment"),
            ("GET", "/instance/a:password", "reveal-instance-password"),
        ];
        for (method, path, id) in cases {
            assert_eq!(find(method, path).expect(path).0.id, id);
        }
        let (_, params) = find("DELETE", "/security-group/s/rules/r").expect("rule");
        assert_eq!(params["id"], "s");
        assert_eq!(params["rule-id"], "r");
        assert!(find("GET", "/nonsense").is_none());
        assert!(knows_path("/zone") && find("POST", "/zone").is_none());
    }
}
