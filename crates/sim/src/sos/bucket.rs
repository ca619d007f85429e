//! Operations on buckets.

use super::store::{Bucket, Versioning};
use super::{Reply, S3Call, S3Error, unchanged, xml};
use crate::codec::rfc3339_ms;
use crate::world::{Effect, Kind, World};
use serde::Deserialize;

/// The bucket of a call, or 404; a stranger's is 403.
pub(crate) fn own<'a>(world: &'a mut World, call: &S3Call) -> Result<&'a mut Bucket, S3Error> {
    match world.sos.buckets.get_mut(&call.bucket) {
        None => Err(S3Error::new(404, "NoSuchBucket", "the bucket does not exist")),
        Some(bucket) if bucket.foreign => {
            Err(S3Error::new(403, "AccessDenied", "the bucket belongs to someone else"))
        }
        Some(bucket) => Ok(bucket),
    }
}

pub(crate) fn list(world: &World) -> Reply {
    let body = xml::document("ListAllMyBucketsResult", |w| {
        w.group("Owner", |w| w.text("ID", &world.config().organization_id));
        w.group("Buckets", |w| {
            for bucket in world.sos.live() {
                w.group("Bucket", |w| {
                    w.text("Name", &bucket.name);
                    w.text("CreationDate", &rfc3339_ms(bucket.created_at_ms));
                });
            }
        });
    });
    unchanged(xml::response(200, body))
}

fn good_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|c| edge(c) || c == '-' || c == '.')
        && name.starts_with(edge)
        && name.ends_with(edge)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

pub(crate) fn create(world: &mut World, call: &S3Call) -> Reply {
    if !good_name(&call.bucket) {
        return Err(S3Error::new(400, "InvalidBucketName", "the name is not valid"));
    }
    match world.sos.buckets.get(&call.bucket) {
        Some(bucket) if bucket.foreign => {
            return Err(S3Error::new(409, "BucketAlreadyExists", "the name is taken"));
        }
        Some(_) => {
            return Err(S3Error::new(409, "BucketAlreadyOwnedByYou", "the bucket is yours already"));
        }
        None => {}
    }
    let limit = world.config().quotas.get("bucket").copied().unwrap_or(-1);
    let count = i64::try_from(world.sos.live().len()).unwrap_or(i64::MAX);
    if limit >= 0 && count >= limit {
        return Err(S3Error::new(400, "TooManyBuckets", "the bucket quota is used up"));
    }
    let bucket = Bucket { zone: call.zone.clone(), created_ms: call.now, ..Bucket::default() };
    world.sos.buckets.insert(call.bucket.clone(), bucket);
    world.touch();
    let mut response = xml::empty(200);
    xml::set(&mut response, "location", &format!("/{}", call.bucket));
    Ok((response, Effect::created(Kind::Bucket, &call.bucket)))
}

pub(crate) fn head(world: &mut World, call: &S3Call) -> Reply {
    let zone = own(world, call)?.zone.clone();
    let mut response = xml::empty(200);
    xml::set(&mut response, "x-amz-bucket-region", &zone);
    unchanged(response)
}

pub(crate) fn delete(world: &mut World, call: &S3Call) -> Reply {
    if !own(world, call)?.deletable() {
        return Err(S3Error::new(
            409,
            "BucketNotEmpty",
            "the bucket still holds versions or unfinished uploads",
        ));
    }
    world.sos.remove_bucket(&call.bucket);
    world.touch();
    Ok((xml::empty(204), Effect::deleted(Kind::Bucket, &call.bucket)))
}

pub(crate) fn location(world: &mut World, call: &S3Call) -> Reply {
    let zone = own(world, call)?.zone.clone();
    // The element holds the region itself, without a child.
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</LocationConstraint>",
        quick_xml::escape::escape(zone.as_str())
    );
    unchanged(xml::response(200, body))
}

pub(crate) fn get_versioning(world: &mut World, call: &S3Call) -> Reply {
    let versioning = own(world, call)?.versioning;
    let body = xml::document("VersioningConfiguration", |w| match versioning {
        Versioning::Never => {}
        Versioning::Enabled => w.text("Status", "Enabled"),
        Versioning::Suspended => w.text("Status", "Suspended"),
    });
    unchanged(xml::response(200, body))
}

#[derive(Deserialize)]
struct VersioningConfiguration {
    #[serde(rename = "Status")]
    status: Option<String>,
}

/// Reads an XML body, or refuses it as malformed.
pub(crate) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, S3Error> {
    let malformed = || S3Error::new(400, "MalformedXML", "the body cannot be understood");
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    quick_xml::de::from_str(text).map_err(|_| malformed())
}

pub(crate) fn put_versioning(world: &mut World, call: &S3Call) -> Reply {
    let wanted: VersioningConfiguration = parse(&call.body)?;
    let bucket = own(world, call)?;
    bucket.versioning = match wanted.status.as_deref() {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => return Err(S3Error::new(400, "MalformedXML", "no such versioning status")),
    };
    changed(world, call, 200)
}

fn changed(world: &mut World, call: &S3Call, status: u16) -> Reply {
    world.touch();
    Ok((xml::empty(status), Effect::updated(Kind::Bucket, &call.bucket)))
}

pub(crate) fn put_setting(world: &mut World, call: &S3Call, name: &str) -> Reply {
    let body = String::from_utf8_lossy(&call.body).into_owned();
    let canned = call.header("x-amz-acl").to_owned();
    let value = if body.is_empty() { canned } else { body };
    own(world, call)?.settings.insert(name.to_owned(), value);
    changed(world, call, if name == "policy" { 204 } else { 200 })
}

pub(crate) fn delete_setting(world: &mut World, call: &S3Call, name: &str) -> Reply {
    own(world, call)?.settings.remove(name);
    changed(world, call, 204)
}

/// The owner's full control, plus everyone's reading if it was granted.
pub(crate) fn get_acl(world: &mut World, call: &S3Call) -> Reply {
    let owner = world.config().organization_id.clone();
    let setting = own(world, call)?.settings.get("acl").cloned().unwrap_or_default();
    if setting.starts_with('<') {
        return unchanged(xml::response(200, setting));
    }
    let all_users = r#"<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>"#;
    let grant = |grantee: &str, permission: &str| {
        format!("<Grant>{grantee}<Permission>{permission}</Permission></Grant>")
    };
    let me = format!(
        "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:type=\"CanonicalUser\"><ID>{owner}</ID></Grantee>"
    );
    let mut grants = grant(&me, "FULL_CONTROL");
    if setting.starts_with("public-read") {
        grants.push_str(&grant(all_users, "READ"));
    }
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AccessControlPolicy><Owner><ID>{owner}</ID>\
         </Owner><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    );
    unchanged(xml::response(200, body))
}

pub(crate) fn get_policy(world: &mut World, call: &S3Call) -> Reply {
    match own(world, call)?.settings.get("policy").cloned() {
        None => Err(S3Error::new(404, "NoSuchBucketPolicy", "the bucket has no policy")),
        Some(policy) => {
            let mut response = xml::response(200, policy);
            xml::set(&mut response, "content-type", "application/json");
            unchanged(response)
        }
    }
}

/// An unconfigured bucket answers 200 and nothing, unlike Amazon's.
pub(crate) fn get_lifecycle(world: &mut World, call: &S3Call) -> Reply {
    let setting = own(world, call)?.settings.get("lifecycle").cloned();
    let body = setting.unwrap_or_else(|| xml::document("LifecycleConfiguration", |_| {}));
    unchanged(xml::response(200, body))
}
