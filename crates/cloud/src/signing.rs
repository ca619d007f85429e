//! `EXO2-HMAC-SHA256`, the signature of the Exoscale API.
//!
//! The message is five parts joined by one line feed each: method and path,
//! body, values of the signed query parameters, signed header values (always
//! empty), and expiry. Source: egoscale `v3/api.go`, and the Python package
//! `requests-exoscale-auth` 1.1.2, which agree. The host is not signed.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// An API key and its secret. Used for the API and for object storage alike.
///
/// It has no serialised form, and its debug form hides the secret.
#[derive(Debug, Clone)]
pub struct Credentials {
    key: String,
    secret: SecretString,
}

impl Credentials {
    /// Takes a key and its secret.
    #[must_use]
    pub fn new(key: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        Self { key: key.into(), secret: secret.into() }
    }

    /// The key: its public half, which every request names.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The secret half, for signing only.
    pub(crate) fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// Signs one request and gives the value of its `Authorization` header.
///
/// `path` is the path as sent on the wire, with `/v2` and without query;
/// `query` holds names and values in decoded form; `body` is exactly the bytes
/// that are sent; `expires_unix` is in Unix seconds. A parameter that occurs
/// more than once is left out of the signature, as egoscale does.
#[must_use]
pub fn sign(
    credentials: &Credentials,
    method: &http::Method,
    path: &str,
    query: &[(String, String)],
    body: &[u8],
    expires_unix: i64,
) -> String {
    let signed = signed_parameters(query);
    let values: String = signed.values().copied().collect();
    let mut mac: Hmac<Sha256> =
        Hmac::new_from_slice(credentials.secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(format!("{method} {path}\n").as_bytes());
    mac.update(body);
    mac.update(format!("\n{values}\n\n{expires_unix}").as_bytes());
    let signature = BASE64.encode(&mac.finalize().into_bytes());

    let names = signed.keys().copied().collect::<Vec<_>>().join(";");
    let names = if names.is_empty() { names } else { format!(",signed-query-args={names}") };
    format!(
        "EXO2-HMAC-SHA256 credential={}{names},expires={expires_unix},signature={signature}",
        credentials.key()
    )
}

/// The parameters that occur exactly once, sorted by name.
fn signed_parameters(query: &[(String, String)]) -> BTreeMap<&str, &str> {
    let occurrences = |name: &str| query.iter().filter(|(other, _)| other == name).count();
    query
        .iter()
        .filter(|(name, _)| occurrences(name) == 1)
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRES: i64 = 1_700_000_000;
    const HEAD: &str = "EXO2-HMAC-SHA256 credential=EXOtestkey000000000000000000";

    fn signed(method: &str, path: &str, query: &[(&str, &str)], body: &str) -> String {
        let credentials =
            Credentials::new("EXOtestkey000000000000000000", "testsecret-0123456789abcdefghijklmnopqrstuvwx");
        let query: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        sign(&credentials, &method.parse().unwrap(), path, &query, body.as_bytes(), EXPIRES)
    }

    fn check(header: &str, names: &str, signature: &str) {
        assert_eq!(header, format!("{HEAD}{names},expires={EXPIRES},signature={signature}"));
    }

    #[test]
    fn vector_1_without_query() {
        check(&signed("GET", "/v2/zone", &[], ""), "", "E2EAUxLS6c8/OFNgKg7/MScElJdfzJ+9bC0k614wjn0=");
    }

    #[test]
    fn vector_2_with_one_parameter() {
        check(
            &signed("GET", "/v2/sks-cluster-version", &[("include-deprecated", "true")], ""),
            ",signed-query-args=include-deprecated",
            "Hk4akiWqScmvVGoFbu6DfhIHyQK65fucac/O3QM1oDU=",
        );
    }

    #[test]
    fn vector_2b_with_two_parameters_in_any_order() {
        let from = ("from", "2026-01-01T00:00:00Z");
        let to = ("to", "2026-01-02T00:00:00Z");
        for query in [[from, to], [to, from]] {
            check(
                &signed("GET", "/v2/event", &query, ""),
                ",signed-query-args=from;to",
                "EWSy6AvWtCzzrwycgHLUMVDmNmhO88vnkPymu8JFyII=",
            );
        }
    }

    #[test]
    fn vector_3_with_a_body() {
        check(
            &signed("POST", "/v2/security-group", &[], r#"{"name":"demo-sg","description":"vector three"}"#),
            "",
            "Pzfml7zxpE7woHIGPSV/bAI1mnlJAtP4DYRla+DtLek=",
        );
    }

    #[test]
    fn vector_4_with_a_colon_in_the_path() {
        check(
            &signed(
                "PUT",
                "/v2/security-group/00000000-0000-4000-8000-000000000001:attach",
                &[],
                r#"{"instance":{"id":"00000000-0000-4000-8000-000000000002"}}"#,
            ),
            "",
            "L9VPnmlxLSGL7O21wclCGxWKOmjsUecqUr1mgv2fMSc=",
        );
    }

    #[test]
    fn a_repeated_parameter_is_not_signed() {
        let with = signed("GET", "/v2/event", &[("a", "1"), ("b", "2"), ("a", "3")], "");
        assert_eq!(with, signed("GET", "/v2/event", &[("b", "2")], ""));
    }

    #[test]
    fn the_secret_is_not_in_the_debug_form() {
        let text = format!("{:?}", Credentials::new("EXOkey", "hidden-secret"));
        assert!(text.contains("EXOkey") && !text.contains("hidden-secret"), "{text}");
    }
}
