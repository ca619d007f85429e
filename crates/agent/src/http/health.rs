//! Whether the agent is alive, whether it can do its work, and what it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{App, json_response};
use crate::exposition::Form;

/// For how long an answer about the cloud is repeated: monitoring must not use
/// up the budget of API calls.
const CLOUD_KEPT: Duration = Duration::from_secs(15);

/// Connections that the agent has besides ledger and cloud.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// Whether NATS is connected; none when it is not used.
    pub nats: Option<Arc<AtomicBool>>,
}

/// What was found out last.
#[derive(Default)]
pub(crate) struct Health {
    cloud: Mutex<Option<(Instant, Result<(), String>)>>,
}

pub(super) async fn alive() -> Response {
    json_response(StatusCode::OK, json!({ "alive": true }).to_string())
}

/// Ready when all that the work needs is there; each is named.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let engine = app.parts.service.engine();
    let ledger = engine.parts().ledger.probe().await.map_err(|error| error.to_string());
    let mut checks = vec![("ledger", ledger), ("cloud", cloud(&app).await)];
    if let Some(connected) = &app.parts.links.nats {
        let state = connected.load(Ordering::Relaxed).then_some(()).ok_or("not connected".to_owned());
        checks.push(("nats", state));
    }
    let ready = checks.iter().all(|(_, state)| state.is_ok());
    let told = checks.into_iter().map(|(name, state)| match state {
        Ok(()) => (name.to_owned(), json!({ "ok": true })),
        Err(why) => (name.to_owned(), json!({ "ok": false, "why": why })),
    });
    let told: Value = told.collect::<serde_json::Map<_, _>>().into();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, json!({ "ready": ready, "checks": told }).to_string())
}

async fn cloud(app: &App) -> Result<(), String> {
    let mut kept = app.health.cloud.lock().await;
    if let Some((at, answer)) = kept.as_ref()
        && at.elapsed() < CLOUD_KEPT
    {
        return answer.clone();
    }
    let zones = app.parts.service.reach_cloud().await;
    let answer = zones.map_err(|failure| failure.why);
    *kept = Some((Instant::now(), answer.clone()));
    answer
}

pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let engine = app.parts.service.engine();
    let parts = engine.parts();
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let (form, calls) = (Form::wanted(accept), engine.cloud_calls());
    match app.parts.metrics.text(form, parts.ledger.as_ref(), calls, parts.clock.now()).await {
        Ok(text) => ([(header::CONTENT_TYPE, form.content_type())], text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
