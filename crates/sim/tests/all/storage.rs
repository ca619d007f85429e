//! Object storage through requests signed by an independent library.

use bytes::Bytes;
use exokit_sim::{Config, Kind, Outcome, World};
use http::{Request, StatusCode};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::time::Duration;

const T0: i64 = 1_800_000_000_000;
const VALID: Duration = Duration::from_secs(60);

struct Storage {
    world: World,
    now: i64,
    credentials: Credentials,
}

fn bucket(name: &str) -> Bucket {
    let endpoint = "https://sos-ch-dk-2.exo.io".parse().unwrap();
    Bucket::new(endpoint, UrlStyle::Path, name.to_owned(), "ch-dk-2".to_owned()).unwrap()
}

impl Storage {
    fn new() -> Self {
        let config = Config::default();
        Self {
            credentials: Credentials::new(&config.api_key, &config.api_secret),
            world: World::new(config),
            now: T0,
        }
    }

    /// Sends a presigned action made at `T0`.
    fn send<'a>(&mut self, action: &impl S3Action<'a>, method: &str, body: &str) -> (u16, String) {
        let time = jiff::Timestamp::from_millisecond(T0).unwrap();
        let url = action.sign_with_time(VALID, &time);
        let md5 = data_encoding::BASE64.encode(&<md5::Md5 as sha2::Digest>::digest(body));
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header("content-md5", md5)
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        match self.world.handle(self.now, &request) {
            Outcome::Drop | Outcome::Unreachable => (0, String::new()),
            Outcome::Reply(reply) => {
                let text = String::from_utf8_lossy(reply.body()).into_owned();
                (reply.status().as_u16(), text)
            }
        }
    }
}

#[test]
fn a_bucket_through_its_life() {
    let mut s3 = Storage::new();
    let (bucket, keys) = (bucket("state"), s3.credentials.clone());
    let create = bucket.create_bucket(&keys);
    assert_eq!(s3.send(&create, "PUT", "").0, 200);
    let (status, text) = s3.send(&create, "PUT", "");
    assert_eq!(status, 409);
    assert!(text.contains("BucketAlreadyOwnedByYou"), "{text}");
    let put = bucket.put_object(Some(&keys), "dir/a b");
    assert_eq!(s3.send(&put, "PUT", "hello").0, 200);
    let get = bucket.get_object(Some(&keys), "dir/a b");
    assert_eq!(s3.send(&get, "GET", ""), (200, "hello".to_owned()));
    let list = bucket.list_objects_v2(Some(&keys));
    assert!(s3.send(&list, "GET", "").1.contains("dir/a"));
    let remove = bucket.delete_bucket(&keys);
    assert!(s3.send(&remove, "DELETE", "").1.contains("BucketNotEmpty"));
    let upload = bucket.create_multipart_upload(Some(&keys), "left");
    let text = s3.send(&upload, "POST", "").1;
    let delete = bucket.delete_object(Some(&keys), "dir/a b");
    assert_eq!(s3.send(&delete, "DELETE", "").0, 204);
    let (status, _) = s3.send(&remove, "DELETE", "");
    assert_eq!(status, 409, "an unfinished upload holds the bucket");
    let id = text.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let abort = bucket.abort_multipart_upload(Some(&keys), "left", &id);
    assert_eq!(s3.send(&abort, "DELETE", "").0, 204);
    assert_eq!(s3.world.live()[0].zone.as_deref(), Some("ch-dk-2"));
    assert_eq!(s3.send(&remove, "DELETE", "").0, 204);
    assert!(s3.world.live().is_empty());
}

#[test]
fn names_are_global_and_checked() {
    let mut s3 = Storage::new();
    let keys = s3.credentials.clone();
    let doc = serde_json::json!({"name": "taken"});
    s3.world.plant_foreign(Kind::Bucket, Some("ch-dk-2"), doc);
    let taken = bucket("taken");
    let (status, text) = s3.send(&taken.create_bucket(&keys), "PUT", "");
    assert_eq!(status, 409);
    assert!(text.contains("BucketAlreadyExists"), "{text}");
    assert_eq!(s3.send(&taken.head_bucket(Some(&keys)), "HEAD", "").0, 403);
    assert!(s3.world.live().is_empty());
    for name in ["ab", "Upper", "a..b", "-a", "1.2.3.4"] {
        let status = s3.send(&bucket(name).create_bucket(&keys), "PUT", "").0;
        assert_eq!(status, 400, "{name}");
    }
}

