//! From a request to its reply: routing, authentication, permission, checks,
//! the handler, faults, the journal.

use super::reply::{json_response, text_response};
use super::request::authority;
use super::{
    Change, Effect, Face, HandlerReply, JournalEntry, Kind, OperationRecord, Outcome, PendingOperation,
    Refusal, StoredRequest, World, kinds, kubernetes,
};
use crate::auth::{Exo2Header, Exo2Refusal, cel::Bindings, policy, verify_exo2};
use crate::codec::{http_date, query_pairs, unpercent};
use crate::fault::Fault;
use crate::{price, sos, spec};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An authenticated, permitted and checked call of one operation.
pub(crate) struct Call {
    pub(crate) id: &'static str,
    pub(crate) zone: String,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
    /// Whether a signature was given.
    pub(crate) signed: bool,
}

impl Call {
    /// A path parameter, empty when the operation has none of that name.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// A text field of the body, empty when absent.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.body.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        self.body.get(key).and_then(Value::as_i64)
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.body.get(key).and_then(Value::as_bool)
    }

    /// The id inside a reference field such as `instance: {id}`.
    pub(crate) fn reference(&self, key: &str) -> &str {
        self.body.get(key).and_then(|r| r.get("id")).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Operations that answer without a signature.
const UNSIGNED: [&str; 2] = ["list-zones", "list-instance-types"];

/// Where a request goes.
pub(super) struct Target {
    operation: String,
    zone: String,
    api: Option<(&'static spec::Operation, BTreeMap<String, String>)>,
    path: String,
    /// The cluster whose API server it is.
    pub(super) cluster: Option<String>,
}

/// Puts into a good reply what no client knows: a field, and in place of each
/// state a word. Says whether it did.
fn strange(response: &mut Response<Bytes>) -> bool {
    if !response.status().is_success() {
        return false;
    }
    let Ok(Value::Object(mut reply)) = serde_json::from_slice::<Value>(response.body()) else {
        return false;
    };
    reply.insert("unheard-of".to_owned(), json!({"nested": [1, null, "x"]}));
    if let Some(state) = reply.get_mut("state") {
        *state = json!("contemplating");
    }
    *response.body_mut() = Value::Object(reply).to_string().into();
    true
}

/// The result of executing a request.
pub(crate) struct Executed {
    pub(crate) response: Response<Bytes>,
    pub(crate) effect: Effect,
    pub(crate) key: Option<String>,
    pub(crate) expires_ms: Option<i64>,
    /// How long the operation takes that it began.
    pub(crate) takes_ms: Option<i64>,
}

impl Executed {
    /// A reply that needed no key and changed nothing.
    pub(super) fn plain(response: Response<Bytes>) -> Self {
        Self { response, effect: Effect::None, key: None, expires_ms: None, takes_ms: None }
    }
}

impl World {
    /// A request from a live client: faults apply.
    pub(super) fn receive(&mut self, face: Face, request: &Request<Bytes>) -> Outcome {
        if face == Face::Workload {
            return self.visit(request);
        }
        let target = self.identify(face, request);
        if target.cluster.as_deref().is_some_and(|cluster| !self.answers(cluster)) {
            return Outcome::Unreachable;
        }
        self.count_call(&target.operation);
        let faults = self.draw_faults(&target.operation);
        for fault in &faults {
            if let Some(outcome) = self.before_effect(fault, &faults, face, request) {
                return outcome;
            }
        }
        self.set_active(&faults);
        let done = self.execute(face, request, &target);
        self.active.clear();
        self.after_effect(&faults, request, &target, done)
    }

    /// A request whose client has gone: no faults, no one to answer.
    pub(super) fn execute_now(&mut self, face: Face, request: &Request<Bytes>) -> Outcome {
        if face == Face::Workload {
            return self.visit(request);
        }
        let target = self.identify(face, request);
        if target.cluster.as_deref().is_some_and(|cluster| !self.answers(cluster)) {
            return Outcome::Unreachable;
        }
        let done = self.execute(face, request, &target);
        let reply = done.response.clone();
        self.journalise(request, &target, &done, false);
        Outcome::Reply(reply)
    }

    fn identify(&self, face: Face, request: &Request<Bytes>) -> Target {
        let raw = request.uri().path();
        if face == Face::Sos {
            return Target {
                operation: sos::operation_of(request).to_owned(),
                zone: self.zone_of_host(&authority(request)),
                api: None,
                path: raw.to_owned(),
                cluster: None,
            };
        }
        if face == Face::Kubernetes {
            return Self::identify_in_cluster(request);
        }
        let path = unpercent(raw);
        let (zone, path) = match path.strip_prefix("/zone/").and_then(|p| p.split_once('/')) {
            Some((zone, rest)) => (zone.to_owned(), format!("/{rest}")),
            None => (self.zone_of_host(&authority(request)), path),
        };
        let below = path.strip_prefix("/v2").unwrap_or_default().to_owned();
        let api = spec::find(request.method().as_str(), &below);
        let operation = match (&api, path.starts_with("/api/pricing/")) {
            (Some((op, _)), _) => op.id.clone(),
            (None, true) => "prices".to_owned(),
            (None, false) => "unknown".to_owned(),
        };
        Target { operation, zone, api, path, cluster: None }
    }

    /// A request to the API server of a cluster. Its path in the journal begins
    /// with the cluster.
    fn identify_in_cluster(request: &Request<Bytes>) -> Target {
        let host = authority(request);
        let (cluster, zone) = kubernetes::cluster_of_host(&host).unwrap_or_default();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        Target {
            operation: exokit_kube_sim::Cluster::operation(request),
            zone: zone.to_owned(),
            api: None,
            path: format!("/{cluster}{path}"),
            cluster: Some(cluster.to_owned()),
        }
    }

    /// `api-<zone>.…` and `sos-<zone>.…` name a zone; anything else means the
    /// default one.
    fn zone_of_host(&self, host: &str) -> String {
        let label = host.split('.').next().unwrap_or_default();
        let named = label.strip_prefix("api-").or_else(|| label.strip_prefix("sos-"));
        named.unwrap_or(self.config.default_zone()).to_owned()
    }

    fn before_effect(
        &mut self,
        fault: &Fault,
        all: &[Fault],
        face: Face,
        request: &Request<Bytes>,
    ) -> Option<Outcome> {
        match fault {
            Fault::DropBefore => {
                self.count_effect("drop-before");
                Some(Outcome::Drop)
            }
            Fault::Late { delay_ms } => {
                let request = StoredRequest::of(face, request);
                let lag = all.iter().find_map(|other| match other {
                    Fault::ListLag { ms } => Some(*ms),
                    _ => None,
                });
                self.schedule(*delay_ms, Change::Arrive { request, lag_ms: lag.unwrap_or_default() });
                Some(Outcome::Drop)
            }
            Fault::Status { status, after_effect: false, .. } => {
                self.count_effect(&format!("status {status}"));
                Some(Outcome::Reply(injected(fault)))
            }
            _ => None,
        }
    }

    fn after_effect(
        &mut self,
        faults: &[Fault],
        request: &Request<Bytes>,
        target: &Target,
        mut done: Executed,
    ) -> Outcome {
        let lost =
            faults.iter().find(|f| matches!(f, Fault::DropAfter | Fault::Garbage | Fault::Status { .. }));
        self.journalise(request, target, &done, lost.is_none());
        let happened = done.effect != Effect::None;
        match (lost, happened) {
            (Some(Fault::DropAfter), true) => self.count_effect("drop-after"),
            (Some(Fault::Garbage), true) => self.count_effect("garbage"),
            (Some(Fault::Garbage), false) => self.count_effect("garbage: read"),
            (Some(_), true) => self.count_effect("status after effect"),
            _ => {}
        }
        if faults.contains(&Fault::Strange) && strange(&mut done.response) {
            self.count_effect("strange");
        }
        match lost {
            Some(Fault::DropAfter) => Outcome::Drop,
            Some(Fault::Garbage) => {
                let half = done.response.body().len() / 2;
                let body = done.response.body().slice(..half);
                *done.response.body_mut() = body;
                *done.response.status_mut() = http::StatusCode::OK;
                // A watch does not go on after a body that was cut.
                done.response.extensions_mut().clear();
                Outcome::Reply(done.response)
            }
            Some(fault) => Outcome::Reply(injected(fault)),
            None => Outcome::Reply(done.response),
        }
    }

    fn journalise(&mut self, request: &Request<Bytes>, target: &Target, done: &Executed, whole: bool) {
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return;
        }
        let request_id = self.ids.uuid();
        let body = match (&target.api, &target.cluster) {
            (None, None) => String::new(),
            _ => String::from_utf8_lossy(request.body()).into_owned(),
        };
        let path = match target.cluster {
            Some(_) => target.path.clone(),
            None => request.uri().path().to_owned(),
        };
        self.record(JournalEntry {
            at_ms: self.now,
            operation: target.operation.clone(),
            method: request.method().to_string(),
            path,
            zone: target.zone.clone(),
            body,
            key: done.key.clone(),
            status: done.response.status().as_u16(),
            effect: done.effect.clone(),
            takes_ms: done.takes_ms,
            request_expires_ms: done.expires_ms,
            request_id,
            delivered: whole,
            in_cluster: target.cluster.is_some(),
            params: target.api.as_ref().map(|(_, p)| p.clone()).unwrap_or_default(),
        });
    }

    fn execute(&mut self, face: Face, request: &Request<Bytes>, target: &Target) -> Executed {
        let mut done = match (face, &target.api) {
            (Face::Sos, _) => sos::execute(self, request),
            (Face::Kubernetes, _) => self.kubernetes(request, target),
            (Face::Api | Face::Workload, Some((op, params))) => self.api(request, target, op, params),
            (Face::Api | Face::Workload, None) => match price::price_list(&target.path) {
                Some(list) => Executed::plain(json_response(200, &list)),
                None if spec::knows_path(target.path.strip_prefix("/v2").unwrap_or_default()) => {
                    Executed::plain(Refusal::new(405, "method not allowed").response())
                }
                None => Executed::plain(Refusal::new(404, "not found").response()),
            },
        };
        if let Ok(date) = http::HeaderValue::from_str(&http_date(self.now)) {
            done.response.headers_mut().insert(http::header::DATE, date);
        }
        done
    }

    fn api(
        &mut self,
        request: &Request<Bytes>,
        target: &Target,
        op: &'static spec::Operation,
        params: &BTreeMap<String, String>,
    ) -> Executed {
        if !self.config.zones.contains(&target.zone) {
            return Executed::plain(Refusal::new(404, format!("no zone '{}'", target.zone)).response());
        }
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let claim = Exo2Header::parse(header);
        let unsigned = header.is_none() && UNSIGNED.contains(&op.id.as_str());
        let refused = if unsigned { None } else { self.authenticate(request, &claim).err() };
        let (key, expires_ms) = match claim {
            Ok(claim) => (Some(claim.credential), Some(claim.expires.saturating_mul(1000))),
            Err(_) => (None, None),
        };
        let result = match refused {
            Some(why) => Err(Refusal::forbidden(why.to_string())),
            None => self.permitted(request, target, op, params, key.as_deref()),
        };
        let (response, effect, takes_ms) = match result {
            Ok(HandlerReply::Json(value, effect)) => (json_response(200, &value), effect, None),
            Ok(HandlerReply::Operation(plan)) => {
                let (response, effect, delay) = self.accept(&op.id, plan);
                (response, effect, Some(delay))
            }
            Err(refusal) => (refusal.response(), Effect::None, None),
        };
        Executed { response, effect, key, expires_ms, takes_ms }
    }

    fn authenticate(
        &self,
        request: &Request<Bytes>,
        claim: &Result<Exo2Header, Exo2Refusal>,
    ) -> Result<(), Exo2Refusal> {
        let header = claim.as_ref().map_err(|why| *why)?;
        let record = self.keys.get(&header.credential).ok_or(Exo2Refusal::UnknownKey)?;
        let parts = (request.method().as_str(), request.uri(), &request.body()[..]);
        verify_exo2(header, &record.secret, parts, self.now)
    }

    fn permitted(
        &mut self,
        request: &Request<Bytes>,
        target: &Target,
        op: &'static spec::Operation,
        params: &BTreeMap<String, String>,
        key: Option<&str>,
    ) -> Result<HandlerReply, Refusal> {
        let call = Call {
            id: &op.id,
            zone: target.zone.clone(),
            params: params.clone(),
            query: query_pairs(request.uri().query()).into_iter().collect(),
            body: parse_body(request.body(), op)?,
            signed: key.is_some(),
        };
        if key.is_some_and(|key| !self.may(key, &op.service, &bindings_of(op, &call))) {
            return Err(Refusal::forbidden(format!("{} is not allowed for this key", op.id)));
        }
        let Some(handler) = kinds::handler(&op.id) else {
            tracing::warn!(operation = op.id, "not simulated: answering 501");
            return Err(Refusal::new(501, format!("{} is not simulated", op.id)));
        };
        if let Some(shape) = &op.body {
            let refusal = |errors: Vec<String>| Refusal { status: 400, message: errors.join("; "), errors };
            spec::check_body(shape, &call.body).map_err(refusal)?;
        }
        handler(self, &call)
    }

    /// Whether `key` may do this, by its role's and the organisation's policy.
    pub(crate) fn may(&self, key: &str, service: &str, bindings: &Bindings) -> bool {
        let Some(record) = self.keys.get(key) else {
            return false;
        };
        let Some(role) = &record.role else {
            return true;
        };
        let open = policy::allow_all();
        let role_policy = self.find(Kind::IamRole, role).map(|role| role.doc.get("policy").unwrap_or(&open));
        policy::allows(&self.organization_policy, service, bindings)
            && role_policy.is_some_and(|p| policy::allows(p, service, bindings))
    }

    /// Accepts an operation: records it and schedules how it goes on. Also
    /// says after how many milliseconds it does.
    fn accept(&mut self, operation_id: &str, plan: PendingOperation) -> (Response<Bytes>, Effect, i64) {
        let id = self.ids.uuid();
        let delay = self.delay(plan.latency.unwrap_or(operation_id));
        if (self.slow_factor() - 1.0).abs() > f64::EPSILON {
            self.count_effect("slow");
        }
        let reference = plan.reference.as_ref().map(|(kind, id, parent)| {
            let link = kind.link(id, parent.as_deref());
            json!({"id": id, "link": link, "command": format!("get-{kind}")})
        });
        let record = OperationRecord {
            id: id.clone(),
            state: "pending".to_owned(),
            reason: None,
            message: None,
            reference,
        };
        let reply = json_response(200, &json!(record));
        self.operations.insert(id.clone(), record);
        let effect = plan.effect.clone();
        self.follow(&id, plan, delay);
        (reply, effect, delay)
    }

    fn follow(&mut self, operation: &str, plan: PendingOperation, delay: i64) {
        let finish = |state: &str, reason, message| Change::Finish {
            operation: operation.to_owned(),
            state: state.to_owned(),
            reason,
            message,
        };
        let failure = self.active(|fault| match fault {
            Fault::OperationFails { reason, message, leaves_resource } => {
                Some((reason.clone(), message.clone(), *leaves_resource))
            }
            _ => None,
        });
        if let Some((reason, message, leaves_resource)) = failure {
            for change in undo(&plan.effect, leaves_resource) {
                self.schedule(delay, change);
            }
            self.schedule(delay, Change::Injected { effect: "operation-fails".to_owned() });
            self.schedule(delay, finish("failure", Some(reason), message));
            return;
        }
        if let Some((reason, message)) = plan.fails {
            self.schedule(delay, finish("failure", Some(reason.to_owned()), Some(message)));
            return;
        }
        for mut change in plan.done {
            if let Change::Remove { ghost_ms, .. } = &mut change {
                *ghost_ms = self.lag_ms();
            }
            self.schedule(delay, change);
        }
        if self.active.contains(&Fault::OperationStuck) || plan.for_ever {
            self.schedule(delay, Change::Injected { effect: "operation-stuck".to_owned() });
        } else {
            self.schedule(delay, finish("success", None, None));
        }
    }
}

/// What a failed operation leaves: a created resource vanishes or stays in
/// state `error`; a changed or half deleted one is running again.
fn undo(effect: &Effect, leaves_resource: bool) -> Vec<Change> {
    match effect {
        Effect::Created { kind, id } if leaves_resource => vec![Change::state(*kind, id, "error")],
        Effect::Created { kind, id } => vec![Change::remove(*kind, id)],
        Effect::Updated { kind, id } | Effect::Deleted { kind, id } => match kind {
            Kind::SksCluster
            | Kind::SksNodepool
            | Kind::LoadBalancer
            | Kind::InstancePool
            | Kind::Instance => vec![Change::state(*kind, id, "running")],
            Kind::BlockStorageVolume => vec![Change::state(*kind, id, "detached")],
            _ => Vec::new(),
        },
        Effect::None => Vec::new(),
    }
}

fn injected(fault: &Fault) -> Response<Bytes> {
    let Fault::Status { status, message, retry_after, .. } = fault else {
        return text_response(500, "injected");
    };
    let mut response = match (status, message) {
        (503, text) => text_response(503, text.as_deref().unwrap_or("Service Unavailable")),
        (_, text) => {
            let text = text.as_deref().unwrap_or("injected fault");
            json_response(*status, &json!({"message": text}))
        }
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from(*seconds));
    }
    response
}

