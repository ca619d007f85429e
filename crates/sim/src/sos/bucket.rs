//! Operations on buckets.

use super::store::{Bucket, Versioning};
use super::{Reply, S3Call, S3Error, unchanged, xml};
use crate::codec::rfc3339_ms;
use crate::world::{Effect, Kind, World};
use serde::{Deserialize, Serialize};

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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BucketList {
    owner: Owner,
    buckets: Buckets,
}

#[derive(Serialize)]
struct Owner {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Buckets {
    bucket: Vec<ListedBucket>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedBucket {
    name: String,
    creation_date: String,
}

pub(crate) fn list(world: &World) -> Reply {
    let live = world.sos.live().into_iter();
    let bucket = live
        .map(|bucket| ListedBucket { name: bucket.name, creation_date: rfc3339_ms(bucket.created_at_ms) })
        .collect();
    let owner = Owner { id: world.config().organization_id.clone() };
    let list = BucketList { owner, buckets: Buckets { bucket } };
    unchanged(xml::document(200, "ListAllMyBucketsResult", &list))
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
    unchanged(xml::document(200, "LocationConstraint", &zone))
}

#[derive(Serialize, Deserialize)]
struct VersioningConfiguration {
    #[serde(rename = "Status", skip_serializing_if = "Option::is_none")]
    status: Option<String>,
}

pub(crate) fn get_versioning(world: &mut World, call: &S3Call) -> Reply {
    let status = match own(world, call)?.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some("Enabled".to_owned()),
        Versioning::Suspended => Some("Suspended".to_owned()),
    };
    unchanged(xml::document(200, "VersioningConfiguration", &VersioningConfiguration { status }))
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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessControlPolicy {
    owner: Owner,
    access_control_list: AccessControlList,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessControlList {
    grant: Vec<Grant>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    grantee: Grantee,
    permission: &'static str,
}

#[derive(Serialize)]
struct Grantee {
    #[serde(rename = "@xmlns:xsi")]
    namespace: &'static str,
    #[serde(rename = "@xsi:type")]
    kind: &'static str,
    #[serde(rename = "$value")]
    name: GranteeName,
}

#[derive(Serialize)]
enum GranteeName {
    #[serde(rename = "ID")]
    Id(String),
    #[serde(rename = "URI")]
    Uri(&'static str),
}

impl Grant {
    fn new(kind: &'static str, name: GranteeName, permission: &'static str) -> Self {
        let namespace = "http://www.w3.org/2001/XMLSchema-instance";
        Self { grantee: Grantee { namespace, kind, name }, permission }
    }
}

/// The owner's full control, plus everyone's reading if it was granted.
pub(crate) fn get_acl(world: &mut World, call: &S3Call) -> Reply {
    let id = world.config().organization_id.clone();
    let setting = own(world, call)?.settings.get("acl").cloned().unwrap_or_default();
    if setting.starts_with('<') {
        return unchanged(xml::response(200, setting));
    }
    let mut grant = vec![Grant::new("CanonicalUser", GranteeName::Id(id.clone()), "FULL_CONTROL")];
    if setting.starts_with("public-read") {
        let all_users = GranteeName::Uri("http://acs.amazonaws.com/groups/global/AllUsers");
        grant.push(Grant::new("Group", all_users, "READ"));
    }
    let policy =
        AccessControlPolicy { owner: Owner { id }, access_control_list: AccessControlList { grant } };
    unchanged(xml::document(200, "AccessControlPolicy", &policy))
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
    unchanged(match setting {
        Some(setting) => xml::response(200, setting),
        None => xml::document(200, "LifecycleConfiguration", &()),
    })
}