#[test]
fn signatures_expire_and_bind() {
    let mut s3 = Storage::new();
    let (bucket, keys) = (bucket("state"), s3.credentials.clone());
    s3.now = T0 + 61_000;
    let (status, text) = s3.send(&bucket.create_bucket(&keys), "PUT", "");
    assert_eq!(status, 403);
    assert!(text.contains("expired"), "{text}");
    s3.now = T0;
    let (status, _) = s3.send(&bucket.create_bucket(&keys), "DELETE", "");
    assert_eq!(status, 403, "signed for another method");
    let other = Credentials::new("EXOnobody", "x");
    let (status, text) = s3.send(&bucket.create_bucket(&other), "PUT", "");
    assert_eq!(status, 403);
    assert!(text.contains("InvalidAccessKeyId"), "{text}");
    let anonymous = Request::get("https://sos-ch-dk-2.exo.io/").body(Bytes::new()).unwrap();
    let Outcome::Reply(reply) = s3.world.handle(T0, &anonymous) else {
        panic!("dropped");
    };
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
}

impl Storage {
    /// Sends any presigned request and gives the body without the declaration.
    fn call(
        &mut self,
        method: rusty_s3::Method,
        path: &str,
        query: &[(&str, &str)],
        acl: Option<&str>,
        body: &str,
    ) -> String {
        let time = jiff::Timestamp::from_millisecond(T0).unwrap();
        let headers: Vec<(&str, &str)> = acl.map(|acl| ("x-amz-acl", acl)).into_iter().collect();
        let url = rusty_s3::signing::sign(
            &time,
            method,
            format!("https://sos-ch-dk-2.exo.io{path}").parse().unwrap(),
            self.credentials.key(),
            self.credentials.secret(),
            None,
            "ch-dk-2",
            60,
            query.iter().copied(),
            headers.iter().copied(),
        );
        let md5 = data_encoding::BASE64.encode(&<md5::Md5 as sha2::Digest>::digest(body));
        let mut request =
            Request::builder().method(method.to_str()).uri(url.as_str()).header("content-md5", md5);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match self.world.handle(self.now, &request.body(Bytes::from(body.to_owned())).unwrap()) {
            Outcome::Drop | Outcome::Unreachable => panic!("dropped"),
            Outcome::Reply(reply) => {
                let text = String::from_utf8_lossy(reply.body()).into_owned();
                let declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
                text.strip_prefix(declaration).unwrap_or(&text).to_owned()
            }
        }
    }

