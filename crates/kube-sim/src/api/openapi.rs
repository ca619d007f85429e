//! The schemas that kubectl asks for.

use super::body::{Answer, Content};
use super::call::Call;
use super::openapi_v2;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use serde_json::{Value, json};

/// The document of OpenAPI version 2, as JSON or in protobuf.
pub(crate) fn second(cluster: &Cluster, call: &Call<'_>) -> Answer {
    let document = openapi_v2::document(cluster.schema());
    if call.header("accept").contains("proto-openapi") {
        // The type of the request has an `@`, which is not valid in a reply.
        let content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
        return Answer::content(Content::Other(content_type, openapi_v2::encode(&document)));
    }
    Answer::object(200, document)
}

/// The index or a document of OpenAPI version 3.
pub(crate) fn third(cluster: &Cluster, rest: &[&str]) -> Result<Answer, Refusal> {
    let groups: Vec<(String, String)> = crate::kind::KINDS
        .iter()
        .map(|info| match info.group {
            "" => ("api/v1".to_owned(), "v1".to_owned()),
            group => (format!("apis/{group}/{}", info.version), format!("{group}/{}", info.version)),
        })
        .collect();
    if rest.is_empty() {
        let mut paths = serde_json::Map::new();
        for (path, _) in groups {
            let url = format!("/openapi/v3/{path}?hash=0");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
        return Ok(Answer::object(200, json!({"paths": paths})));
    }
    let wanted = rest.join("/");
    let (_, api_version) =
        groups.into_iter().find(|(path, _)| *path == wanted).ok_or_else(Refusal::no_such_path)?;
    Ok(Answer::object(200, document(cluster, &wanted, &api_version)))
}

/// A document that names the kinds and their paths, and leaves their fields
/// open.
fn document(cluster: &Cluster, path: &str, api_version: &str) -> Value {
    let mut schemas = serde_json::Map::new();
    let mut paths = serde_json::Map::new();
    for info in crate::kind::KINDS.iter().filter(|info| info.api_version() == api_version) {
        let kind = json!([{"group": info.group, "version": info.version, "kind": info.name}]);
        schemas.insert(
            format!("{}.{}", api_version.replace('/', "."), info.name),
            json!({"type": "object", "x-kubernetes-group-version-kind": kind}),
        );
        let place = if info.namespaced { "namespaces/{namespace}/" } else { "" };
        let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation", "force"]
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}))
            .collect();
        let operation = json!({
            "operationId": format!("patch{}", info.name), "parameters": parameters, "responses": {},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": info.group, "version": info.version, "kind": info.name},
        });
        paths.insert(format!("/{path}/{place}{}/{{name}}", info.plural), json!({"patch": operation}));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": format!("v{}", cluster.settings.version)},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}
