//! Builds signed requests, and refuses those that could not arrive as signed.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use exokit_model::ids::Zone;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use url::Url;

use crate::signing::{Credentials, sign};
use crate::storage::Call;
use crate::transport::HttpRequest;

/// Longest life of a storage signature; a limit of S3.
const STORAGE_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// Why a request could not be built. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Endpoint and path do not make a URL that would be sent as it stands.
    #[error("{path:?} cannot be sent to {base} as it stands")]
    Address {
        /// The endpoint.
        base: String,
        /// The path.
        path: String,
    },
    /// A request to object storage that is none of the planned changes.
    #[error("{method} {path:?} is not a change of object storage that exokit makes")]
    Storage {
        /// Its method.
        method: &'static str,
        /// Its path.
        path: String,
    },
    /// A secret slot of the request has no value, or no place.
    #[error("the secret of {pointer:?} is not known")]
    Secret {
        /// Its place in the body.
        pointer: String,
    },
    /// A part of the request cannot stand in an HTTP message.
    #[error("the request cannot be written as HTTP")]
    Http(#[from] http::Error),
}

/// Endpoint and path as a URL. The libraries below would silently resolve
/// `..`, drop line ends and more; what they would change is refused here, so
/// that the path which is signed is the path which is sent.
pub(crate) fn address(base: &str, path: &str) -> Result<Url, RequestError> {
    let whole = format!("{base}{path}");
    match Url::parse(&whole) {
        Ok(url) if path.starts_with('/') && url.fragment().is_none() && url.as_str() == whole => Ok(url),
        _ => Err(RequestError::Address { base: base.to_owned(), path: path.to_owned() }),
    }
}

/// A request to the Exoscale API. Without a signer it goes unsigned; with one
/// the signature expires at the given time.
pub(crate) fn api_request(
    base: &str,
    signer: Option<(&Credentials, Timestamp)>,
    method: http::Method,
    path: &str,
    body: Bytes,
) -> Result<HttpRequest, RequestError> {
    let url = address(base, path)?;
    let mut request =
        http::Request::builder().method(&method).uri(url.as_str()).header("accept", "application/json");
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    if let Some((credentials, expires)) = signer {
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let header = sign(credentials, &method, url.path(), &query, &body, expires.as_second());
        request = request.header("authorization", header);
    }
    Ok(request.body(body)?)
}

