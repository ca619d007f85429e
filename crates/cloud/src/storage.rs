//! Object storage (SOS): which calls there are, and what the replies mean.
//!
//! SOS speaks S3 with the same key pair as the API. Its address is
//! `https://sos-<zone>.exo.io`, its region is the zone, and buckets are named
//! in the path. Nothing is sent from here.
//!
//! A plan knows three changes of a bucket: make, empty and delete. Emptying is
//! one approved change and as many S3 calls as it takes, because a bucket goes
//! only when it has neither versions nor unfinished uploads.

use std::collections::BTreeMap;

use bytes::Bytes;
use exokit_model::ids::ResourceId;
use exokit_model::request::{Api, ConcreteRequest, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusty_s3::Method as S3Method;
use serde::{Deserialize, Serialize};

use crate::xml::{decode, unusable};

/// Most objects in one delete request; a limit of S3.
pub(crate) const DELETE_OBJECTS_MAX: usize = 1000;

/// What S3 leaves as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What S3 leaves as it is in the value of a query parameter.
const QUERY: &AsciiSet = &PATH.add(b'/');

/// One version of one object, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ObjectVersion {
    /// Key of the object.
    #[serde(rename = "Key")]
    pub(crate) key: String,
    /// Version, or `null` in a bucket without versions.
    #[serde(rename = "VersionId", skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

/// An upload in parts that was never finished.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Upload {
    /// Key that the object would have had.
    pub(crate) key: String,
    /// Id of the upload.
    pub(crate) upload_id: String,
}

/// Where the next page of a list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Last key of the page before.
    pub(crate) key: String,
    /// Last version or upload id of the page before.
    pub(crate) id: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T> {
    /// What it holds.
    pub(crate) items: Vec<T>,
    /// Where to go on; `None` on the last page.
    pub(crate) next: Option<Marker>,
}

/// An object that a delete request could not delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DeleteFailure {
    /// Key of the object.
    pub(crate) key: String,
    /// Code of the failure, such as `AccessDenied`.
    pub(crate) code: String,
    /// What the storage says.
    pub(crate) message: String,
}

/// One S3 call, not yet signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) method: S3Method,
    /// Path, with query where there is one.
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// Value of the header `x-amz-acl`.
    pub(crate) acl: Option<&'static str>,
}

/// A change of a bucket, as a plan holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// One call.
    Single(Call),
    /// Everything in the bucket goes.
    Empty(ResourceId),
}

impl Change {
    /// Reads the change from what the digest of the request covers: method,
    /// path and body. The operation's name is not covered and not looked at.
    /// `None` when the request is no such change.
    pub(crate) fn of(request: &ConcreteRequest) -> Option<Change> {
        let bucket: ResourceId = request.path.strip_prefix('/')?.parse().ok()?;
        let bare = request.body.is_empty();
        match (request.api, request.method) {
            (Api::Storage, Method::Put) => {
                let call = call("create-bucket", S3Method::Put, format!("/{bucket}"));
                Some(Change::Single(Call { acl: Some(acl(&request.body)?), ..call }))
            }
            (Api::Storage, Method::Post) if bare => Some(Change::Empty(bucket)),
            (Api::Storage, Method::Delete) if bare => {
                Some(Change::Single(call("delete-bucket", S3Method::Delete, format!("/{bucket}"))))
            }
            _ => None,
        }
    }
}

/// The body of a planned bucket says who may read it: `{"acl": "private"}`.
fn acl(body: &[u8]) -> Option<&'static str> {
    let planned: BTreeMap<String, String> = serde_json::from_slice(body).ok()?;
    match (planned.len(), planned.get("acl").map(String::as_str)) {
        (1, Some("private")) => Some("private"),
        (1, Some("public-read")) => Some("public-read"),
        _ => None,
    }
}

/// A call without body.
pub(crate) fn call(operation: &'static str, method: S3Method, path: String) -> Call {
    Call { operation, method, path, body: Bytes::new(), acl: None }
}

