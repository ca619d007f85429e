//! Replies: documents, operations and refusals.

use super::{Change, Effect, Kind};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

/// What a handler decided.
pub(crate) enum HandlerReply {
    /// A document at once, with what it changed.
    Json(Value, Effect),
    /// An asynchronous operation.
    Operation(PendingOperation),
}

impl HandlerReply {
    /// A document that changed nothing.
    pub(crate) fn read(value: Value) -> Result<Self, Refusal> {
        Ok(Self::Json(value, Effect::None))
    }
}

/// An operation about to be accepted.
pub(crate) struct PendingOperation {
    pub(crate) effect: Effect,
    /// Shown as the operation's reference.
    pub(crate) reference: Option<(Kind, String, Option<String>)>,
    /// The latency entry; absent: that of the operation id.
    pub(crate) latency: Option<&'static str>,
    /// The effect when it is done.
    pub(crate) done: Vec<Change>,
    /// Accepted, but it will fail: reason and message.
    pub(crate) fails: Option<(&'static str, String)>,
    /// Accepted, and never final.
    pub(crate) for_ever: bool,
}

impl PendingOperation {
    pub(crate) fn new(effect: Effect, kind: Kind, id: &str) -> Self {
        Self {
            effect,
            reference: Some((kind, id.to_owned(), None)),
            latency: None,
            done: Vec::new(),
            fails: None,
            for_ever: false,
        }
    }

    /// A resource came into being; `done` follows.
    pub(crate) fn created(kind: Kind, id: &str) -> Self {
        Self::new(Effect::created(kind, id), kind, id)
    }

    /// A resource changes.
    pub(crate) fn updated(kind: Kind, id: &str) -> Self {
        Self::new(Effect::updated(kind, id), kind, id)
    }

    /// A resource goes away when the operation is done.
    pub(crate) fn deleted(kind: Kind, id: &str) -> Self {
        let mut plan = Self::new(Effect::deleted(kind, id), kind, id);
        plan.done.push(Change::Remove { kind, id: id.to_owned(), ghost_ms: 0 });
        plan
    }

    pub(crate) fn then(mut self, change: Change) -> Self {
        self.done.push(change);
        self
    }

    /// Sets a state when done.
    pub(crate) fn then_state(self, kind: Kind, id: &str, state: &str) -> Self {
        self.then(Change::state(kind, id, state))
    }

    pub(crate) fn without_reference(mut self) -> Self {
        self.reference = None;
        self
    }

    pub(crate) fn under(mut self, parent: &str) -> Self {
        if let Some(reference) = &mut self.reference {
            reference.2 = Some(parent.to_owned());
        }
        self
    }

    pub(crate) fn lasting(mut self, latency: &'static str) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Refers to another resource than the one changed.
    pub(crate) fn about(mut self, kind: Kind, id: &str) -> Self {
        self.reference = Some((kind, id.to_owned(), None));
        self
    }

    pub(crate) fn failing(mut self, reason: &'static str, message: String) -> Self {
        self.fails = Some((reason, message));
        self
    }

    pub(crate) fn for_ever(mut self) -> Self {
        self.for_ever = true;
        self
    }

    pub(crate) fn answer(self) -> Result<HandlerReply, Refusal> {
        Ok(HandlerReply::Operation(self))
    }
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) errors: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: Vec::new() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, message)
    }

    pub(crate) fn not_found(kind: Kind) -> Self {
        Self::new(404, format!("{kind} not found"))
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut body = json!({"message": self.message});
        if !self.errors.is_empty() {
            let errors: Vec<Value> = self.errors.iter().map(|e| json!({"message": e})).collect();
            body["errors"] = Value::Array(errors);
        }
        json_response(self.status, &body)
    }
}

/// A reply with a JSON document.
pub(crate) fn json_response(status: u16, body: &Value) -> Response<Bytes> {
    // Faster than by way of its text; a document can always be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    response(status, "application/json; charset=utf-8", body)
}

/// A reply in plain text, as gateways send it.
pub(crate) fn text_response(status: u16, body: &str) -> Response<Bytes> {
    response(status, "text/plain; charset=utf-8", body.to_owned())
}

/// A reply with a body of this type.
pub(crate) fn response(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