fn parse_body(body: &Bytes, op: &spec::Operation) -> Result<Value, Refusal> {
    if op.body.is_none() || body.is_empty() {
        let required = op.body.as_ref().is_some_and(|shape| !shape.required.is_empty());
        return Ok(if required { json!({}) } else { Value::Null });
    }
    serde_json::from_slice(body).map_err(|why| Refusal::bad(format!("malformed JSON: {why}")))
}

/// The names a policy expression can use: a subset of the documented ones.
fn bindings_of(op: &spec::Operation, call: &Call) -> Bindings {
    let mut names = Bindings::new();
    names.insert("operation".to_owned(), op.id.clone());
    names.insert("service".to_owned(), op.service.clone());
    names.insert("zone".to_owned(), call.zone.clone());
    for (name, value) in call.query.iter().chain(&call.params) {
        names.insert(format!("parameters.{name}"), value.clone());
    }
    for (name, value) in call.body.as_object().into_iter().flatten() {
        if let Some(text) = value.as_str() {
            names.insert(format!("parameters.{name}"), text.to_owned());
        }
    }
    let resource = match op.service.as_str() {
        "dbaas" => Some(("dbaas_service.name", call.params.get("service-name").or(call.params.get("name")))),
        "sos" => Some(("bucket", call.params.get("bucket"))),
        _ => None,
    };
    if let Some((name, Some(value))) = resource {
        names.insert(format!("resources.{name}"), value.clone());
    }
    names
}
