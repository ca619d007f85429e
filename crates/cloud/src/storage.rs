//! Object storage (SOS): the requests, and what the replies mean.
//!
//! SOS speaks S3 with the same key pair as the API. Its address is
//! `https://sos-<zone>.exo.io`, its region is the zone, and buckets are named
//! in the path. Nothing is sent from here: reads are methods of
//! [`Client`](crate::client::Client), changes are [`ConcreteRequest`]s that
//! need a permit like any other.
//!
//! Emptying a bucket takes [`list_versions_query`] and [`delete_objects`],
//! then [`list_uploads_query`] and [`abort_upload`]: a bucket goes only when it
//! has neither versions nor unfinished uploads.

use exokit_model::ids::ResourceId;
use exokit_model::request::{Api, ConcreteRequest, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::escape::escape;

use crate::xml::{Element, XmlError};

/// Most objects in one delete request; a limit of S3.
pub const DELETE_OBJECTS_MAX: usize = 1000;

/// What S3 leaves as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// What S3 leaves as it is in the value of a query parameter.
const QUERY: &AsciiSet = &PATH.add(b'/');

/// One version of one object, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectVersion {
    /// Key of the object.
    pub key: String,
    /// Version, or `null` in a bucket without versions.
    pub version: Option<String>,
}

/// An upload in parts that was never finished.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Upload {
    /// Key that the object would have had.
    pub key: String,
    /// Id of the upload.
    pub upload_id: String,
}

/// Where the next page of a list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Last key of the page before.
    pub key: String,
    /// Last version or upload id of the page before.
    pub id: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What it holds.
    pub items: Vec<T>,
    /// Where to go on; `None` on the last page.
    pub next: Option<Marker>,
}

/// An object that a delete request could not delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteFailure {
    /// Key of the object.
    pub key: String,
    /// Code of the failure, such as `AccessDenied`.
    pub code: String,
    /// What the storage says.
    pub message: String,
}

fn request(operation: &str, method: Method, path: String, body: Vec<u8>) -> ConcreteRequest {
    ConcreteRequest {
        operation: operation.to_owned(),
        api: Api::Storage,
        method,
        path,
        body,
    }
}

/// Makes a private bucket in the zone of the endpoint that it is sent to.
#[must_use]
pub fn create_bucket(bucket: &ResourceId) -> ConcreteRequest {
    request(
        "create-bucket",
        Method::Put,
        format!("/{bucket}"),
        Vec::new(),
    )
}

/// Deletes a bucket, which must be empty.
#[must_use]
pub fn delete_bucket(bucket: &ResourceId) -> ConcreteRequest {
    request(
        "delete-bucket",
        Method::Delete,
        format!("/{bucket}"),
        Vec::new(),
    )
}

/// Ends an unfinished upload and drops its parts.
#[must_use]
pub fn abort_upload(bucket: &ResourceId, upload: &Upload) -> ConcreteRequest {
    let id = utf8_percent_encode(&upload.upload_id, QUERY);
    let path = format!("{}?uploadId={id}", object_path(bucket, &upload.key));
    request("abort-multipart-upload", Method::Delete, path, Vec::new())
}

/// Deletes versions, up to [`DELETE_OBJECTS_MAX`] in one request.
///
/// A key with a control character cannot stand in XML, so such a version gets
/// a request of its own.
#[must_use]
pub fn delete_objects(bucket: &ResourceId, versions: &[ObjectVersion]) -> Vec<ConcreteRequest> {
    let (batched, single): (Vec<&ObjectVersion>, Vec<&ObjectVersion>) = versions
        .iter()
        .partition(|version| fits_in_xml(&version.key));
    let batches = batched.chunks(DELETE_OBJECTS_MAX).map(|chunk| {
        request(
            "delete-objects",
            Method::Post,
            format!("/{bucket}?delete="),
            delete_body(chunk),
        )
    });
    let singles = single.into_iter().map(|version| {
        let mut path = object_path(bucket, &version.key);
        if let Some(id) = &version.version {
            path.push_str(&format!("?versionId={}", utf8_percent_encode(id, QUERY)));
        }
        request("delete-object", Method::Delete, path, Vec::new())
    });
    batches.chain(singles).collect()
}

