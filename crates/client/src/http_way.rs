//! The way over HTTP: the routes of the table, with a bearer token.

use std::time::Duration;

use bytes::Bytes;
use exokit_cloud::transport::{Transport, TransportError};
use exokit_model::ids::PersonId;
use exokit_wire::envelope::Meta;
use exokit_wire::verb::{HttpMethod, Verb};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tower::ServiceExt as _;
use url::form_urlencoded::Serializer;

use crate::Lost;

/// An agent's HTTP.
pub struct HttpWay {
    transport: Transport,
    base: String,
    token: Option<SecretString>,
}

impl HttpWay {
    /// The agent at `base`, such as `http://127.0.0.1:8118`.
    #[must_use]
    pub fn new(transport: Transport, base: String, token: Option<SecretString>) -> Self {
        Self { transport, base, token }
    }

    pub(crate) async fn send(
        &self,
        verb: Verb,
        fields: &Map<String, Value>,
        person: Option<&PersonId>,
        key: Option<&str>,
        within: Duration,
    ) -> Result<(Option<u16>, Bytes), Lost> {
        let request = self.request(verb, fields.clone(), person, key).map_err(Lost::NotSent)?;
        let sent = self.transport.clone().oneshot(request);
        match tokio::time::timeout(within, sent).await {
            Ok(Ok(response)) => Ok((Some(response.status().as_u16()), response.into_body())),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err(Lost::InDoubt(format!("no answer within {} s", within.as_secs()))),
        }
    }

    fn request(
        &self,
        verb: Verb,
        mut fields: Map<String, Value>,
        person: Option<&PersonId>,
        key: Option<&str>,
    ) -> Result<http::Request<Bytes>, String> {
        let mut path = verb.path().to_owned();
        for name in verb.path_parameters() {
            let value = fields.remove(name).map(|value| text(&value)).unwrap_or_default();
            path = path.replace(&format!("{{{name}}}"), &segment(&value));
        }
        let (method, address, body) = match verb.method() {
            HttpMethod::Get => {
                let query = query(&fields);
                (http::Method::GET, format!("{}{path}{query}", self.base), Bytes::new())
            }
            HttpMethod::Post => {
                let idempotency_key = key.map(str::to_owned);
                let meta = Meta { requester: person.cloned(), idempotency_key, ..Meta::bare() };
                let message = meta.around(&fields).map_err(|error| error.to_string())?;
                (http::Method::POST, format!("{}{path}", self.base), Bytes::from(message.to_string()))
            }
        };
        let mut request = http::Request::builder().method(method).uri(address);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
            // The error of the library has the value in it.
            let mut value =
                value.map_err(|_| "EXOKIT_AGENT_TOKEN has characters that no token has".to_owned())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.body(body).map_err(|error| error.to_string())
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

fn lost(error: &TransportError) -> Lost {
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    match error.surely_not_sent() {
        true => Lost::NotSent(why),
        false => Lost::InDoubt(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_go_where_the_table_has_them() {
        let nowhere = tower::service_fn(|_| async { unreachable!("nothing is sent") });
        let token = Some(SecretString::from("secret".to_owned()));
        let way = HttpWay::new(Transport::new(nowhere), "http://127.0.0.1:1".to_owned(), token);
        let fields = |text: &str| -> Map<String, Value> { serde_json::from_str(text).expect("an object") };
        let request = way.request(Verb::ShowPlan, fields(r#"{"plan":"../a b"}"#), None, None).expect("sent");
        assert_eq!(request.uri(), "http://127.0.0.1:1/api/v1/plans/%2E%2E%2Fa%20b");
        let request = way.request(Verb::List, fields(r#"{"all":true}"#), None, None).expect("sent");
        assert_eq!(request.uri(), "http://127.0.0.1:1/api/v1/environments?all=true");
        assert!(!format!("{request:?}").contains("secret"));
        let drift = fields(r#"{"environment":"first"}"#);
        let request = way.request(Verb::Drift, drift, None, Some("k")).expect("sent");
        assert_eq!(request.uri().path(), "/api/v1/environments/first/drift");
        assert_eq!(request.body(), r#"{"idempotency_key":"k","schema_version":1}"#);
    }
}
