//! The door on HTTP: a route for each operation of the table, live events, and
//! what monitoring asks for.

mod auth;
mod events;
mod fields;
mod health;
mod limits;
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, get};
use exokit_model::ids::PersonId;
use exokit_service::{Caller, Service};
use exokit_wire::MESSAGE_BYTES_MAX;
use exokit_wire::decode::{self, DecodeError};
use exokit_wire::envelope::{Meta, reply};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::{HttpMethod, Verb};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument as _;

use crate::log;
use crate::metrics::Metrics;
use crate::span;
use crate::tokens::{Bearer, Tokens};
use crate::trace::Trace;

pub use health::Links;
pub use limits::{RateLimits, Rates};
pub(crate) use server::{Waits, serve};

/// Longest time in which a request must have come and been answered. Planning
/// asks the cloud a dozen times.
const ANSWER: Duration = Duration::from_secs(60);

/// What the routes share.
pub struct Parts {
    /// The service.
    pub service: Service,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The bearer tokens, replaced as a whole when their file changes.
    pub tokens: Arc<RwLock<Tokens>>,
    /// What readiness depends on besides ledger and cloud.
    pub links: Links,
    /// How often may be asked.
    pub rates: Rates,
    /// True when the agent stops.
    pub stopped: watch::Receiver<bool>,
}

pub(crate) struct Shared {
    parts: Parts,
    limits: RateLimits,
    health: health::Health,
    places: limits::Places,
}

type App = Arc<Shared>;

/// Every route.
pub fn router(parts: Parts) -> Router {
    let limits = RateLimits::new(parts.rates);
    let health = health::Health::default();
    let places = limits::Places::default();
    let shared = Arc::new(Shared { parts, limits, health, places });
    let open = Router::new()
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/openapi.json", get(document))
        .layer(from_fn_with_state(shared.clone(), not_often))
        // It costs no more than a refusal, and whoever asks too often must not
        // have the agent taken for dead.
        .route("/healthz", get(health::alive))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER));
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
        .with_state(shared);
    SECURITY.iter().fold(answered, |router, (name, value)| {
        let name = HeaderName::from_static(name);
        router.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)))
    })
}

/// Headers of every response. Nothing here is for a browser to run or to keep,
/// and no other site may read it.
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

/// Anybody may ask for it, so it is made once.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| exokit_wire::openapi::document(env!("CARGO_PKG_VERSION")));

/// Nobody can have the ledger read thousands of times a second.
async fn not_often(State(app): State<App>, request: Request<Body>, next: Next) -> Response {
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

/// What is nowhere counts like what is refused.
fn no_route(app: &App, headers: &HeaderMap, failure: Failure) -> Response {
    failed(&auth::counted(app, headers).err().unwrap_or(failure))
}

/// Answers one operation: who asks, how often, what, and only then the body.
async fn answer(
    verb: Verb,
    State(app): State<App>,
    Path(path): Path<BTreeMap<String, String>>,
    RawQuery(query): RawQuery,
    request: Request<Body>,
) -> Response {
    let span = span::http(verb);
    let trace = Trace::continued(text(request.headers(), "traceparent"), &span);
    let logged = tracing::info_span!("request", way = "http", operation = verb.name(), trace = %trace.id());
    let outcome =
        outcome(verb, &app, path, query, request).instrument(logged.clone()).instrument(span.clone());
    let outcome = tokio::time::timeout(ANSWER, outcome).await.unwrap_or_else(|_| Err(too_slow(verb)));
    app.parts.metrics.answered(verb, "http", &outcome);
    logged.in_scope(|| log::answered(verb, &outcome));
    span::ended(&span, &outcome);
    let mut response = match &outcome {
        Ok(_) => json_response(StatusCode::OK, reply(&outcome)),
        Err(failure) => failed(failure),
    };
    if let Ok(value) = HeaderValue::from_str(&trace.header()) {
        response.headers_mut().insert("traceparent", value);
    }
    response
}

/// It may have been done.
fn too_slow(verb: Verb) -> Failure {
    let why = format!("it did not come or was not answered within {} s", ANSWER.as_secs());
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
            let admitted = app.parts.service.admit(verb, 0)?;
            (admitted, Meta::bare(), fields::of_query(verb, query.as_deref())?)
        }
        HttpMethod::Post => {
            let bytes = axum::body::to_bytes(request.into_body(), MESSAGE_BYTES_MAX).await;
            let bytes = bytes.map_err(|_| {
                let found = MESSAGE_BYTES_MAX + 1;
                refused(DecodeError::TooLarge { found, most: MESSAGE_BYTES_MAX })
            })?;
            let admitted = app.parts.service.admit(verb, bytes.len())?;
            let mut fields = decode::object(&bytes).map_err(refused)?;
            (admitted, decode::meta(&mut fields).map_err(refused)?, fields)
        }
    };
    fields::add_path(verb, &mut fields, path)?;
    meta.requester = Some(speaks_for(&bearer, meta.requester)?);
    meta.idempotency_key = fields::one_key(verb, meta.idempotency_key, header_key)?;
    let caller = Caller::new(meta, &fields)?;
    app.parts.service.call(admitted, &caller, fields).await
}

/// A token speaks for its person alone.
fn speaks_for(bearer: &Bearer, said: Option<PersonId>) -> Result<PersonId, Failure> {
    match said {
        Some(said) if said != bearer.person => {
            let why = format!("the token speaks for {}, not for {said}", bearer.person);
            let hint = "leave requester out, or use a token of that person";
            Err(Failure::new(Class::Forbidden, "other-requester", "checking", "the token", &why, hint))
        }
        _ => Ok(bearer.person.clone()),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn failed(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, reply(&Err(failure.clone())));
    let headers = response.headers_mut();
    if let Some(ms) = failure.retry_after_ms {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"exokit\""));
    }
    response
}

fn json_response(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
