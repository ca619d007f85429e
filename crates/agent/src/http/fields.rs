//! The fields of a request that are not in a body: in the path, in the query
//! and in headers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use exokit_wire::envelope::check_key;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::schema::{self, Plain};
use exokit_wire::verb::Verb;
use serde_json::{Map, Value};

/// The fields of each operation. They are made from its schema, once.
static PLAIN: LazyLock<BTreeMap<Verb, BTreeMap<String, Plain>>> =
    LazyLock::new(|| Verb::ALL.iter().map(|verb| (*verb, schema::plain_fields(*verb))).collect());

pub(super) fn of_query(verb: Verb, query: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let mut fields = Map::new();
    for (name, text) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        readable(verb, &name)?;
        readable(verb, &text)?;
        let plain = PLAIN.get(&verb).and_then(|known| known.get(name.as_ref())).copied();
        if fields.insert(name.to_string(), value(verb, &name, plain.unwrap_or(Plain::Text), &text)?).is_some()
        {
            return Err(invalid(verb, &format!("{name} stands twice in the query")));
        }
    }
    Ok(fields)
}

/// What could mislead a reader is refused here as it is in a body.
fn readable(verb: Verb, text: &str) -> Result<(), Failure> {
    exokit_wire::decode::text(text).map_err(|error| error.failure(verb.name()))
}

fn value(verb: Verb, name: &str, plain: Plain, text: &str) -> Result<Value, Failure> {
    match (plain, text) {
        (Plain::Text, text) => Ok(text.into()),
        (Plain::Bool, "true") => Ok(true.into()),
        (Plain::Bool, "false") => Ok(false.into()),
        (Plain::Bool, _) => Err(invalid(verb, &format!("at {name}: use true or false"))),
        (Plain::Whole, text) => {
            let number: Result<u64, _> = text.parse();
            number.map(Value::from).map_err(|_| invalid(verb, &format!("at {name}: it is no whole number")))
        }
    }
}

pub(super) fn add_path(
    verb: Verb,
    fields: &mut Map<String, Value>,
    path: BTreeMap<String, String>,
) -> Result<(), Failure> {
    for (name, text) in path {
        readable(verb, &text)?;
        if fields.insert(name.clone(), text.into()).is_some() {
            return Err(invalid(verb, &format!("{name} stands in the path and must not stand elsewhere")));
        }
    }
    Ok(())
}

/// The idempotency key of the body or of the header; two that differ are a
/// mistake.
pub(super) fn one_key(
    verb: Verb,
    body: Option<String>,
    header: Option<String>,
) -> Result<Option<String>, Failure> {
    match (body, header) {
        (Some(a), Some(b)) if a != b => {
            Err(invalid(verb, "idempotency_key and the header Idempotency-Key differ"))
        }
        (body, header) => {
            let checked = header.as_deref().map_or(Ok(()), check_key);
            checked.map_err(|why| invalid(verb, &format!("at Idempotency-Key: {why}")))?;
            Ok(body.or(header))
        }
    }
}

fn invalid(verb: Verb, why: &str) -> Failure {
    let hint = "GET /api/v1/openapi.json says what each request may have";
    Failure::new(Class::Invalid, "field", "reading the request", verb.name(), why, hint)
}
