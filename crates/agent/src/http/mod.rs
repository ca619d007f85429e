//! The agent over HTTP: a route for each operation of the table, live events, and
//! health and metrics.

mod auth;
mod events;
mod fields;
mod health;
mod limits;
mod response;
mod server;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, get};
use exokit_model::access::RequesterProof;
use exokit_model::ids::PersonId;
use exokit_service::Caller;
use exokit_spans::request::{TRACEPARENT, TraceContext};
use exokit_wire::MESSAGE_BYTES_MAX;
use exokit_wire::decode::{self, DecodeError};
use exokit_wire::envelope::{Meta, reply};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::{HttpMethod, Verb};
use serde_json::Value;
use serde_json::value::RawValue;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use self::limits::{ListenerSlots, RateLimits};
use self::response::{failed, json_response, text};
use self::state::{App, RouterState};
use crate::outcome;
use crate::tokens::Token;

pub use limits::Rates;
pub(crate) use server::{Timeouts, serve};
pub(crate) use state::RouterConfig;

/// Longest time to receive and answer a request. Planning calls the cloud a dozen
/// times.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn router(config: RouterConfig) -> Router {
    let limits = RateLimits::new(config.rates);
    let listeners = ListenerSlots::default();
    let state = Arc::new(RouterState { config, limits, cloud_check: Default::default(), listeners });
    let open = Router::new()
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/openapi.json", get(document))
        .layer(from_fn_with_state(state.clone(), limit_rate))
        // Not limited: it costs no more than a refusal, and a client that sends too
        // many requests must not make the agent look dead.
        .route("/healthz", get(health::alive))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT));
    let mut by_path: BTreeMap<&str, MethodRouter<App>> = BTreeMap::new();
    for verb in Verb::ALL.iter().copied() {
        let methods = by_path.remove(verb.path()).unwrap_or_default();
        by_path.insert(
            verb.path(),
            methods.on(filter(verb), move |state, path, query, request| {
                answer(verb, state, path, query, request)
            }),
        );
    }
    let routes = by_path.into_iter().fold(open, |router, (path, methods)| router.route(path, methods));
    let answered = routes
        .route("/api/v1/events/stream", get(events::stream))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .with_state(state);
    SECURITY.iter().fold(answered, |router, (name, value)| {
        let name = HeaderName::from_static(name);
        router.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)))
    })
}

/// Headers of every response. A browser must not run or keep a response, and no
/// other site may read it.
const SECURITY: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

fn filter(verb: Verb) -> MethodFilter {
    match verb.method() {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
    }
}

/// The OpenAPI document. Its route is open, so it is rendered once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| exokit_wire::schema::openapi(env!("CARGO_PKG_VERSION")));

/// Limits the rate of open routes, because they read the ledger.
async fn limit_rate(State(app): State<App>, request: Request<Body>, next: Next) -> Response {
    match app.limits.open(request.uri().path()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failed(&failure),
    }
}

async fn document() -> Response {
    json_response(StatusCode::OK, DOCUMENT.to_string())
}

async fn unknown(State(app): State<App>, headers: HeaderMap) -> Response {
    let (why, hint) = ("there is no such route", "GET /api/v1/openapi.json lists all routes");
    let failure = Failure::new(Class::NotFound, "no-route", "finding", "the route", why, hint);
    no_route(&app, &headers, failure)
}

async fn other_method(State(app): State<App>, headers: HeaderMap) -> Response {
    let (why, hint) = ("this route has another method", "GET /api/v1/openapi.json lists all routes");
    let failure = Failure::new(Class::Invalid, "method", "finding", "the route", why, hint);
    let failure = Failure { status: StatusCode::METHOD_NOT_ALLOWED.as_u16(), ..failure };
    no_route(&app, &headers, failure)
}

/// A request without a route counts like one that is refused.
fn no_route(app: &App, headers: &HeaderMap, failure: Failure) -> Response {
    failed(&auth::counted(app, headers).err().unwrap_or(failure))
}

