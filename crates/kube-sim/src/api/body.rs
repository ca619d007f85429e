//! Bodies of requests and replies.

use super::call::Call;
use super::protobuf;
use crate::refusal::Refusal;
use crate::schema::Schema;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use std::sync::Arc;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) content: Content,
    pub(crate) warnings: Vec<String>,
}

/// The body of an answer.
pub(crate) enum Content {
    /// One object.
    Object(Arc<Value>),
    /// A JSON text that is written already.
    Written(Vec<u8>),
    /// Plain text.
    Text(String),
    /// Something else, with its type.
    Other(&'static str, Vec<u8>),
}

impl Answer {
    pub(crate) fn object(code: u16, object: impl Into<Arc<Value>>) -> Self {
        Self { code, content: Content::Object(object.into()), warnings: Vec::new() }
    }

    pub(crate) fn content(content: Content) -> Self {
        Self { code: 200, content, warnings: Vec::new() }
    }

    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }
}

/// The response of an answer.
pub(crate) fn response(answer: Answer) -> http::Response<Bytes> {
    let (content_type, bytes) = match answer.content {
        Content::Object(object) => ("application/json", serde_json::to_vec(&*object).unwrap_or_default()),
        Content::Written(bytes) => ("application/json", bytes),
        Content::Text(text) => ("text/plain; charset=utf-8", text.into_bytes()),
        Content::Other(content_type, bytes) => (content_type, bytes),
    };
    let mut response = http::Response::new(Bytes::from(bytes));
    *response.status_mut() = http::StatusCode::from_u16(answer.code).unwrap_or(http::StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    for warning in &answer.warnings {
        let text: String = warning.chars().filter(|letter| !letter.is_control()).collect();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
    response
}

/// The response of a refusal.
pub(crate) fn refusal(refusal: &Refusal) -> http::Response<Bytes> {
    response(Answer::object(refusal.code, refusal.status()))
}

/// The body of a request as JSON: it may be in protobuf, as a value of the type
/// called `type_name`.
pub(crate) fn read(call: &Call<'_>, schema: &Schema, type_name: &str) -> Result<Value, Refusal> {
    match call.header("content-type").split(';').next().unwrap_or_default().trim() {
        "" | "application/json" => parse(call.request.body(), type_name),
        PROTOBUF => protobuf::decode(schema, type_name, call.request.body()).ok_or_else(|| {
            Refusal::bad_request("the object provided is unrecognized (must be of type protobuf)")
        }),
        _ => Err(Refusal::unsupported_media_type()),
    }
}

/// The body of a request as JSON of a type.
fn parse(body: &Bytes, type_name: &str) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let shown: String = body.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        let shown = match body.as_ref() {
            [] => "<empty>",
            [one] if one.is_ascii_graphic() => &char::from(*one).to_string(),
            _ => shown.as_str(),
        };
        Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {type_name}): couldn't get version/kind; \
             json parse error: {} ({shown})",
            go_error(&error)
        ))
    })
}

/// The body of a patch as JSON.
pub(crate) fn patch(body: &Bytes) -> Result<Value, Refusal> {
    let refuse = |error: serde_json::Error| {
        Refusal::bad_request(format!("error decoding patch: {}", go_error(&error)))
    };
    serde_json::from_slice(body).map_err(refuse)
}

/// An error of JSON as Go words it.
fn go_error(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected end of JSON input".to_owned() } else { error.to_string() }
}
