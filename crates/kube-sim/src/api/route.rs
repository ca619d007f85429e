//! From paths to what they name.

use super::call::Call;
use super::query::Query;
use crate::kind::Kind;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Route {
    Resource(Target),
    /// A review: access or identity. The resource is the plural name.
    Review {
        resource: String,
        namespace: Option<String>,
    },
    Metrics {
        pods: bool,
        namespace: Option<String>,
        name: Option<String>,
    },
    /// Discovery, health, version and schemas.
    Discovery,
    /// A resource of Kubernetes that is not simulated.
    Unserved {
        group: String,
        resource: String,
    },
    Unknown,
}

/// Objects of a kind: all, those of a namespace, or one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// The key of the one object.
    pub(crate) fn key(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        crate::store::key(self.namespace.as_deref().unwrap_or_default(), name)
    }

    /// The name of the one object, empty without one.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

const REVIEWS: [(&str, &str); 5] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
];

/// Finds what a path names.
pub(crate) fn parse(path: &str) -> Route {
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["api", "v1", rest @ ..] if !rest.is_empty() => resource("", "v1", rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => resource(group, version, rest),
        [] | ["api" | "apis" | "version" | "healthz" | "readyz" | "livez" | "openapi", ..] => {
            Route::Discovery
        }
        _ => Route::Unknown,
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Route {
    let (namespace, rest) = match rest {
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
        _ => (None, rest),
    };
    let [plural, rest @ ..] = rest else {
        return Route::Unknown;
    };
    let name = rest.first().map(|name| (*name).to_owned());
    if group == "metrics.k8s.io" {
        let is_known = version == "v1beta1" && ["pods", "nodes"].contains(plural);
        let pods = *plural == "pods";
        return if is_known { Route::Metrics { pods, namespace, name } } else { Route::Unknown };
    }
    if version == "v1" && REVIEWS.contains(&(group, *plural)) {
        return Route::Review { resource: (*plural).to_owned(), namespace };
    }
    match Kind::by_path(group, version, plural) {
        Some(kind) if namespace.is_some() && !kind.info().namespaced => Route::Unknown,
        Some(kind) if kind.info().namespaced && namespace.is_none() && name.is_some() => Route::Unknown,
        Some(kind) => {
            let subresource = rest.get(1).map(|part| (*part).to_owned());
            Route::Resource(Target { kind, namespace, name, subresource })
        }
        None if crate::schema::is_known(group, version, plural) => {
            Route::Unserved { group: group.to_owned(), resource: (*plural).to_owned() }
        }
        None => Route::Unknown,
    }
}

/// The verb of a request in the sense of RBAC; empty if its method does not
/// fit.
pub(crate) fn verb(call: &Call<'_>, target: &Target) -> &'static str {
    verb_of(call.request.method(), target, call.query.flag("watch"))
}

fn verb_of(method: &http::Method, target: &Target, watch: bool) -> &'static str {
    match (method.as_str(), target.name.is_some()) {
        ("GET" | "HEAD", false) if watch && target.subresource.is_none() => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", false) => "create",
        ("POST", true) if target.subresource.is_some() => "create",
        ("PUT", true) => "update",
        ("PATCH", true) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "",
    }
}

/// A label of a request, such as `apply-deployment`.
pub(crate) fn operation(request: &http::Request<Bytes>) -> String {
    match parse(request.uri().path()) {
        Route::Resource(target) => {
            let query = Query::parse(request.uri().query().unwrap_or_default());
            let content = request.headers().get("content-type").and_then(|value| value.to_str().ok());
            let is_apply = content.is_some_and(|content| content.starts_with("application/apply-patch"));
            let verb = match verb_of(request.method(), &target, query.flag("watch")) {
                "patch" if is_apply => "apply",
                "" => "unsupported",
                verb => verb,
            };
            let kind = target.kind.info().singular();
            match target.subresource {
                Some(subresource) => format!("{verb}-{kind}-{subresource}"),
                None => format!("{verb}-{kind}"),
            }
        }
        Route::Review { resource, .. } => format!("create-{}", resource.trim_end_matches('s')),
        Route::Metrics { pods, name, .. } => {
            let verb = if name.is_some() { "get" } else { "list" };
            format!("{verb}-{}-metrics", if pods { "pod" } else { "node" })
        }
        Route::Discovery => "kubernetes-discovery".to_owned(),
        Route::Unserved { .. } | Route::Unknown => "kubernetes-unknown".to_owned(),
    }
}
