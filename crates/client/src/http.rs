//! HTTP: the routes of the table, with a bearer token.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exokit_cloud::transport::{Transport as HttpClient, TransportError as HttpError};
use exokit_wire::verb::HttpMethod;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tower::ServiceExt as _;
use url::form_urlencoded::Serializer;

use crate::reply;
use crate::transport::{Answer, Request, Transport, TransportError};

/// An agent behind HTTP.
pub struct Http {
    /// Sends HTTP requests.
    pub client: HttpClient,
    /// The agent's address without a slash at the end, such as `http://127.0.0.1:8118`.
    pub base: String,
    /// The bearer token.
    pub token: Option<SecretString>,
}

#[async_trait]
impl Transport for Http {
    fn address(&self) -> &str {
        &self.base
    }

    async fn send(&self, request: &Request, timeout: Duration) -> Result<Answer, TransportError> {
        let sent = self.client.clone().oneshot(self.request(request)?);
        match tokio::time::timeout(timeout, sent).await {
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                Ok(reply::decode(request.verb, &self.base, Some(status), response.body()))
            }
            Ok(Err(error)) => Err(transport_error(&error)),
            Err(_) => Err(TransportError::InDoubt(format!("no answer within {} s", timeout.as_secs()))),
        }
    }
}

impl Http {
    fn request(&self, request: &Request) -> Result<http::Request<Bytes>, TransportError> {
        let mut path = request.verb.path().to_owned();
        let mut body = request.clone();
        for name in request.verb.path_parameters() {
            let value = body.fields.remove(name).map(|value| text(&value)).unwrap_or_default();
            path = path.replace(&format!("{{{name}}}"), &segment(&value));
        }
        let base = &self.base;
        let (mut http, message) = match request.verb.method() {
            HttpMethod::Get => {
                (http::Request::get(format!("{base}{path}{}", query(&body.fields))), Bytes::new())
            }
            HttpMethod::Post => {
                let http = http::Request::post(format!("{base}{path}"));
                (http.header(CONTENT_TYPE, "application/json"), Bytes::from(body.to_message()?))
            }
        };
        let not_sent = |why: String| TransportError::NotSent(why);
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
            // The error of the library has the value in it.
            let mut value = value
                .map_err(|_| not_sent("EXOKIT_AGENT_TOKEN has characters that no token has".to_owned()))?;
            value.set_sensitive(true);
            http = http.header(AUTHORIZATION, value);
        }
        http.body(message).map_err(|error| not_sent(error.to_string()))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn query(fields: &Map<String, Value>) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        query.append_pair(name, &text(value));
    }
    match query.finish() {
        empty if empty.is_empty() => empty,
        query => format!("?{query}"),
    }
}

/// One part of a path: everything but letters, digits and hyphens is escaped.
fn segment(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn transport_error(error: &HttpError) -> TransportError {
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    match error.surely_not_sent() {
        true => TransportError::NotSent(why),
        false => TransportError::InDoubt(why),
    }
}

#[cfg(test)]
mod tests {
    use exokit_wire::envelope::Meta;
    use exokit_wire::verb::Verb;

    use super::*;

    #[test]
    fn parameters_go_where_the_table_has_them() {
        let unused = tower::service_fn(|_| async { unreachable!("nothing is sent") });
        let token = Some(SecretString::from("secret".to_owned()));
        let http = Http { client: HttpClient::new(unused), base: "http://127.0.0.1:1".to_owned(), token };
        let request = |verb, fields: &str, idempotency_key: Option<&str>| {
            let fields = serde_json::from_str(fields).expect("an object");
            let meta = Meta { idempotency_key: idempotency_key.map(str::to_owned), ..Meta::bare() };
            http.request(&Request { verb, fields, meta }).expect("a request")
        };
        let shown = request(Verb::ShowPlan, r#"{"plan":"../a b"}"#, None);
        assert_eq!(shown.uri(), "http://127.0.0.1:1/api/v1/plans/%2E%2E%2Fa%20b");
        let listed = request(Verb::List, r#"{"all":true}"#, None);
        assert_eq!(listed.uri(), "http://127.0.0.1:1/api/v1/environments?all=true");
        assert!(!format!("{listed:?}").contains("secret"));
        let compared = request(Verb::Drift, r#"{"environment":"first"}"#, Some("k"));
        assert_eq!(compared.uri().path(), "/api/v1/environments/first/drift");
        assert_eq!(compared.body(), r#"{"idempotency_key":"k","schema_version":1}"#);
    }
}
