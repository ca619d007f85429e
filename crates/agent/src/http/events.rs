//! Live progress as Server-Sent Events: the records of the ledger with their
//! sequence numbers, so that a client that reconnects continues after the last one.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use exokit_wire::event::EventMessage;
use exokit_wire::failure::Failure;
use exokit_wire::reply::EventsReply;
use exokit_wire::request::EventsRequest;
use exokit_wire::verb::{Scope, Verb};
use futures_util::stream::{self, Stream, StreamExt as _};

use super::limits::ListenerSlot;
use super::response::{failed, text};
use super::state::App;
use super::{auth, fields};

const POLL_INTERVAL: Duration = Duration::from_millis(250);

struct Listener {
    app: App,
    /// Headers of its request, with the token.
    headers: HeaderMap,
    request: EventsRequest,
    _slot: ListenerSlot,
}

pub(super) async fn stream(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match listener(app, query.as_deref(), headers) {
        Ok(listener) => Sse::new(events(listener)).keep_alive(KeepAlive::default()).into_response(),
        Err(failure) => failed(&failure),
    }
}

fn listener(app: App, query: Option<&str>, headers: HeaderMap) -> Result<Listener, Failure> {
    let bearer = auth::bearer(&app, &headers, Scope::Read)?;
    let fields = fields::of_query(Verb::Events, query)?;
    let request = exokit_wire::decode::body(fields);
    let mut request: EventsRequest = request.map_err(|error| error.failure(Verb::Events.name()))?;
    // A client that reconnects sends the last sequence number.
    if let Some(seen) = text(&headers, "last-event-id").and_then(|id| id.parse().ok()) {
        request.after = request.after.max(seen);
    }
    let slot = app.listeners.take(&bearer.id)?;
    Ok(Listener { app, headers, request, _slot: slot })
}

/// Ends when the agent stops, so that the shutdown does not wait for the listener,
/// and when the token is no longer valid.
fn events(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    let pages = stream::unfold(listener, |mut listener| async move {
        let mut stop = listener.app.config.stop.clone();
        while !*stop.borrow() && auth::still(&listener.app, &listener.headers, Scope::Read) {
            match page(&listener).await {
                Ok(page) if !page.events.is_empty() => {
                    listener.request.after = page.next;
                    return Some((page.events, listener));
                }
                Ok(page) => listener.request.after = page.next,
                // The client reconnects and receives the failure then.
                Err(_) => return None,
            }
            let _ = tokio::time::timeout(POLL_INTERVAL, stop.changed()).await;
        }
        None
    });
    pages.flat_map(|events| stream::iter(events.into_iter().map(|event| Ok(sent(&event)))))
}

async fn page(listener: &Listener) -> Result<EventsReply, Failure> {
    listener.app.config.service.events(listener.request.clone()).await
}

fn sent(event: &EventMessage) -> Event {
    let kind = event.event.get("type").and_then(|kind| kind.as_str()).unwrap_or("record");
    let message = Event::default().id(event.seq.to_string()).event(kind);
    let text = serde_json::to_string(event).unwrap_or_default();
    message.data(text)
}
