//! Discovery, health and version.

use super::body::{Answer, Content};
use super::call::Call;
use super::openapi;
use crate::cluster::Cluster;
use crate::kind::{KINDS, KindInfo};
use crate::refusal::Refusal;
use serde_json::{Value, json};

/// The groups beside the core group, in the order of preference.
const GROUPS: [(&str, &str); 12] = [
    ("apps", "v1"),
    ("authentication.k8s.io", "v1"),
    ("authorization.k8s.io", "v1"),
    ("autoscaling", "v2"),
    ("coordination.k8s.io", "v1"),
    ("discovery.k8s.io", "v1"),
    ("networking.k8s.io", "v1"),
    ("policy", "v1"),
    ("rbac.authorization.k8s.io", "v1"),
    ("storage.k8s.io", "v1"),
    ("metrics.k8s.io", "v1beta1"),
    ("", "v1"),
];

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl Cluster {
    /// Answers a request for discovery, health, version or schemas.
    pub(crate) fn answer_discovery(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let path = call.request.uri().path().trim_end_matches('/');
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let object = match parts.as_slice() {
            [] => {
                json!({"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]})
            }
            ["healthz" | "readyz" | "livez", ..] => {
                return Ok(Answer::content(Content::Text("ok".to_owned())));
            }
            ["version"] => self.version(),
            ["api"] if wants_aggregated(call) => return Ok(aggregated(true)),
            ["apis"] if wants_aggregated(call) => return Ok(aggregated(false)),
            ["api"] => json!({
                "kind": "APIVersions", "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.96.0.1:443"}],
            }),
            ["apis"] => {
                let groups: Vec<Value> =
                    named_groups().map(|(group, version)| api_group(group, version)).collect();
                json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
            }
            ["apis", group] => {
                let (group, version) =
                    named_groups().find(|(name, _)| name == group).ok_or_else(Refusal::no_such_path)?;
                let mut object = api_group(group, version);
                object["kind"] = json!("APIGroup");
                object["apiVersion"] = json!("v1");
                object
            }
            ["api", "v1"] => resource_list("", "v1"),
            ["apis", group, version] if GROUPS.contains(&(group, version)) => resource_list(group, version),
            ["openapi", "v2"] => return Ok(openapi::second(self, call)),
            ["openapi", "v3", rest @ ..] => return openapi::third(self, rest),
            _ => return Err(Refusal::no_such_path()),
        };
        Ok(Answer::object(200, object))
    }

    fn version(&self) -> Value {
        let version = self.settings.version.trim_start_matches('v');
        let mut parts = version.split('.');
        json!({
            "major": parts.next().unwrap_or("1"),
            "minor": parts.next().unwrap_or("0"),
            "gitVersion": format!("v{version}"),
            "gitCommit": "0000000000000000000000000000000000000000",
            "gitTreeState": "clean",
            "buildDate": "2025-12-01T00:00:00Z",
            "goVersion": "go1.25",
            "compiler": "gc",
            "platform": "linux/amd64",
        })
    }
}

fn named_groups() -> impl Iterator<Item = (&'static str, &'static str)> {
    GROUPS.into_iter().filter(|(group, _)| !group.is_empty())
}

fn wants_aggregated(call: &Call<'_>) -> bool {
    call.header("accept").split(',').any(|part| {
        part.contains("as=APIGroupDiscoveryList")
            && part.contains("g=apidiscovery.k8s.io")
            && part.contains("v=v2;")
            || part.trim() == AGGREGATED
    })
}

fn api_group(group: &str, version: &str) -> Value {
    let entry = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [entry], "preferredVersion": entry})
}

/// One resource or subresource as discovery shows it.
struct Shown {
    name: String,
    singular: String,
    namespaced: bool,
    kind: &'static str,
    /// Group and version of the kind, if not those of the list.
    foreign: Option<(&'static str, &'static str)>,
    verbs: Vec<&'static str>,
    short: Option<&'static str>,
    in_all: bool,
}

const ALL_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const SOME_VERBS: [&str; 3] = ["get", "patch", "update"];

