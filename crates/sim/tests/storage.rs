//! Object storage through requests signed by an independent library.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
            Outcome::Drop => (0, String::new()),
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
