//! The XML of S3: requests decoded and replies encoded by serde.

use super::S3Error;
use crate::world::response;
use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize, Serializer};

/// The content type of a document.
pub(crate) const MEDIA_TYPE: &str = "application/xml";

/// Decodes the body of a request, or refuses it as malformed.
pub(crate) fn decode<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, S3Error> {
    let malformed = || S3Error::new(400, "MalformedXML", "the body cannot be understood");
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    quick_xml::de::from_str(text).map_err(|_| malformed())
}

/// Elements by name, in order; a name that begins with `@` is an attribute.
pub(crate) type Elements = Vec<(&'static str, Content)>;

/// The content of an element.
pub(crate) enum Content {
    Text(String),
    Elements(Elements),
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Elements(elements) => {
                serializer.collect_map(elements.iter().map(|(name, content)| (name, content)))
            }
        }
    }
}

/// An element that holds text.
pub(crate) fn text(name: &'static str, text: impl ToString) -> (&'static str, Content) {
    (name, Content::Text(text.to_string()))
}

/// An element that holds others.
pub(crate) fn parent(name: &'static str, elements: impl Into<Elements>) -> (&'static str, Content) {
    (name, Content::Elements(elements.into()))
}

/// A reply with a document.
pub(crate) fn document(status: u16, (root, content): (&'static str, Content)) -> Response<Bytes> {
    // Texts and elements always have an XML form.
    let mut body = quick_xml::se::to_string_with_root(root, &content).unwrap_or_default();
    if root != "Error" {
        body.insert_str(1 + root.len(), r#" xmlns="http://s3.amazonaws.com/doc/2006-03-01/""#);
    }
    response(status, MEDIA_TYPE, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}"))
}

/// A reply without body.
pub(crate) fn empty(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Sets a header; values that cannot be a header are left out.
pub(crate) fn set(response: &mut Response<Bytes>, name: &'static str, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
