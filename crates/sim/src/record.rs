//! Exchanges of the API, written down one JSON object per line, for a judge
//! outside this project.
//!
//! Headers are not written but for the reply's content type, so a signature
//! never is. Values under keys that name a secret are replaced.

use crate::{Outcome, SimError};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What stands for a secret, and for a body that is not JSON. It is text, is
/// long enough for a password, and is base64.
const PLACEHOLDER: &str = "redacted";

/// A key that ends so holds a secret: `admin-password`, `bearer-token`.
const SECRET_ENDINGS: [&str; 6] = ["password", "secret", "token", "kubeconfig", "user-data", "api-key"];

/// The file that exchanges go to; cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl Recorder {
    /// Appends to the file `path`, which is made if it does not exist.
    pub fn append(path: &Path) -> Result<Self, SimError> {
        let file = File::options().append(true).create(true).open(path);
        let file = file.map_err(|source| SimError::Record { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: Arc::new(Mutex::new(file)) })
    }

    /// Writes one exchange; without reply, `status` is null.
    pub(crate) fn write(&self, request: &Request<Bytes>, outcome: &Outcome) -> Result<(), SimError> {
        let mut line = json!({
            "method": request.method().as_str(),
            "path": request.uri().path(),
            "query": request.uri().query().unwrap_or_default(),
            "body": readable(request.body()),
            "status": null,
        });
        if let Outcome::Reply(reply) = outcome {
            line["status"] = reply.status().as_u16().into();
            line["type"] = reply.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).into();
            line["reply"] = readable(reply.body());
        }
        // One write per line: whoever reads, or ends this process, finds whole lines.
        let line = format!("{line}\n");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(|source| SimError::Record { path: self.path.clone(), source })
    }
}

/// The body without its secrets; null when there is none.
fn readable(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let mut value = serde_json::from_slice(body).unwrap_or_else(|_| PLACEHOLDER.into());
    redact(&mut value, false);
    value
}

/// Replaces text, keeping the type, wherever a key above it names a secret.
fn redact(value: &mut Value, secret: bool) {
    match value {
        Value::String(text) if secret => PLACEHOLDER.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, secret)),
        Value::Object(map) => {
            for (key, inner) in map {
                // `iam-api-key` of the event log is a reference with a public id and name.
                let named = SECRET_ENDINGS.iter().any(|end| key.ends_with(end)) && !inner.is_object();
                redact(inner, secret || named);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_by_text_and_the_rest_stays() {
        let body = json!({
            "key": "EXO1", "secret": "s1", "size": 3, "users": [{"username": "u", "password": "s2"}],
            "admin-password": null, "bearer-token": "s3", "iam-api-key": {"key": "EXO2", "name": "n"},
        });
        let mut seen = readable(body.to_string().as_bytes());
        assert_eq!(seen["users"][0].take(), json!({"username": "u", "password": "redacted"}));
        let wanted = json!({
            "key": "EXO1", "secret": "redacted", "size": 3, "users": [null],
            "admin-password": null, "bearer-token": "redacted", "iam-api-key": {"key": "EXO2", "name": "n"},
        });
        assert_eq!(seen, wanted);
        assert_eq!(readable(b""), Value::Null);
        assert_eq!(readable(b"password=s4"), json!("redacted"));
    }
}