fn delete_body(versions: &[&ObjectVersion]) -> Vec<u8> {
    let mut body = String::from(
        r#"<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>"#,
    );
    // A reader of XML turns a bare carriage return into a line feed.
    let text = |raw: &str| escape(raw).replace('\r', "&#13;");
    for version in versions {
        body.push_str(&format!("<Object><Key>{}</Key>", text(&version.key)));
        if let Some(id) = &version.version {
            body.push_str(&format!("<VersionId>{}</VersionId>", text(id)));
        }
        body.push_str("</Object>");
    }
    body.push_str("</Delete>");
    body.into_bytes()
}

/// The characters that XML 1.0 allows.
fn fits_in_xml(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..))
}

fn object_path(bucket: &ResourceId, key: &str) -> String {
    format!("/{bucket}/{}", utf8_percent_encode(key, PATH))
}

/// Path and query that list every version and delete marker of a bucket.
#[must_use]
pub fn list_versions_query(bucket: &ResourceId, after: Option<&Marker>) -> String {
    list_query(bucket, "versions", after, "version-id-marker")
}

/// Path and query that list the unfinished uploads of a bucket.
#[must_use]
pub fn list_uploads_query(bucket: &ResourceId, after: Option<&Marker>) -> String {
    list_query(bucket, "uploads", after, "upload-id-marker")
}

fn list_query(
    bucket: &ResourceId,
    what: &str,
    after: Option<&Marker>,
    id_parameter: &str,
) -> String {
    let mut path = format!("/{bucket}?");
    if let Some(marker) = after {
        path.push_str(&format!(
            "key-marker={}&",
            utf8_percent_encode(&marker.key, QUERY)
        ));
        if let Some(id) = &marker.id {
            path.push_str(&format!(
                "{id_parameter}={}&",
                utf8_percent_encode(id, QUERY)
            ));
        }
    }
    path + what + "="
}

/// Reads a page of versions and delete markers.
///
/// # Errors
/// When the body is not such a page.
pub fn parse_versions(body: &[u8]) -> Result<Page<ObjectVersion>, XmlError> {
    let root = rooted(body, "ListVersionsResult")?;
    let items = root
        .children
        .iter()
        .filter(|child| matches!(child.name.as_str(), "Version" | "DeleteMarker"))
        .map(|child| {
            let version = child.get("VersionId").map(str::to_owned);
            Ok(ObjectVersion {
                key: child.need("Key")?.to_owned(),
                version,
            })
        })
        .collect::<Result<_, XmlError>>()?;
    Ok(Page {
        items,
        next: next(&root, "NextVersionIdMarker")?,
    })
}

/// Reads a page of unfinished uploads.
///
/// # Errors
/// When the body is not such a page.
pub fn parse_uploads(body: &[u8]) -> Result<Page<Upload>, XmlError> {
    let root = rooted(body, "ListMultipartUploadsResult")?;
    let items = root
        .all("Upload")
        .map(|child| {
            let (key, upload_id) = (
                child.need("Key")?.to_owned(),
                child.need("UploadId")?.to_owned(),
            );
            Ok(Upload { key, upload_id })
        })
        .collect::<Result<_, XmlError>>()?;
    Ok(Page {
        items,
        next: next(&root, "NextUploadIdMarker")?,
    })
}

/// Reads the reply to [`delete_objects`]: what could not be deleted.
///
/// # Errors
/// When the body is not such a reply.
pub fn parse_delete_result(body: &[u8]) -> Result<Vec<DeleteFailure>, XmlError> {
    let root = rooted(body, "DeleteResult")?;
    let text = |child: &Element, name| child.get(name).unwrap_or_default().to_owned();
    let failure = |child: &Element| DeleteFailure {
        key: text(child, "Key"),
        code: text(child, "Code"),
        message: text(child, "Message"),
    };
    Ok(root.all("Error").map(failure).collect())
}

/// Code and message of an error body, when it is one.
pub(crate) fn parse_error(body: &[u8]) -> Option<(String, String)> {
    let root = rooted(body, "Error").ok()?;
    Some((
        root.get("Code")?.to_owned(),
        root.get("Message").unwrap_or_default().to_owned(),
    ))
}

fn rooted(body: &[u8], name: &'static str) -> Result<Element, XmlError> {
    let root = Element::parse(body)?;
    match root.name == name {
        true => Ok(root),
        false => Err(XmlError::Missing(name)),
    }
}

