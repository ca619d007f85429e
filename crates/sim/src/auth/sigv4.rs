//! AWS Signature Version 4 as object storage clients send it: in the header
//! or in the query of a presigned URL.

use crate::codec::{hex, hmac_sha256, percent, sha256_hex, storage_query_pairs, unpercent};
use http::Request;
use std::collections::BTreeMap;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Requests older or newer than this are refused, as S3 does.
const MAX_SKEW_MS: i64 = 15 * 60 * 1000;

/// What a signature claims, from wherever it was found.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) key: String,
    pub(crate) region: String,
    date: String,
    service: String,
    signed_headers: String,
    signature: String,
    time: String,
    /// Seconds of validity of a presigned URL.
    expires: Option<i64>,
}

/// S3 error codes of refused signatures; the HTTP status is 403 (400 for
/// what cannot be parsed).
pub(crate) type Refused = (&'static str, &'static str);

fn scope(text: &str) -> Option<(String, String, String, String)> {
    let mut parts = text.rsplitn(5, '/');
    let _terminator = parts.next().filter(|t| *t == "aws4_request")?;
    let service = parts.next()?.to_owned();
    let region = parts.next()?.to_owned();
    let date = parts.next()?.to_owned();
    Some((parts.next()?.to_owned(), date, region, service))
}

impl Claim {
    /// `None`: the request is not signed at all.
    pub(crate) fn of<B>(request: &Request<B>) -> Result<Option<Self>, Refused> {
        let query: BTreeMap<String, String> =
            storage_query_pairs(request.uri().query()).into_iter().collect();
        if query.contains_key("X-Amz-Signature") {
            let field = |name: &str| query.get(name).map(String::as_str);
            return Self::from_parts(&field, field("X-Amz-Expires"))
                .map(Some)
                .ok_or(("AuthorizationQueryParametersError", "the query is not a valid signature"));
        }
        let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
        let Some(text) = header("authorization") else {
            return Ok(None);
        };
        let malformed = ("AuthorizationHeaderMalformed", "the authorization header is malformed");
        let rest = text.strip_prefix(ALGORITHM).ok_or(malformed)?;
        let fields: BTreeMap<&str, &str> =
            rest.split(',').filter_map(|part| part.trim().split_once('=')).collect();
        let field = |name: &str| match name {
            "X-Amz-Algorithm" => Some(ALGORITHM),
            "X-Amz-Credential" => fields.get("Credential").copied(),
            "X-Amz-SignedHeaders" => fields.get("SignedHeaders").copied(),
            "X-Amz-Signature" => fields.get("Signature").copied(),
            "X-Amz-Date" => header("x-amz-date"),
            _ => None,
        };
        Self::from_parts(&field, None).map(Some).ok_or(malformed)
    }

    fn from_parts<'a>(field: &dyn Fn(&str) -> Option<&'a str>, expires: Option<&str>) -> Option<Self> {
        field("X-Amz-Algorithm").filter(|a| *a == ALGORITHM)?;
        let (key, date, region, service) = scope(field("X-Amz-Credential")?)?;
        Some(Self {
            key,
            date,
            region,
            service,
            signed_headers: field("X-Amz-SignedHeaders")?.to_owned(),
            signature: field("X-Amz-Signature")?.to_owned(),
            time: field("X-Amz-Date")?.to_owned(),
            expires: match expires {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            },
        })
    }

    /// When the claim stops being valid, in milliseconds.
    pub(crate) fn expires_ms(&self) -> Option<i64> {
        let signed = self.time_ms()?;
        Some(match self.expires {
            Some(seconds) => signed.saturating_add(seconds.saturating_mul(1000)),
            None => signed + MAX_SKEW_MS,
        })
    }

    fn time_ms(&self) -> Option<i64> {
        let text = Some(&self.time).filter(|text| text.len() == 16)?;
        let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
        Some(jiff::tz::Offset::UTC.to_timestamp(at).ok()?.as_millisecond())
    }

    /// Checks time, payload hash and signature.
    pub(crate) fn verify(
        &self,
        request: &Request<bytes::Bytes>,
        secret: &str,
        now_ms: i64,
    ) -> Result<(), Refused> {
        let signed = self.time_ms().ok_or(("AuthorizationHeaderMalformed", "the date is malformed"))?;
        if signed - now_ms > MAX_SKEW_MS || self.expires_ms().is_none_or(|end| end < now_ms) {
            return Err(match self.expires {
                Some(_) => ("AccessDenied", "Request has expired"),
                None => ("RequestTimeTooSkewed", "the request time is too far from the server's"),
            });
        }
        let payload = self.payload_hash(request)?;
        let canonical = canonical_request(request, &self.signed_headers, &payload);
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
            self.time,
            self.date,
            self.region,
            self.service,
            sha256_hex(canonical.as_bytes())
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.date, &self.region, &self.service, "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        if hex(&hmac_sha256(&key, to_sign.as_bytes())) == self.signature {
            Ok(())
        } else {
            Err(("SignatureDoesNotMatch", "the signature does not match"))
        }
    }

    fn payload_hash(&self, request: &Request<bytes::Bytes>) -> Result<String, Refused> {
        if self.expires.is_some() {
            return Ok("UNSIGNED-PAYLOAD".to_owned());
        }
        let given = request
            .headers()
            .get("x-amz-content-sha256")
            .and_then(|v| v.to_str().ok())
            .ok_or(("InvalidRequest", "x-amz-content-sha256 is missing"))?;
        let special = given == "UNSIGNED-PAYLOAD" || given.starts_with("STREAMING-");
        if !special && given != sha256_hex(request.body()) {
            return Err(("XAmzContentSHA256Mismatch", "the body is not the one signed"));
        }
        Ok(given.to_owned())
    }
}

fn canonical_request<B>(request: &Request<B>, signed_headers: &str, payload: &str) -> String {
    let uri = request.uri();
    let mut query: Vec<(String, String)> = storage_query_pairs(uri.query())
        .into_iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (percent(&name, false), percent(&value, false)))
        .collect();
    query.sort();
    let query: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let headers: String =
        signed_headers.split(';').map(|name| format!("{name}:{}\n", header_value(request, name))).collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{signed_headers}\n{payload}",
        request.method(),
        percent(&unpercent(uri.path()), true),
        query.join("&")
    )
}

fn header_value<B>(request: &Request<B>, name: &str) -> String {
    let values: Vec<String> = request
        .headers()
        .get_all(name)
        .iter()
        .map(|v| {
            let text = String::from_utf8_lossy(v.as_bytes()).into_owned();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    if values.is_empty() && name == "host" {
        // HTTP/2 and in-process requests carry the host in their URI.
        return request.uri().authority().map(ToString::to_string).unwrap_or_default();
    }
    values.join(",")
}