/// Ends an unfinished upload and drops its parts.
pub(crate) fn abort_upload(bucket: &ResourceId, upload: &Upload) -> Call {
    let id = utf8_percent_encode(&upload.upload_id, QUERY);
    let path = format!("{}?uploadId={id}", object_path(bucket, &upload.key));
    call("abort-multipart-upload", S3Method::Delete, path)
}

/// Deletes versions, up to [`DELETE_OBJECTS_MAX`] in one call.
///
/// A key with a control character cannot stand in XML, so such a version gets
/// a call of its own.
pub(crate) fn delete_objects(bucket: &ResourceId, versions: &[ObjectVersion]) -> Vec<Call> {
    let (batched, single): (Vec<&ObjectVersion>, Vec<&ObjectVersion>) =
        versions.iter().partition(|version| fits_in_xml(&version.key));
    let batches = batched.chunks(DELETE_OBJECTS_MAX).map(|chunk| Call {
        body: delete_body(chunk).into(),
        ..call("delete-objects", S3Method::Post, format!("/{bucket}?delete="))
    });
    let singles = single.into_iter().map(|version| {
        let mut path = object_path(bucket, &version.key);
        if let Some(id) = &version.version {
            path.push_str(&format!("?versionId={}", utf8_percent_encode(id, QUERY)));
        }
        call("delete-object", S3Method::Delete, path)
    });
    batches.chain(singles).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Delete<'a> {
    #[serde(rename = "@xmlns")]
    namespace: &'static str,
    quiet: bool,
    object: &'a [&'a ObjectVersion],
}

fn delete_body(versions: &[&ObjectVersion]) -> String {
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    let delete = Delete { namespace, quiet: true, object: versions };
    quick_xml::se::to_string(&delete).expect("texts and lists have an XML form")
}

/// The characters that XML 1.0 allows.
fn fits_in_xml(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..))
}

fn object_path(bucket: &ResourceId, key: &str) -> String {
    format!("/{bucket}/{}", utf8_percent_encode(key, PATH))
}

/// Lists every version and delete marker of a bucket.
pub(crate) fn list_versions(bucket: &ResourceId, after: Option<&Marker>) -> Call {
    let path = list_query(bucket, "versions", after, "version-id-marker");
    call("list-object-versions", S3Method::Get, path)
}

/// Lists the unfinished uploads of a bucket.
pub(crate) fn list_uploads(bucket: &ResourceId, after: Option<&Marker>) -> Call {
    let path = list_query(bucket, "uploads", after, "upload-id-marker");
    call("list-multipart-uploads", S3Method::Get, path)
}

fn list_query(bucket: &ResourceId, what: &str, after: Option<&Marker>, id_parameter: &str) -> String {
    let mut path = format!("/{bucket}?");
    if let Some(marker) = after {
        path.push_str(&format!("key-marker={}&", utf8_percent_encode(&marker.key, QUERY)));
        if let Some(id) = &marker.id {
            path.push_str(&format!("{id_parameter}={}&", utf8_percent_encode(id, QUERY)));
        }
    }
    path + what + "="
}

/// The documents that object storage replies with.
#[derive(Deserialize)]
enum Document {
    ListVersionsResult(Listing),
    ListMultipartUploadsResult(Listing),
    DeleteResult(DeleteResult),
    AccessControlPolicy(AccessControlPolicy),
    Error(Failure),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AccessControlPolicy {
    access_control_list: AccessControlList,
}

#[derive(Deserialize)]
struct AccessControlList {
    #[serde(rename = "Grant", default)]
    grants: Vec<Grant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    grantee: Grantee,
}

#[derive(Deserialize)]
struct Grantee {
    /// The name of a group. A person has an id instead.
    #[serde(rename = "URI", default)]
    group: Option<String>,
}

/// The elements of a list, in any order.
#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "$value", default)]
    elements: Vec<ListElement>,
}

