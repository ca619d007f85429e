//! From a request to its fields, and from the bytes of a reply to an answer.

use exokit_model::text::excerpt;
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::decode;
use exokit_wire::envelope::Answer as Envelope;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::{Message, Verb};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::transport::Answer;

/// The fields of a request.
pub(crate) fn fields<M: Message>(verb: Verb, body: &M) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        other => {
            let why = other.err().map_or_else(|| "it is no object".to_owned(), |error| error.to_string());
            let hint = "this is a mistake in exokit; please report it";
            Err(Failure::new(Class::Internal, "encoding", "writing the request for", verb.name(), &why, hint))
        }
    }
}

/// Decodes the reply of an agent: exactly one of result and error, of our
/// version, with the status that it came with.
pub(crate) fn decode(verb: Verb, address: &str, status: Option<u16>, bytes: &[u8]) -> Answer {
    let status_words = status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
    let strange = |why: String| unreadable(verb, address, &format!("{why}{status_words}"));
    let fields = decode::reply(bytes).map_err(|error| strange(error.to_string()))?;
    let envelope: Envelope<Value> = decode::body(fields).map_err(|error| strange(error.to_string()))?;
    if envelope.schema_version != SCHEMA_VERSION {
        return Err(strange(format!(
            "it has schema_version {}, not {SCHEMA_VERSION}",
            envelope.schema_version
        )));
    }
    match (envelope.result, envelope.error) {
        (Some(result), None) if status.is_none_or(|status| status == 200) => {
            to_raw_value(&result).map_err(|error| strange(error.to_string()))
        }
        (None, Some(error)) if status.is_none_or(|status| status == error.status) => Err(error),
        _ => Err(strange("result, error and status contradict each other".to_owned())),
    }
}

/// Reads the result of an operation.
pub(crate) fn result<M: Message>(address: &str, raw: &RawValue) -> Result<M::Reply, Failure> {
    serde_json::from_str(raw.get()).map_err(|error| unreadable(M::VERB, address, &excerpt(&error)))
}

fn unreadable(verb: Verb, address: &str, why: &str) -> Failure {
    let doing = format!("reading the answer to {} from", verb.name());
    let hint = "check that the address is that of an exokit agent, of the same version as this program";
    Failure::new(Class::Unavailable, "no-agent", &doing, address, why, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use exokit_wire::request::ListRequest;

    fn read(status: Option<u16>, text: &str) -> Result<usize, String> {
        let answer = decode(Verb::List, "here", status, text.as_bytes());
        let reply = answer.and_then(|raw| result::<ListRequest>("here", &raw));
        reply.map(|reply| reply.environments.len()).map_err(|failure| failure.code)
    }

    #[test]
    fn a_result_and_an_error_are_read() {
        let empty = r#"{"schema_version":1,"result":{"environments":[]}}"#;
        assert_eq!(read(Some(200), empty), Ok(0));
        assert_eq!(read(None, empty), Ok(0));
        let error = r#"{"schema_version":1,"error":{"status":404,"code":"no-plan","doing":"a","on":"b","why":"c","hint":"d"}}"#;
        assert_eq!(read(Some(404), error), Err("no-plan".to_owned()));
    }

    #[test]
    fn nothing_else_is_taken_for_an_answer() {
        let error = r#"{"schema_version":1,"error":{"status":404,"code":"x","doing":"a","on":"b","why":"c","hint":"d"}}"#;
        for (status, text) in [
            (Some(200), "<html>"),
            (Some(200), "{}"),
            (Some(200), r#"{"schema_version":2,"result":{"environments":[]}}"#),
            (Some(200), r#"{"schema_version":1,"result":{}}"#),
            (Some(500), r#"{"schema_version":1,"result":{"environments":[]}}"#),
            (Some(200), error),
            // A stream that captures the subject answers like this.
            (None, r#"{"stream":"EVENTS","seq":7}"#),
        ] {
            assert_eq!(read(status, text), Err("no-agent".to_owned()), "{text}");
        }
    }
}
