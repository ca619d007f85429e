//! Liveness, readiness and metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus::TEXT_FORMAT;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::response::json_response;
use super::state::App;

/// How long a check of the cloud is reused: monitoring must not use up the budget
/// of API calls.
const CLOUD_CHECK_INTERVAL: Duration = Duration::from_secs(15);

pub(super) async fn alive() -> Response {
    json_response(StatusCode::OK, json!({ "alive": true }).to_string())
}

/// Ready when ledger, cloud and NATS can be used; the reply has each check.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let engine = app.config.service.engine();
    let ledger = engine.parts().ledger.probe().await.map_err(|error| error.to_string());
    let mut checks = vec![("ledger", ledger), ("cloud", cloud(&app).await)];
    if let Some(connected) = &app.config.nats {
        let state = connected.borrow().then_some(()).ok_or("not connected".to_owned());
        checks.push(("nats", state));
    }
    let ready = checks.iter().all(|(_, state)| state.is_ok());
    let reply = checks.into_iter().map(|(name, state)| match state {
        Ok(()) => (name.to_owned(), json!({ "ok": true })),
        Err(why) => (name.to_owned(), json!({ "ok": false, "why": why })),
    });
    let reply: Value = reply.collect::<serde_json::Map<_, _>>().into();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, json!({ "ready": ready, "checks": reply }).to_string())
}

async fn cloud(app: &App) -> Result<(), String> {
    let mut last = app.cloud_check.lock().await;
    if let Some((at, result)) = last.as_ref()
        && at.elapsed() < CLOUD_CHECK_INTERVAL
    {
        return result.clone();
    }
    let zones = app.config.service.reach_cloud().await;
    let result = zones.map_err(|failure| failure.why);
    *last = Some((Instant::now(), result.clone()));
    result
}

pub(super) async fn metrics(State(app): State<App>) -> Response {
    let engine = app.config.service.engine();
    let parts = engine.parts();
    match app.config.metrics.text(parts.ledger.as_ref(), engine.cloud_calls(), parts.clock.now()).await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
