//! The body of an upload: `aws-chunked` framing and declared digests.

use super::{S3Call, S3Error};
use crate::codec::{base64, crc32, md5_of};
use bytes::Bytes;

/// The payload of a request, digests checked.
///
/// Signatures of single chunks are not verified; the seed signature in the
/// header is.
pub(crate) fn decode(call: &S3Call) -> Result<Bytes, S3Error> {
    let streaming = call.header("x-amz-content-sha256").starts_with("STREAMING-");
    let framed = streaming || call.header("content-encoding").contains("aws-chunked");
    let (body, trailer) = if framed {
        unframe(&call.body)
            .ok_or_else(|| S3Error::new(400, "IncompleteBody", "the chunked body cannot be decoded"))?
    } else {
        (call.body.clone(), String::new())
    };
    let md5 = call.header("content-md5");
    if !md5.is_empty() && md5 != base64(&md5_of(&body)) {
        return Err(S3Error::new(400, "BadDigest", "Content-MD5 does not match"));
    }
    let in_trailer = trailer
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("x-amz-checksum-crc32"))
        .map_or("", |(_, value)| value.trim());
    let crc = match call.header("x-amz-checksum-crc32") {
        "" => in_trailer,
        given => given,
    };
    if !crc.is_empty() && crc != base64(&crc32(&body).to_be_bytes()) {
        return Err(S3Error::new(400, "BadDigest", "the CRC-32 does not match"));
    }
    Ok(body)
}

/// `hex-size[;extensions]\r\n data \r\n … 0\r\n trailers`.
fn unframe(body: &[u8]) -> Option<(Bytes, String)> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            let trailer = String::from_utf8_lossy(rest).into_owned();
            return Some((Bytes::from(out), trailer));
        }
        out.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_off() {
        let (body, trailer) =
            unframe(b"5\r\nhello\r\n1;chunk-signature=x\r\n!\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n")
                .expect("framed");
        assert_eq!(&body[..], b"hello!");
        assert!(trailer.starts_with("x-amz-checksum-crc32:"));
        assert!(unframe(b"5\r\nhel").is_none());
        assert!(unframe(b"ffffffffffffffffff\r\n").is_none());
        assert!(unframe(b"").is_none());
    }
}