/// A page that says there are more must say where, or the list would be cut
/// short in silence.
fn next(root: &Element, id: &str) -> Result<Option<Marker>, XmlError> {
    if root.get("IsTruncated").map(str::trim) != Some("true") {
        return Ok(None);
    }
    let key = root.need("NextKeyMarker")?.to_owned();
    Ok(Some(Marker {
        key,
        id: root.get(id).map(str::to_owned),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket() -> ResourceId {
        "my.bucket-1".parse().unwrap()
    }

    fn version(key: &str) -> ObjectVersion {
        ObjectVersion {
            key: key.into(),
            version: Some("v 1".into()),
        }
    }

    #[test]
    fn versions_and_delete_markers_come_mixed() {
        let body = br#"<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Name>b</Name><IsTruncated>true</IsTruncated>
            <NextKeyMarker>b&amp;</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker>
            <Version><Key>a</Key><VersionId>1</VersionId><Size>3</Size></Version>
            <DeleteMarker><Key>a</Key><VersionId>3</VersionId></DeleteMarker>
            <Version><Key> b&amp;</Key><VersionId>null</VersionId></Version></ListVersionsResult>"#;
        let page = parse_versions(body).unwrap();
        let found: Vec<_> = page
            .items
            .iter()
            .map(|v| (v.key.as_str(), v.version.as_deref().unwrap()))
            .collect();
        assert_eq!(found, [("a", "1"), ("a", "3"), (" b&", "null")]);
        let marker = page.next.unwrap();
        assert_eq!(
            list_versions_query(&bucket(), Some(&marker)),
            "/my.bucket-1?key-marker=b%26&version-id-marker=2&versions="
        );
    }

    #[test]
    fn a_page_that_hides_its_end_is_an_error() {
        let body = b"<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>";
        assert!(matches!(
            parse_versions(body),
            Err(XmlError::Missing("NextKeyMarker"))
        ));
        assert!(parse_versions(b"<ListBucketResult/>").is_err());
        assert!(parse_versions(b"<ListVersionsResult><Version/></ListVersionsResult>").is_err());
    }

    #[test]
    fn uploads_are_read_and_ended() {
        let body = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>
            <Upload><Key>x/y z</Key><UploadId>a+b</UploadId></Upload></ListMultipartUploadsResult>";
        let page = parse_uploads(body).unwrap();
        assert_eq!(page.next, None);
        assert_eq!(
            abort_upload(&bucket(), &page.items[0]).path,
            "/my.bucket-1/x/y%20z?uploadId=a%2Bb"
        );
    }

    #[test]
    fn deletes_go_in_batches_and_odd_keys_alone() {
        let mut versions: Vec<_> = (0..1001).map(|n| version(&n.to_string())).collect();
        versions.push(version("bell\u{7}"));
        let requests = delete_objects(&bucket(), &versions);
        let shape: Vec<_> = requests
            .iter()
            .map(|r| (r.operation.as_str(), r.path.as_str()))
            .collect();
        assert_eq!(
            shape,
            [
                ("delete-objects", "/my.bucket-1?delete="),
                ("delete-objects", "/my.bucket-1?delete="),
                ("delete-object", "/my.bucket-1/bell%07?versionId=v%201"),
            ]
        );
        assert!(delete_objects(&bucket(), &[]).is_empty());
    }

    #[test]
    fn failures_of_a_delete_are_reported() {
        let body = b"<DeleteResult><Deleted><Key>a</Key></Deleted>
            <Error><Key>b</Key><Code>AccessDenied</Code><Message>locked</Message></Error></DeleteResult>";
        let failures = parse_delete_result(body).unwrap();
        assert_eq!(
            (failures.len(), failures[0].code.as_str()),
            (1, "AccessDenied")
        );
        let error = parse_error(b"<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>");
        assert_eq!(error, Some(("NoSuchBucket".into(), "gone".into())));
        assert_eq!(parse_error(b"<html/>"), None);
    }

    proptest! {
        #[test]
        fn a_key_survives_the_delete_body(key in "\\PC{1,30}|[\r\n\t<>&\"' ]{1,9}") {
            let body = delete_body(&[&ObjectVersion { key: key.clone(), version: None }]);
            let root = Element::parse(&body).unwrap();
            let object = root.all("Object").next().unwrap();
            prop_assert_eq!(object.get("Key"), Some(key.as_str()));
        }

        #[test]
        fn no_body_makes_it_panic(inner in "(<(Version|Key|Error|IsTruncated)>|</(Version|Key|Error)>|true|a){0,12}") {
            for root in ["ListVersionsResult", "ListMultipartUploadsResult", "DeleteResult", "Error"] {
                let body = format!("<{root}>{inner}</{root}>").into_bytes();
                let _ = (parse_versions(&body), parse_uploads(&body), parse_delete_result(&body), parse_error(&body));
            }
        }
    }
}
