//! Writing the XML of S3 replies.

use bytes::Bytes;
use http::Response;
use quick_xml::escape::escape;

/// Builds elements in order.
#[derive(Default)]
pub(crate) struct Writer {
    out: String,
}

impl Writer {
    /// `<name>text</name>`, escaped.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        let text = escape(text);
        self.out.push_str(&format!("<{name}>{text}</{name}>"));
    }

    /// `<name>…</name>` around what `inner` writes.
    pub(crate) fn group(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.out.push_str(&format!("<{name}>"));
        inner(self);
        self.out.push_str(&format!("</{name}>"));
    }
}

/// A whole document with one root.
pub(crate) fn document(root: &str, inner: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer::default();
    let namespace = r#" xmlns="http://s3.amazonaws.com/doc/2006-03-01/""#;
    let namespace = if root == "Error" { "" } else { namespace };
    writer.out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}{namespace}>");
    inner(&mut writer);
    writer.out.push_str(&format!("</{root}>"));
    writer.out
}

/// A reply with an XML body.
pub(crate) fn response(status: u16, body: String) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = Bytes::from(body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    response
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
