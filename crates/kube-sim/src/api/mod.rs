//! The API server: from a request to a reply.

mod allocate;
pub(crate) mod body;
mod call;
mod delete;
pub(crate) mod discovery;
mod metrics;
mod openapi;
mod openapi_v2;
mod options;
mod patch;
mod prepare;
mod protobuf;
mod query;
pub(crate) mod rbac;
mod read;
mod reviews;
mod route;
mod scale;
mod strategic;
mod table;
pub(crate) mod validation;
pub(crate) mod watch;
mod write;

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::settings::User;
use body::Answer;
use bytes::Bytes;
use call::Call;
use query::Query;
use rbac::Access;
use route::{Route, Target};
use serde_json::json;
use watch::Watch;

/// The answer to a request.
#[derive(Debug)]
pub enum Reply {
    /// A complete response.
    Whole(http::Response<Bytes>),
    /// A response with status 200 whose body goes on: a watch.
    Watch(Watch),
}

impl Cluster {
    /// Handles one request at `now_ms`, after everything due by then. The user
    /// is authenticated; what the user may do is decided here.
    ///
    /// # Examples
    /// ```
    /// use exokit_kube_sim::{Cluster, Reply, Settings, User};
    ///
    /// let settings = Settings {
    ///     seed: 1, version: "1.35.0".into(), zone: "ch-gva-2".into(),
    ///     pod_start_ms: (1000, 3000), broken_images: vec![],
    /// };
    /// let mut cluster = Cluster::new(settings, 0);
    /// let admin = User { name: "admin".into(), groups: vec!["system:masters".into()] };
    /// let request = http::Request::get("/api/v1/namespaces/default").body(Default::default()).unwrap();
    /// let Reply::Whole(reply) = cluster.handle(0, &admin, &request) else { panic!("no watch") };
    /// assert_eq!(reply.status(), 200);
    /// ```
    pub fn handle(&mut self, now_ms: i64, user: &User, request: &http::Request<Bytes>) -> Reply {
        self.advance(now_ms);
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let call = Call { user, request, query };
        let route = route::parse(request.uri().path());
        if let Route::Resource(target) = &route
            && route::verb(&call, target) == "watch"
        {
            return match self.start_watch(&call, target) {
                Ok(watch) => Reply::Watch(watch),
                Err(refusal) => Reply::Whole(body::refusal(&refusal)),
            };
        }
        let response = match self.answer_route(&call, route) {
            Ok(answer) => body::response(answer),
            Err(refusal) => body::refusal(&refusal),
        };
        Reply::Whole(response)
    }

    /// A label of a request for logs and fault rules, such as
    /// `apply-deployment` or `list-pod`.
    pub fn operation(request: &http::Request<Bytes>) -> String {
        route::operation(request)
    }

    fn answer_route(&mut self, call: &Call<'_>, route: Route) -> Result<Answer, Refusal> {
        match route {
            Route::Resource(target) => self.answer_resource(call, &target),
            Route::Review { resource, namespace } => {
                self.answer_review(call, &resource, namespace.as_deref())
            }
            Route::Metrics { pods, namespace, name } => {
                self.answer_metrics(call, pods, namespace.as_deref(), name.as_deref())
            }
            Route::Discovery => self.answer_discovery(call),
            Route::Unserved { group, resource } => self.answer_unserved(call, &group, &resource),
            Route::Unknown => {
                tracing::warn!(path = call.request.uri().path(), "request for an unknown path");
                Err(Refusal::no_such_path())
            }
        }
    }

    fn answer_resource(&mut self, call: &Call<'_>, target: &Target) -> Result<Answer, Refusal> {
        let verb = route::verb(call, target);
        self.authorize(call.user, verb, target)?;
        match (verb, target.subresource.as_deref()) {
            ("", _) => Err(Refusal::method_not_allowed()),
            ("get" | "update" | "patch", Some("scale")) if target.kind.info().has_scale => {
                self.answer_scale(call, target, verb)
            }
            ("get" | "update" | "patch", Some("status")) if target.kind.info().has_status => {
                if verb == "get" { self.get(call, target) } else { self.write(call, target, verb) }
            }
            ("update", Some("finalize")) if target.kind == Kind::Namespace => self.write(call, target, verb),
            ("create", Some("eviction")) if target.kind == Kind::Pod => self.evict(call, target),
            (_, Some(subresource)) => self.refuse_subresource(call, target, subresource),
            ("get", None) => self.get(call, target),
            ("list", None) => self.list(call, target),
            ("create" | "update" | "patch", None) => self.write(call, target, verb),
            ("delete", None) => self.delete(call, target),
            ("deletecollection", None) => self.delete_collection(call, target),
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    /// Refuses a resource that is not simulated. Definitions of custom resources
    /// can be listed, because clients look there for a kind they do not know:
    /// there are none.
    fn answer_unserved(&self, call: &Call<'_>, group: &str, resource: &str) -> Result<Answer, Refusal> {
        let path = call.request.uri().path();
        let is_list = call.request.method() == http::Method::GET
            && path.ends_with("/customresourcedefinitions")
            && !call.query.flag("watch");
        if !is_list {
            tracing::warn!(path, "request for a resource that is not simulated");
            let what = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
            return Err(Refusal::not_simulated(&what));
        }
        let access = Access { verb: "list", group, resource, ..Access::default() };
        if !self.is_allowed(call.user, &access) {
            let why = format!(
                "User \"{}\" cannot list resource \"{resource}\" in API group \"{group}\" at the cluster scope",
                call.user.name
            );
            return Err(Refusal::forbidden_resource(group, resource, &why));
        }
        let metadata = json!({"resourceVersion": self.store.revision().to_string()});
        let list = json!({
            "kind": "CustomResourceDefinitionList", "apiVersion": "apiextensions.k8s.io/v1",
            "metadata": metadata, "items": [],
        });
        Ok(Answer::object(200, list))
    }

    fn refuse_subresource(
        &self,
        call: &Call<'_>,
        target: &Target,
        subresource: &str,
    ) -> Result<Answer, Refusal> {
        let known: &[&str] = match target.kind {
            Kind::Pod => {
                &["log", "exec", "attach", "portforward", "proxy", "binding", "ephemeralcontainers", "resize"]
            }
            Kind::Service | Kind::Node => &["proxy"],
            Kind::ServiceAccount => &["token"],
            _ => &[],
        };
        let path = call.request.uri().path();
        if known.contains(&subresource) {
            tracing::warn!(path, "request for a subresource that is not simulated");
            let what = format!("{}/{subresource}: containers do not run here", target.kind.info().plural);
            return Err(Refusal::not_simulated(&what));
        }
        tracing::warn!(path, "request for an unknown subresource");
        Err(Refusal::no_such_path())
    }
}