#[derive(Deserialize)]
enum ListElement {
    #[serde(alias = "DeleteMarker")]
    Version(ObjectVersion),
    Upload(Upload),
    IsTruncated(bool),
    NextKeyMarker(String),
    #[serde(alias = "NextUploadIdMarker")]
    NextVersionIdMarker(String),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct DeleteResult {
    #[serde(rename = "$value", default)]
    elements: Vec<DeleteElement>,
}

#[derive(Deserialize)]
enum DeleteElement {
    Error(DeleteFailure),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    code: String,
    #[serde(default)]
    message: String,
}

fn other_document() -> String {
    unusable("it answers another request")
}

/// Decodes a page of versions and delete markers.
pub(crate) fn parse_versions(body: &[u8]) -> Result<Page<ObjectVersion>, String> {
    let Document::ListVersionsResult(listing) = decode(body)? else {
        return Err(other_document());
    };
    listing.page(|element| if let ListElement::Version(version) = element { Some(version) } else { None })
}

/// The groups of everyone, by the ends of their names: without an account at
/// Exoscale, and with one.
const EVERYONE: [&str; 2] = ["/AllUsers", "/AuthenticatedUsers"];

/// Reads the access control list of a bucket.
pub(crate) fn get_acl(bucket: &ResourceId) -> Call {
    call("get-bucket-acl", S3Method::Get, format!("/{bucket}?acl="))
}

/// Decodes an access control list: whether it gives everyone a right.
pub(crate) fn parse_is_public(body: &[u8]) -> Result<bool, String> {
    let Document::AccessControlPolicy(policy) = decode(body)? else {
        return Err(other_document());
    };
    let mut groups = policy.access_control_list.grants.into_iter().filter_map(|grant| grant.grantee.group);
    Ok(groups.any(|group| EVERYONE.iter().any(|everyone| group.ends_with(everyone))))
}

/// Decodes a page of unfinished uploads.
pub(crate) fn parse_uploads(body: &[u8]) -> Result<Page<Upload>, String> {
    let Document::ListMultipartUploadsResult(listing) = decode(body)? else {
        return Err(other_document());
    };
    listing.page(|element| if let ListElement::Upload(upload) = element { Some(upload) } else { None })
}

/// Decodes the reply to [`delete_objects`]: what could not be deleted.
pub(crate) fn parse_delete_result(body: &[u8]) -> Result<Vec<DeleteFailure>, String> {
    let Document::DeleteResult(result) = decode(body)? else {
        return Err(other_document());
    };
    let failures = result.elements.into_iter().filter_map(|element| match element {
        DeleteElement::Error(failure) => Some(failure),
        DeleteElement::Other => None,
    });
    Ok(failures.collect())
}

/// Code and message of an error body, when it is one.
pub(crate) fn parse_error(body: &[u8]) -> Option<(String, String)> {
    match decode(body) {
        Ok(Document::Error(failure)) => Some((failure.code, failure.message)),
        _ => None,
    }
}

impl Listing {
    /// The items that `pick` takes and where the next page begins. A page that
    /// says there are more must say where, or the list would be cut short in
    /// silence.
    fn page<T>(self, pick: impl Fn(ListElement) -> Option<T>) -> Result<Page<T>, String> {
        let (mut items, mut truncated, mut key, mut id) = (Vec::new(), false, None, None);
        for element in self.elements {
            match element {
                ListElement::IsTruncated(more) => truncated = more,
                ListElement::NextKeyMarker(marker) => key = Some(marker),
                ListElement::NextVersionIdMarker(marker) => id = Some(marker),
                element => items.extend(pick(element)),
            }
        }
        match (truncated, key) {
            (false, _) => Ok(Page { items, next: None }),
            (true, Some(key)) => Ok(Page { items, next: Some(Marker { key, id }) }),
            (true, None) => Err(unusable("it goes on without saying where")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket() -> ResourceId {
        "my.bucket-1".parse().unwrap()
    }

    fn version(key: &str) -> ObjectVersion {
        ObjectVersion { key: key.into(), version: Some("v 1".into()) }
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
        let found: Vec<_> =
            page.items.iter().map(|v| (v.key.as_str(), v.version.as_deref().unwrap())).collect();
        assert_eq!(found, [("a", "1"), ("a", "3"), (" b&", "null")]);
        let marker = page.next.unwrap();
        assert_eq!(
            list_versions(&bucket(), Some(&marker)).path,
            "/my.bucket-1?key-marker=b%26&version-id-marker=2&versions="
        );
    }

    #[test]
    fn a_page_that_hides_its_end_is_an_error() {
        let body = b"<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>";
        assert_eq!(parse_versions(body), Err(unusable("it goes on without saying where")));
        assert!(parse_versions(b"<ListBucketResult/>").is_err());
        assert!(parse_versions(b"<ListVersionsResult><Version/></ListVersionsResult>").is_err());
    }

    #[test]
    fn uploads_are_read_and_ended() {
        let body = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>
            <Upload><Key>x/y z</Key><UploadId>a+b</UploadId></Upload></ListMultipartUploadsResult>";
        let page = parse_uploads(body).unwrap();
        assert_eq!(page.next, None);
        assert_eq!(abort_upload(&bucket(), &page.items[0]).path, "/my.bucket-1/x/y%20z?uploadId=a%2Bb");
    }

    #[test]
    fn deletes_go_in_batches_and_odd_keys_alone() {
        let mut versions: Vec<_> = (0..1001).map(|n| version(&n.to_string())).collect();
        versions.push(version("bell\u{7}"));
        let requests = delete_objects(&bucket(), &versions);
        let shape: Vec<_> = requests.iter().map(|r| (r.operation, r.path.as_str())).collect();
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
        assert_eq!((failures.len(), failures[0].code.as_str()), (1, "AccessDenied"));
        let error = parse_error(b"<Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>");
        assert_eq!(error, Some(("NoSuchBucket".into(), "gone".into())));
        assert_eq!(parse_error(b"<html/>"), None);
    }

    #[test]
    fn only_the_three_planned_changes_are_known_whatever_they_are_called() {
        let request = |method, path: &str, body: &str| ConcreteRequest {
            operation: "create-bucket".into(),
            api: Api::Storage,
            method,
            path: path.into(),
            body: body.into(),
            secrets: std::collections::BTreeMap::new(),
        };
        let of = |method, path: &str, body: &str| Change::of(&request(method, path, body));
        let Some(Change::Single(create)) = of(Method::Put, "/b", r#"{"acl":"public-read"}"#) else {
            panic!()
        };
        assert_eq!((create.acl, create.body.len()), (Some("public-read"), 0));
        assert_eq!(of(Method::Post, "/b", ""), Some(Change::Empty("b".parse().unwrap())));
        assert!(matches!(of(Method::Delete, "/b", ""), Some(Change::Single(_))));
        for (method, path, body) in [
            (Method::Put, "/b", ""),
            (Method::Put, "/b", r#"{"acl":"public-read-write"}"#),
            (Method::Put, "/b", r#"{"acl":"private","x":"y"}"#),
            (Method::Put, "/b/key", r#"{"acl":"private"}"#),
            (Method::Post, "/b?delete=", ""),
            (Method::Post, "/b", "<Delete/>"),
            (Method::Delete, "/b/key", ""),
            (Method::Delete, "/", ""),
            (Method::Delete, "b", ""),
        ] {
            assert_eq!(of(method, path, body), None, "{method:?} {path} {body}");
        }
        let api = ConcreteRequest { api: Api::Exoscale, ..request(Method::Delete, "/b", "") };
        assert_eq!(Change::of(&api), None);
    }

    proptest! {
        #[test]
        fn a_key_survives_the_delete_body(key in "\\PC{1,30}|[\r\n\t<>&\"' ]{1,9}") {
            #[derive(Deserialize)]
            struct Read {
                #[serde(rename = "Object")]
                object: ObjectVersion,
            }
            let sent = ObjectVersion { key, version: None };
            let read: Read = quick_xml::de::from_str(&delete_body(&[&sent])).unwrap();
            prop_assert_eq!(read.object, sent);
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