fn shown_resources(group: &str, version: &str) -> Vec<Shown> {
    let mut shown = Vec::new();
    for info in KINDS.iter().filter(|info| info.group == group && info.version == version) {
        shown.push(main_resource(info));
        let mut subresource = |name: &str, kind, foreign, verbs: &[&'static str]| {
            shown.push(Shown {
                name: format!("{}/{name}", info.plural),
                singular: String::new(),
                namespaced: info.namespaced,
                kind,
                foreign,
                verbs: verbs.to_vec(),
                short: None,
                in_all: false,
            });
        };
        if info.has_scale {
            subresource("scale", "Scale", Some(("autoscaling", "v1")), &SOME_VERBS);
        }
        if info.has_status {
            subresource("status", info.name, None, &SOME_VERBS);
        }
        if info.name == "Pod" {
            subresource("eviction", "Eviction", Some(("policy", "v1")), &["create"]);
            subresource("log", "Pod", None, &["get"]);
        }
    }
    let extra: &[(&str, &'static str, bool)] = match group {
        "authorization.k8s.io" => &[
            ("localsubjectaccessreviews", "LocalSubjectAccessReview", true),
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
            ("selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
            ("subjectaccessreviews", "SubjectAccessReview", false),
        ],
        "authentication.k8s.io" => &[("selfsubjectreviews", "SelfSubjectReview", false)],
        "metrics.k8s.io" => &[("nodes", "NodeMetrics", false), ("pods", "PodMetrics", true)],
        _ => &[],
    };
    for (name, kind, namespaced) in extra {
        let verbs = if group == "metrics.k8s.io" { vec!["get", "list"] } else { vec!["create"] };
        shown.push(Shown {
            name: (*name).to_owned(),
            singular: kind.to_ascii_lowercase(),
            namespaced: *namespaced,
            kind,
            foreign: None,
            verbs,
            short: None,
            in_all: false,
        });
    }
    shown
}

fn main_resource(info: &'static KindInfo) -> Shown {
    const IN_ALL: [&str; 7] =
        ["Pod", "Service", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "HorizontalPodAutoscaler"];
    Shown {
        name: info.plural.to_owned(),
        singular: info.singular(),
        namespaced: info.namespaced,
        kind: info.name,
        foreign: None,
        verbs: ALL_VERBS.to_vec(),
        short: info.short,
        in_all: IN_ALL.contains(&info.name),
    }
}

fn resource_list(group: &str, version: &str) -> Value {
    let resources: Vec<Value> = shown_resources(group, version)
        .into_iter()
        .map(|shown| {
            let mut resource = json!({
                "name": shown.name, "singularName": shown.singular, "namespaced": shown.namespaced,
                "kind": shown.kind, "verbs": shown.verbs,
            });
            if let Some((group, version)) = shown.foreign {
                resource["group"] = json!(group);
                resource["version"] = json!(version);
            }
            if let Some(short) = shown.short {
                resource["shortNames"] = json!([short]);
            }
            if shown.in_all {
                resource["categories"] = json!(["all"]);
            }
            resource
        })
        .collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

fn aggregated(is_core: bool) -> Answer {
    let groups: Vec<Value> = GROUPS
        .into_iter()
        .filter(|(group, _)| group.is_empty() == is_core)
        .map(|(group, version)| {
            let version = json!({
                "version": version, "freshness": "Current", "resources": aggregated_resources(group, version),
            });
            match is_core {
                true => json!({"metadata": {"creationTimestamp": null}, "versions": [version]}),
                false => {
                    json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": [version]})
                }
            }
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": groups,
    });
    Answer::content(Content::Other(AGGREGATED, list.to_string().into_bytes()))
}

fn aggregated_resources(group: &str, version: &str) -> Vec<Value> {
    let mut resources: Vec<Value> = Vec::new();
    for shown in shown_resources(group, version) {
        let (kind_group, kind_version) = shown.foreign.unwrap_or(("", ""));
        let kind = match shown.foreign {
            Some(_) => json!({"group": kind_group, "version": kind_version, "kind": shown.kind}),
            None => json!({"group": group, "version": version, "kind": shown.kind}),
        };
        if let Some((_, subresource)) = shown.name.split_once('/') {
            if let Some(parent) = resources.last_mut() {
                let list = crate::value::list(crate::value::place(parent, "subresources"));
                list.push(json!({"subresource": subresource, "responseKind": kind, "verbs": shown.verbs}));
            }
            continue;
        }
        let mut resource = json!({
            "resource": shown.name, "responseKind": kind,
            "scope": if shown.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": shown.singular, "verbs": shown.verbs,
        });
        if let Some(short) = shown.short {
            resource["shortNames"] = json!([short]);
        }
        if shown.in_all {
            resource["categories"] = json!(["all"]);
        }
        resources.push(resource);
    }
    resources
}
