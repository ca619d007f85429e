//! Operations on buckets.

use super::store::{Bucket, Versioning};
use super::xml::{self, Content, Elements, parent, text};
use super::{Reply, S3Call, S3Error, unchanged};
use crate::codec::rfc3339_ms;
use crate::world::{Effect, Kind, World, response};
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

fn owner(world: &World) -> (&'static str, Content) {
    parent("Owner", [text("ID", &world.config().organization_id)])
}

pub(crate) fn list(world: &World) -> Reply {
    let buckets = world.sos.live().into_iter().map(|bucket| {
        let created = text("CreationDate", rfc3339_ms(bucket.created_at_ms));
        parent("Bucket", [text("Name", bucket.name), created])
    });
    let list = [owner(world), parent("Buckets", buckets.collect::<Elements>())];
    unchanged(xml::document(200, parent("ListAllMyBucketsResult", list)))
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
    unchanged(xml::document(200, text("LocationConstraint", zone)))
}

pub(crate) fn get_versioning(world: &mut World, call: &S3Call) -> Reply {
    let status = match own(world, call)?.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(text("Status", "Enabled")),
        Versioning::Suspended => Some(text("Status", "Suspended")),
    };
    let status: Elements = status.into_iter().collect();
    unchanged(xml::document(200, parent("VersioningConfiguration", status)))
}

#[derive(Deserialize)]
struct VersioningConfiguration {
    #[serde(rename = "Status")]
    status: Option<String>,
}

pub(crate) fn put_versioning(world: &mut World, call: &S3Call) -> Reply {
    let wanted: VersioningConfiguration = xml::decode(&call.body)?;
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

fn grant(kind: &str, grantee: (&'static str, Content), permission: &str) -> (&'static str, Content) {
    let namespace = "http://www.w3.org/2001/XMLSchema-instance";
    let grantee = [text("@xmlns:xsi", namespace), text("@xsi:type", kind), grantee];
    parent("Grant", [parent("Grantee", grantee), text("Permission", permission)])
}

/// The owner's full control, plus everyone's reading if it was granted.
pub(crate) fn get_acl(world: &mut World, call: &S3Call) -> Reply {
    let setting = own(world, call)?.settings.get("acl").cloned().unwrap_or_default();
    if setting.starts_with('<') {
        return unchanged(response(200, xml::MEDIA_TYPE, setting));
    }
    let id = text("ID", &world.config().organization_id);
    let mut grants = vec![grant("CanonicalUser", id, "FULL_CONTROL")];
    if setting.starts_with("public-read") {
        let all_users = text("URI", "http://acs.amazonaws.com/groups/global/AllUsers");
        grants.push(grant("Group", all_users, "READ"));
    }
    let policy = [owner(world), parent("AccessControlList", grants)];
    unchanged(xml::document(200, parent("AccessControlPolicy", policy)))
}

pub(crate) fn get_policy(world: &mut World, call: &S3Call) -> Reply {
    match own(world, call)?.settings.get("policy").cloned() {
        None => Err(S3Error::new(404, "NoSuchBucketPolicy", "the bucket has no policy")),
        Some(policy) => unchanged(response(200, "application/json", policy)),
    }
}

/// An unconfigured bucket answers 200 and nothing, unlike Amazon's.
pub(crate) fn get_lifecycle(world: &mut World, call: &S3Call) -> Reply {
    let setting = own(world, call)?.settings.get("lifecycle").cloned();
    unchanged(match setting {
        Some(setting) => response(200, xml::MEDIA_TYPE, setting),
        None => xml::document(200, parent("LifecycleConfiguration", [])),
    })
}