/// Answers one operation. Token, rate and capacity are checked before the body is
/// read.
async fn answer(
    verb: Verb,
    State(app): State<App>,
    Path(path): Path<BTreeMap<String, String>>,
    RawQuery(query): RawQuery,
    request: Request<Body>,
) -> Response {
    let span = span(verb);
    let trace = TraceContext::continued(text(request.headers(), TRACEPARENT), &span);
    let log_span =
        tracing::info_span!("request", way = "http", operation = verb.name(), trace = %trace.trace_id());
    let outcome =
        outcome(verb, &app, path, query, request).instrument(log_span.clone()).instrument(span.clone());
    let outcome =
        tokio::time::timeout(REQUEST_TIMEOUT, outcome).await.unwrap_or_else(|_| Err(too_slow(verb)));
    log_span.in_scope(|| outcome::record(&app.config.metrics, &span, (verb, "http"), &outcome));
    let mut response = match &outcome {
        Ok(_) => json_response(StatusCode::OK, reply(&outcome)),
        Err(failure) => failed(failure),
    };
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    response
}

fn span(verb: Verb) -> Span {
    let method = method_name(verb);
    tracing::trace_span!(
        "http",
        otel.name = format_args!("{method} {}", verb.path()),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = method,
        http.route = verb.path(),
        http.response.status_code = Empty,
        infra.request = verb.name(),
        "error.type" = Empty,
    )
}

fn method_name(verb: Verb) -> &'static str {
    match verb.method() {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
    }
}

/// The operation may have been done.
fn too_slow(verb: Verb) -> Failure {
    let why = format!("it did not come or was not answered within {} s", REQUEST_TIMEOUT.as_secs());
    let hint = "send the same again under the same idempotency key";
    let failure = Failure::new(Class::Unavailable, "timeout", "answering", verb.name(), &why, hint);
    Failure { status: StatusCode::REQUEST_TIMEOUT.as_u16(), ..failure }
}

async fn outcome(
    verb: Verb,
    app: &App,
    path: BTreeMap<String, String>,
    query: Option<String>,
    request: Request<Body>,
) -> Result<Box<RawValue>, Failure> {
    let bearer = auth::bearer(app, request.headers(), verb.scope())?;
    let header_key = text(request.headers(), "idempotency-key").map(str::to_owned);
    let refused = |error: DecodeError| error.failure(verb.name());
    let (admitted, mut meta, mut fields) = match verb.method() {
        HttpMethod::Get => {
            let admitted = app.config.service.admit(verb, 0)?;
            (admitted, Meta::bare(), fields::of_query(verb, query.as_deref())?)
        }
        HttpMethod::Post => {
            let bytes = axum::body::to_bytes(request.into_body(), MESSAGE_BYTES_MAX).await;
            let bytes = bytes.map_err(|_| {
                let found = MESSAGE_BYTES_MAX + 1;
                refused(DecodeError::TooLarge { found, most: MESSAGE_BYTES_MAX })
            })?;
            let admitted = app.config.service.admit(verb, bytes.len())?;
            let mut fields = decode::object(&bytes).map_err(refused)?;
            (admitted, decode::meta(&mut fields).map_err(refused)?, fields)
        }
    };
    fields::add_path(verb, &mut fields, path)?;
    meta.requester = Some(speaks_for(&bearer, meta.requester)?);
    meta.idempotency_key = fields::one_key(verb, meta.idempotency_key, header_key)?;
    let caller = Caller::new(meta, &fields, RequesterProof::Bearer)?;
    app.config.service.call(admitted, &caller, fields).await
}

/// A token speaks for its person only.
fn speaks_for(bearer: &Token, said: Option<PersonId>) -> Result<PersonId, Failure> {
    match said {
        Some(said) if said != bearer.person => {
            let why = format!("the token speaks for {}, not for {said}", bearer.person);
            let hint = "leave requester out, or use a token of that person";
            Err(Failure::new(Class::Forbidden, "other-requester", "checking", "the token", &why, hint))
        }
        _ => Ok(bearer.person.clone()),
    }
}
