//! What a reply says: its JSON, its error in any of the known shapes, and how
//! long to wait.

use std::fmt;
use std::time::Duration;

use exokit_model::text::is_hazardous;
use http::HeaderMap;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::storage;
use crate::transport::HttpResponse;

/// Longest error text that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// A successful reply. Its debug form does not show the content, because some
/// replies hold secrets.
#[derive(Clone, PartialEq)]
pub struct Reply {
    operation: String,
    value: Value,
}

/// A reply whose content is not of the expected form.
#[derive(Debug, thiserror::Error)]
#[error("the reply to {operation} is not as expected: {why}")]
pub struct DecodeError {
    /// The operation id of the request.
    pub operation: String,
    /// The fault in words. Of JSON it quotes no value of the reply; of XML it may.
    pub why: String,
}

impl DecodeError {
    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "check that the endpoint is an Exoscale API; if it is, this version of exokit may be too old for it"
    }
}

impl Reply {
    /// Reads the body of a successful reply of the API: a JSON object.
    pub(crate) fn parse(operation: &str, body: &[u8]) -> Result<Self, DecodeError> {
        let failed = |why| DecodeError { operation: operation.to_owned(), why };
        match serde_json::from_slice(body) {
            Ok(value @ Value::Object(_)) => Ok(Self { operation: operation.to_owned(), value }),
            Ok(_) => Err(failed("it is not a JSON object".to_owned())),
            Err(error) => Err(failed(without_values(&error.to_string()))),
        }
    }

    /// A reply without content, as object storage gives it.
    pub(crate) fn empty(operation: &str) -> Self {
        Self { operation: operation.to_owned(), value: Value::Null }
    }

    /// The operation id of the request that this answers.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The content: a JSON object, or `null` from object storage.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The content as a type. Unknown fields are passed over, unless the type
    /// itself forbids them.
    ///
    /// # Errors
    /// When a field is missing or has the wrong type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        T::deserialize(&self.value).map_err(|error: serde_json::Error| DecodeError {
            operation: self.operation.clone(),
            why: without_values(&error.to_string()),
        })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// An error text of the decoder with everything in double quotes taken out:
/// it quotes the values that it stumbles over, and they may be secrets.
fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match (quoted, escaped, c) {
            (true, false, '\\') => escaped = true,
            (true, true, _) => escaped = false,
            (_, _, '"') => {
                quoted = !quoted;
                out.push_str(if quoted { "\"" } else { "…\"" });
            }
            (true, ..) => {}
            (false, ..) => out.push(c),
        }
    }
    out
}

/// The message of an error body in any shape that the API, the gateway before
/// it or object storage is known to send; `None` when it is none of them.
///
/// The shapes (FEINT corpus; egoscale `errors_test.go`): `{"message"}`, the
/// same with `errors[]`, RFC 9457 `{title, detail, errors[]}`, `{"error"}`,
/// and the XML of S3.
pub(crate) fn api_error(body: &[u8]) -> Option<String> {
    if let Some((code, message)) = storage::parse_error(body) {
        return Some(clean(&join(&[code, message])));
    }
    let value: Value = serde_json::from_slice(body).ok()?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut parts: Vec<String> = match text(&value, "message").or_else(|| text(&value, "error")) {
        Some(message) => vec![message],
        None => ["title", "detail"].iter().filter_map(|key| text(&value, key)).collect(),
    };
    if parts.is_empty() {
        return None;
    }
    for error in value.get("errors").and_then(Value::as_array).into_iter().flatten() {
        parts.extend(
            ["message", "detail"]
                .iter()
                .find_map(|key| text(error, key))
                .or(error.as_str().map(str::to_owned)),
        );
    }
    Some(clean(&join(&parts)))
}

/// The message of an error reply for people: that of the API, or else the
/// beginning of the text. What is not known to be a message may be anything,
/// such as the reply of which a proxy lost the status, with a secret that is
/// shown once, or the request itself: values in quotes are left out.
pub(crate) fn message(body: &[u8]) -> String {
    api_error(body).unwrap_or_else(|| match std::str::from_utf8(body) {
        Ok(text) if text.trim().is_empty() => "no message".to_owned(),
        Ok(text) => clean(&without_values(text)),
        Err(_) => "a message that is not text".to_owned(),
    })
}

