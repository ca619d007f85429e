//! Encodings: base64, hex, percent, queries, times, digests.

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use jiff::fmt::rfc2822::DateTimePrinter;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// HMAC-SHA256 of `message` under `key`.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    match <Hmac<Sha256> as KeyInit>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }
        // HMAC takes keys of any length; this arm cannot be reached.
        Err(_) => Vec::new(),
    }
}

/// Lower-case hex of SHA-256.
pub(crate) fn sha256_hex(data: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(data))
}

/// MD5 of `data`.
pub(crate) fn md5_of(data: &[u8]) -> Vec<u8> {
    md5::Md5::digest(data).to_vec()
}

/// Lower-case hex.
pub(crate) fn hex(data: &[u8]) -> String {
    HEXLOWER.encode(data)
}

/// Standard base64 with padding.
pub(crate) fn base64(data: &[u8]) -> String {
    BASE64.encode(data)
}

/// Bytes that serialise as base64.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data(pub(crate) Bytes);

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64(&self.0))
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(|data| Self(data.into())).map_err(serde::de::Error::custom)
    }
}

/// CRC-32 (IEEE) of `data`.
pub(crate) fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let mask = (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ (0xEDB8_8320 & mask);
        }
    }
    !crc
}

/// What SigV4 leaves as it is; `/` besides, where the text is a path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Decodes `%XX`.
pub(crate) fn unpercent(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Percent-encodes all but the unreserved characters, as SigV4 wants it.
pub(crate) fn percent(text: &str, keep_slash: bool) -> String {
    utf8_percent_encode(text, if keep_slash { PATH } else { UNRESERVED }).to_string()
}

/// The decoded pairs of a query, in the order sent; `+` is a space, as the
/// official Python client sends it.
pub(crate) fn query_pairs(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The same for object storage, whose queries are no forms: `+` is itself.
pub(crate) fn storage_query_pairs(query: Option<&str>) -> Vec<(String, String)> {
    query_pairs(query.map(|query| query.replace('+', "%2B")).as_deref())
}

fn format_ms(ms: i64, pattern: &str) -> String {
    jiff::Timestamp::from_millisecond(ms).map(|at| at.strftime(pattern).to_string()).unwrap_or_default()
}

/// RFC 3339, whole seconds, UTC.
pub(crate) fn rfc3339(ms: i64) -> String {
    format_ms(ms, "%Y-%m-%dT%H:%M:%SZ")
}

/// RFC 3339 with milliseconds, as S3 lists print it.
pub(crate) fn rfc3339_ms(ms: i64) -> String {
    format_ms(ms, "%Y-%m-%dT%H:%M:%S.%3fZ")
}

/// The form of HTTP dates.
pub(crate) fn http_date(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}

/// Milliseconds of an RFC 3339 time, or of a bare date.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(hex(&md5_of(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(rfc3339(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(parse_time("1970-01-02"), Some(86_400_000));
        assert_eq!(rfc3339_ms(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
        assert_eq!(unpercent("a%3Ab+c%"), "a:b+c%");
        let pair = |value: &str| vec![("a".to_owned(), value.to_owned())];
        assert_eq!(query_pairs(Some("a=%3Ab+c%")), pair(":b c%"));
        assert_eq!(storage_query_pairs(Some("a=%3Ab+c%")), pair(":b+c%"));
        assert_eq!(percent("a/b c~", true), "a/b%20c~");
    }
}
