//! The `EXO2-HMAC-SHA256` signature: message, signature, verification.

use crate::codec::{base64, hmac_sha256, query_pairs};

/// Why a signature is not accepted. The API says 403 to each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exo2Refusal {
    /// No `Authorization` header, or another scheme.
    #[error("missing credentials")]
    Missing,
    /// The header cannot be parsed.
    #[error("malformed authorization header")]
    Malformed,
    /// The key does not exist.
    #[error("unknown API key")]
    UnknownKey,
    /// `expires` is in the past.
    #[error("request has expired")]
    Expired,
    /// The signature does not match the request.
    #[error("invalid signature")]
    BadSignature,
}

/// A parsed `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exo2Header {
    pub(crate) credential: String,
    pub(crate) signed_query_args: Vec<String>,
    pub(crate) expires: i64,
    pub(crate) signature: String,
}

impl Exo2Header {
    pub(crate) fn parse(header: Option<&str>) -> Result<Self, Exo2Refusal> {
        let rest =
            header.and_then(|text| text.strip_prefix("EXO2-HMAC-SHA256 ")).ok_or(Exo2Refusal::Missing)?;
        let find = |wanted: &str| {
            let mut fields = rest.rsplit(',').filter_map(|part| part.trim().split_once('='));
            fields.find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let field = |name| find(name).ok_or(Exo2Refusal::Malformed);
        Ok(Self {
            credential: field("credential")?.to_owned(),
            signed_query_args: find("signed-query-args")
                .map(|list| list.split(';').map(str::to_owned).collect())
                .unwrap_or_default(),
            expires: field("expires")?.parse().map_err(|_| Exo2Refusal::Malformed)?,
            signature: field("signature")?.to_owned(),
        })
    }
}

/// The string to sign. `query_values` are the decoded values of the signed
/// parameters, already concatenated in the order of their names.
pub(crate) fn exo2_message(
    method: &str,
    path: &str,
    body: &[u8],
    query_values: &str,
    expires: i64,
) -> Vec<u8> {
    let (head, tail) = ([method, " ", path, "\n"].concat(), expires.to_string());
    [head.as_bytes(), body, b"\n", query_values.as_bytes(), b"\n\n", tail.as_bytes()].concat()
}

/// The base64 signature of a message.
pub(crate) fn exo2_signature(secret: &str, message: &[u8]) -> String {
    base64(&hmac_sha256(secret.as_bytes(), message))
}

/// Verifies a request's header against the secret of its key.
pub(crate) fn verify(
    header: &Exo2Header,
    secret: &str,
    request: (&str, &http::Uri, &[u8]),
    now_ms: i64,
) -> Result<(), Exo2Refusal> {
    let (method, uri, body) = request;
    if header.expires.saturating_mul(1000) < now_ms {
        return Err(Exo2Refusal::Expired);
    }
    let pairs = query_pairs(uri.query());
    let mut names = header.signed_query_args.clone();
    names.sort();
    // A repeated parameter adds nothing, as in the official signer.
    let value = |name: &String| {
        let mut found = pairs.iter().filter(|(other, _)| other == name);
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.as_str())
    };
    let joined: String = names.iter().filter_map(value).collect();
    let message = exo2_message(method, uri.path(), body, &joined, header.expires);
    if exo2_signature(secret, &message) == header.signature { Ok(()) } else { Err(Exo2Refusal::BadSignature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "EXOtestkey000000000000000000";
    const SECRET: &str = "testsecret-0123456789abcdefghijklmnopqrstuvwx";
    const EXPIRES: i64 = 1_700_000_000;
    const RULE_BODY: &str = r#"{"name":"demo-sg","description":"vector three"}"#;
    const ATTACH_BODY: &str = r#"{"instance":{"id":"00000000-0000-4000-8000-000000000002"}}"#;

    /// Vectors made with the official signer: method, path and query, body,
    /// signed names, signature.
    const VECTORS: [(&str, &str, &str, &str, &str); 5] = [
        ("GET", "/v2/zone", "", "", "E2EAUxLS6c8/OFNgKg7/MScElJdfzJ+9bC0k614wjn0="),
        (
            "GET",
            "/v2/sks-cluster-version?include-deprecated=true",
            "",
            "include-deprecated",
            "Hk4akiWqScmvVGoFbu6DfhIHyQK65fucac/O3QM1oDU=",
        ),
        (
            "GET",
            "/v2/event?from=2026-01-01T00%3A00%3A00Z&to=2026-01-02T00%3A00%3A00Z",
            "",
            "from;to",
            "EWSy6AvWtCzzrwycgHLUMVDmNmhO88vnkPymu8JFyII=",
        ),
        ("POST", "/v2/security-group", RULE_BODY, "", "Pzfml7zxpE7woHIGPSV/bAI1mnlJAtP4DYRla+DtLek="),
        (
            "PUT",
            "/v2/security-group/00000000-0000-4000-8000-000000000001:attach",
            ATTACH_BODY,
            "",
            "L9VPnmlxLSGL7O21wclCGxWKOmjsUecqUr1mgv2fMSc=",
        ),
    ];

    fn header(names: &str, signature: &str) -> Exo2Header {
        let args = if names.is_empty() { String::new() } else { format!(",signed-query-args={names}") };
        let text = format!("EXO2-HMAC-SHA256 credential={KEY}{args},expires={EXPIRES},signature={signature}");
        Exo2Header::parse(Some(&text)).expect("header")
    }

    #[test]
    fn official_vectors_verify_and_changes_do_not() {
        let now = (EXPIRES - 10) * 1000;
        for (method, uri, body, names, signature) in VECTORS {
            let parsed = header(names, signature);
            assert_eq!(parsed.credential, KEY);
            let uri: http::Uri = uri.parse().expect("uri");
            let check =
                |method, body: &str, now| verify(&parsed, SECRET, (method, &uri, body.as_bytes()), now);
            assert_eq!(check(method, body, now), Ok(()), "{uri}");
            assert_eq!(check("PATCH", body, now), Err(Exo2Refusal::BadSignature));
            assert_eq!(check(method, "x", now), Err(Exo2Refusal::BadSignature));
            assert_eq!(check(method, body, (EXPIRES + 1) * 1000), Err(Exo2Refusal::Expired));
        }
    }

    #[test]
    fn broken_headers_are_refused() {
        assert_eq!(Exo2Header::parse(None), Err(Exo2Refusal::Missing));
        assert_eq!(Exo2Header::parse(Some("Bearer x")), Err(Exo2Refusal::Missing));
        assert_eq!(
            Exo2Header::parse(Some("EXO2-HMAC-SHA256 credential=a,expires=x,signature=b")),
            Err(Exo2Refusal::Malformed)
        );
    }
}