    /// Checks the form of a reply: the namespace, ids and entity tags aside.
    #[track_caller]
    fn check(
        &mut self,
        (method, path): (rusty_s3::Method, &str),
        query: &[(&str, &str)],
        acl: Option<&str>,
        body: &str,
        expected: &str,
    ) {
        let reply = self.call(method, path, query, acl, body);
        let reply = reply.replace(r#" xmlns="http://s3.amazonaws.com/doc/2006-03-01/""#, "");
        let shown: Vec<String> = reply
            .split('<')
            .map(|part| match part.split_once('>') {
                Some((name @ ("VersionId" | "UploadId" | "ETag" | "DeleteMarkerVersionId"), _)) => {
                    format!("{name}>*")
                }
                _ => part.to_owned(),
            })
            .collect();
        assert_eq!(shown.join("<"), expected, "{path} {query:?}");
    }
}

#[test]
fn replies_about_a_bucket_have_the_form_of_s3() {
    use rusty_s3::Method::{Get, Put};
    let mut s3 = Storage::new();
    s3.check((Put, "/bkt"), &[], Some("public-read"), "", "");
    s3.check(
        (Get, "/bkt"),
        &[("location", "")],
        None,
        "",
        "<LocationConstraint>ch-dk-2</LocationConstraint>",
    );
    s3.check((Get, "/bkt"), &[("versioning", "")], None, "", "<VersioningConfiguration/>");
    s3.check((Get, "/bkt"), &[("lifecycle", "")], None, "", "<LifecycleConfiguration/>");
    s3.check(
        (Get, "/bkt"),
        &[("list-type", "2")],
        None,
        "",
        "<ListBucketResult><Name>bkt</Name><Prefix/><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>\
         <KeyCount>0</KeyCount></ListBucketResult>",
    );
    s3.check((Put, "/bkt"), &[("acl", "")], Some("public-read"), "", "");
    let owner = "5f0c0de0-0000-4000-8000-00000000c10d";
    let xsi = r#"<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="#;
    s3.check(
        (Get, "/bkt"),
        &[("acl", "")],
        None,
        "",
        &format!(
            "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList>\
             <Grant>{xsi}\"CanonicalUser\"><ID>{owner}</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>\
             <Grant>{xsi}\"Group\"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>\
             <Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
        ),
    );
    s3.check(
        (Get, "/"),
        &[],
        None,
        "",
        &format!(
            "<ListAllMyBucketsResult><Owner><ID>{owner}</ID></Owner><Buckets><Bucket><Name>bkt</Name>\
             <CreationDate>2027-01-15T08:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>"
        ),
    );
}

#[test]
fn lists_of_versions_have_the_form_of_s3() {
    use rusty_s3::Method::{Get, Post, Put};
    let mut s3 = Storage::new();
    s3.check((Put, "/bkt"), &[], None, "", "");
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    s3.check((Put, "/bkt"), &[("versioning", "")], None, enabled, "");
    s3.check((Get, "/bkt"), &[("versioning", "")], None, "", enabled);
    for key in ["/bkt/a%26b", "/bkt/dir/x", "/bkt/dir/y"] {
        s3.check((Put, key), &[], None, "data", "");
    }
    s3.check(
        (Get, "/bkt"),
        &[("delimiter", "/"), ("max-keys", "1")],
        None,
        "",
        "<ListBucketResult><Name>bkt</Name><Prefix/><MaxKeys>1</MaxKeys><IsTruncated>true</IsTruncated>\
         <Delimiter>/</Delimiter><Marker/><NextMarker>a&amp;b</NextMarker><Contents><Key>a&amp;b</Key>\
         <LastModified>2027-01-15T08:00:00.000Z</LastModified><ETag>*</ETag><Size>4</Size>\
         <StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>",
    );
    s3.check(
        (Post, "/bkt"),
        &[("delete", "")],
        None,
        "<Delete><Object><Key>a&amp;b</Key></Object></Delete>",
        "<DeleteResult><Deleted><Key>a&amp;b</Key><DeleteMarker>true</DeleteMarker>\
         <DeleteMarkerVersionId>*</DeleteMarkerVersionId></Deleted></DeleteResult>",
    );
    s3.check(
        (Get, "/bkt"),
        &[("delimiter", "/"), ("versions", "")],
        None,
        "",
        "<ListVersionsResult><Name>bkt</Name><Prefix/><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>\
         <Delimiter>/</Delimiter><KeyMarker/><DeleteMarker><Key>a&amp;b</Key><VersionId>*</VersionId>\
         <IsLatest>true</IsLatest><LastModified>2027-01-15T08:00:00.000Z</LastModified></DeleteMarker>\
         <Version><Key>a&amp;b</Key><VersionId>*</VersionId><IsLatest>false</IsLatest>\
         <LastModified>2027-01-15T08:00:00.000Z</LastModified><ETag>*</ETag><Size>4</Size>\
         <StorageClass>STANDARD</StorageClass></Version><CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>\
         </ListVersionsResult>",
    );
}

#[test]
fn errors_and_uploads_have_the_form_of_s3() {
    use rusty_s3::Method::{Get, Post, Put};
    let mut s3 = Storage::new();
    s3.check((Put, "/bkt"), &[], None, "", "");
    s3.check(
        (Get, "/bkt/none"),
        &[],
        None,
        "",
        "<Error><Code>NoSuchKey</Code><Message>the key does not exist</Message><Resource>/bkt/none</Resource></Error>",
    );
    s3.check(
        (Post, "/bkt/up"),
        &[("uploads", "")],
        None,
        "",
        "<InitiateMultipartUploadResult><Bucket>bkt</Bucket><Key>up</Key><UploadId>*</UploadId>\
         </InitiateMultipartUploadResult>",
    );
    s3.check(
        (Get, "/bkt"),
        &[("uploads", "")],
        None,
        "",
        "<ListMultipartUploadsResult><Bucket>bkt</Bucket><IsTruncated>false</IsTruncated><Upload><Key>up</Key>\
         <UploadId>*</UploadId><Initiated>2027-01-15T08:00:00.000Z</Initiated>\
         <StorageClass>STANDARD</StorageClass></Upload></ListMultipartUploadsResult>",
    );
}
