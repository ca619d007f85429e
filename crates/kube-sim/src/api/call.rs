//! A request on its way through the server.

use super::query::Query;
use crate::settings::User;
use bytes::Bytes;

/// A request with its user and its parameters.
pub(crate) struct Call<'a> {
    pub(crate) user: &'a User,
    pub(crate) request: &'a http::Request<Bytes>,
    pub(crate) query: Query,
}

impl Call<'_> {
    /// A header as text, empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