fn join(parts: &[String]) -> String {
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// One line of limited length without hazardous characters and signatures.
fn clean(text: &str) -> String {
    let unsigned = without_signatures(text);
    let spaced = unsigned.chars().map(|c| if is_hazardous(c) { ' ' } else { c });
    let line: String = spaced.take(MESSAGE_CHARS_MAX).collect();
    line.trim().to_owned()
}

/// A text in which what follows each `signature=`, of a header or of a signed
/// URL, is taken out. With it a request could be sent again.
fn without_signatures(text: &str) -> String {
    const SIGN: &str = "signature=";
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = lower[from..].find(SIGN).map(|at| from + at + SIGN.len()) {
        out.push_str(&text[from..at]);
        out.push('…');
        let ends = |c: char| !(c.is_ascii_alphanumeric() || "+/=%-_".contains(c));
        from = lower[at..].find(ends).map_or(text.len(), |length| at + length);
    }
    out.push_str(&text[from..]);
    out
}

/// How long the reply asks to wait: the header `Retry-After` in seconds or as
/// a date, or the field `retry_after` in seconds, which the API documents for
/// `get-live-balance`.
pub(crate) fn retry_after(reply: &HttpResponse, now: Timestamp) -> Option<Duration> {
    from_header(reply.headers(), now).or_else(|| {
        let value: Value = serde_json::from_slice(reply.body()).ok()?;
        let seconds = value.get("retry_after")?.as_f64()?;
        Duration::try_from_secs_f64(seconds).ok()
    })
}

fn from_header(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn every_shape_of_error_gives_its_message() {
        for (body, expected) in [
            (r#"{"message":"missing keys 'level'"}"#, "missing keys 'level'"),
            (r#"{"message":"invalid","errors":[{"message":"a"},{"message":"b"}]}"#, "invalid; a; b"),
            (
                r##"{"type":"#/http-problem-types/x","title":"Invalid","status":422,"detail":"bad","errors":[{"detail":"c"},"d"]}"##,
                "Invalid; bad; c; d",
            ),
            (r#"{"error":"slow down","retry_after":3}"#, "slow down"),
            ("<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>", "NoSuchBucket; gone"),
        ] {
            assert_eq!(api_error(body.as_bytes()).as_deref(), Some(expected));
        }
    }

    #[test]
    fn other_texts_are_no_api_error_but_still_a_message() {
        for (body, expected) in [
            (&b"Service\r\nUnavailable"[..], "Service  Unavailable"),
            ("\u{feff}4\u{202e}2".as_bytes(), "4 2"),
            (b"", "no message"),
            (b"\xff\xfe", "a message that is not text"),
            (b"{\"key\":\"EXO1\",\"secret\":\"hidden\"}", "{\"…\":\"…\",\"…\":\"…\"}"),
            (b"{\"secret\":\"cut in the mid", "{\"…\":\""),
            (b"[1]", "[1]"),
        ] {
            assert_eq!(api_error(body), None);
            assert_eq!(message(body), expected);
        }
        assert_eq!(message(&[b'x'; 10_000]).len(), MESSAGE_CHARS_MAX);
    }

    #[test]
    fn a_request_that_is_echoed_loses_its_signature() {
        for (body, expected) in [
            (
                "EXO2-HMAC-SHA256 credential=EXO1,expires=7,signature=a+/b== ok",
                "EXO2-HMAC-SHA256 credential=EXO1,expires=7,signature=… ok",
            ),
            ("GET /b?X-Amz-Signature=0aF9&x=Signature=%2F1", "GET /b?X-Amz-Signature=…&x=Signature=…"),
            (r#"{"message":"bad signature=Zm9v, é"}"#, "bad signature=…, é"),
        ] {
            assert_eq!(message(body.as_bytes()), expected);
        }
    }

    #[test]
    fn the_wait_is_read_from_header_or_body() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let wait = |header: Option<&str>, body: &'static str| {
            let mut reply = http::Response::new(Bytes::from_static(body.as_bytes()));
            if let Some(text) = header {
                reply.headers_mut().insert("retry-after", text.parse().unwrap());
            }
            retry_after(&reply, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(Some("7"), ""), Some(7));
        assert_eq!(wait(Some("Mon, 23 Nov 2026 10:01:00 GMT"), ""), Some(60));
        assert_eq!(wait(Some("Mon, 23 Nov 2026 09:00:00 GMT"), ""), Some(0));
        assert_eq!(wait(None, r#"{"error":"x","retry_after":12.5}"#), Some(12));
        assert_eq!(wait(Some("soon"), r#"{"retry_after":-1}"#), None);
        assert_eq!(wait(None, r#"{"retry_after":1e300}"#), None);
    }

    #[test]
    fn unknown_fields_are_passed_over_and_errors_quote_no_value() {
        #[derive(Debug, serde::Deserialize)]
        struct Expected {
            size: u32,
        }
        let reply = Reply::parse("get-x", br#"{"size":3,"new-field":{}}"#).unwrap();
        assert_eq!(reply.decode::<Expected>().unwrap().size, 3);
        let reply = Reply::parse("get-x", br#"{"size":"hid\"den"}"#).unwrap();
        let error = reply.decode::<Expected>().unwrap_err();
        assert!(error.why.contains("invalid type") && !error.why.contains("den"), "{error}");
        assert!(!format!("{reply:?}").contains("den"));
    }

    #[test]
    fn a_cut_or_nested_body_is_an_error() {
        let deep = "[".repeat(100_000);
        for body in ["", "{\"id\":", "[]", "null", "true", &deep] {
            assert!(Reply::parse("x", body.as_bytes()).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(bytes: Vec<u8>, text in "[{}\\[\\]:,\"a-e0-9\\\\<>/]{0,60}") {
            for body in [&bytes[..], text.as_bytes()] {
                let _ = (Reply::parse("x", body), api_error(body), message(body), without_values(&text));
            }
        }
    }
}