/// A request to object storage, signed with SigV4 in its query, which unlike
/// the form with a header lets the caller choose when the signature expires.
/// The signature covers the digest of the body and the access rule as well.
pub(crate) fn storage_request(
    base: &str,
    credentials: &Credentials,
    zone: &Zone,
    call: &Call,
    now: Timestamp,
    lasts: Duration,
) -> Result<HttpRequest, RequestError> {
    let url = address(base, &call.path)?;
    let query = {
        let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        pairs.sort();
        pairs
    };
    // Sorted by name, as the signature wants them.
    let mut headers: Vec<(&str, String)> = Vec::new();
    if !call.body.is_empty() {
        headers.push(("content-md5", BASE64.encode(&Md5::digest(&call.body))));
    }
    if let Some(acl) = call.acl {
        headers.push(("x-amz-acl", acl.to_owned()));
    }
    let signed = rusty_s3::signing::sign(
        &now,
        call.method,
        url,
        credentials.key(),
        credentials.secret(),
        None,
        zone.as_str(),
        lasts.as_secs().clamp(1, STORAGE_SECONDS_MAX),
        query.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        headers.iter().map(|(name, value)| (*name, value.as_str())),
    );
    let mut request = http::Request::builder().method(call.method.to_str()).uri(signed.as_str());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Ok(request.body(call.body.clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Change, ObjectVersion, delete_objects};
    use proptest::prelude::*;

    fn credentials() -> Credentials {
        Credentials::new("EXOkey", "secret")
    }

    #[test]
    fn a_path_that_would_be_altered_on_the_way_is_refused() {
        for path in
            ["", "v2/zone", "/v2/../x", "/v2/%2e%2e/x", "/v2/./x", "/v2/a b", "/v2/a\nb", "/v2/x#y", "/v2\\x"]
        {
            let request = api_request("https://a.test", None, http::Method::GET, path, Bytes::new());
            assert!(matches!(request, Err(RequestError::Address { .. })), "{path:?}");
        }
        let path = "/v2/security-group/1:attach?from=2026-01-01T00%3A00%3A00Z";
        let request = api_request("https://a.test", None, http::Method::GET, path, Bytes::new()).unwrap();
        assert_eq!(request.uri().to_string(), format!("https://a.test{path}"));
    }

    #[test]
    fn the_query_is_signed_in_decoded_form() {
        let expires = Timestamp::from_second(1_700_000_000).unwrap();
        let credentials =
            Credentials::new("EXOtestkey000000000000000000", "testsecret-0123456789abcdefghijklmnopqrstuvwx");
        let path = "/v2/event?from=2026-01-01T00%3A00%3A00Z&to=2026-01-02T00%3A00%3A00Z";
        let signer = Some((&credentials, expires));
        let request = api_request("https://a.test", signer, http::Method::GET, path, Bytes::new()).unwrap();
        let header = request.headers()["authorization"].to_str().unwrap();
        assert!(header.ends_with("signature=EWSy6AvWtCzzrwycgHLUMVDmNmhO88vnkPymu8JFyII="), "{header}");
    }

    #[test]
    fn a_delete_of_objects_signs_the_digest_of_its_body() {
        let versions = [ObjectVersion { key: "a".into(), version: None }];
        let call = &delete_objects(&"b".parse().unwrap(), &versions)[0];
        let zone = "ch-dk-2".parse().unwrap();
        let now = Timestamp::from_second(1_369_353_600).unwrap();
        let lasts = Duration::from_secs(30);
        let request =
            storage_request("https://sos-ch-dk-2.exo.io", &credentials(), &zone, call, now, lasts).unwrap();
        let uri = request.uri().to_string();
        assert!(uri.starts_with("https://sos-ch-dk-2.exo.io/b?X-Amz-Algorithm=AWS4-HMAC-SHA256"), "{uri}");
        for part in [
            "20130524%2Fch-dk-2%2Fs3",
            "X-Amz-Expires=30",
            "X-Amz-SignedHeaders=content-md5%3Bhost",
            "&delete=&",
        ] {
            assert!(uri.contains(part), "{part} in {uri}");
        }
        assert_eq!(request.headers()["content-md5"], BASE64.encode(&Md5::digest(request.body())));
    }

    #[test]
    fn a_new_bucket_carries_its_access_rule_in_a_signed_header() {
        let planned = exokit_model::request::ConcreteRequest {
            operation: String::new(),
            api: exokit_model::request::Api::Storage,
            method: exokit_model::request::Method::Put,
            path: "/b".into(),
            body: br#"{"acl":"private"}"#.to_vec(),
            secrets: std::collections::BTreeMap::new(),
        };
        let Some(Change::Single(call)) = Change::of(&planned) else { panic!() };
        let zone = "ch-dk-2".parse().unwrap();
        let request = storage_request(
            "http://127.0.0.1:9000",
            &credentials(),
            &zone,
            &call,
            Timestamp::UNIX_EPOCH,
            Duration::from_secs(30),
        )
        .unwrap();
        assert_eq!(request.headers()["x-amz-acl"], "private");
        assert!(request.uri().to_string().contains("SignedHeaders=host%3Bx-amz-acl"));
        assert!(request.body().is_empty());
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "(/|\\PC|[?&=%.#\n]){0,20}") {
            let expires = Timestamp::UNIX_EPOCH;
            let _ = api_request("http://a.test", Some((&credentials(), expires)), http::Method::GET, &path, Bytes::new());
            let call = crate::storage::call("x", rusty_s3::Method::Get, path);
            let zone = "ch-dk-2".parse().unwrap();
            let _ = storage_request("http://a.test", &credentials(), &zone, &call, expires, Duration::ZERO);
        }
    }
}
