//! Operations on objects and their versions.

use super::bucket::{own, parse};
use super::store::{Data, NULL_VERSION, Version, Versioning, etag};
use super::{Reply, S3Call, S3Error, unchanged, xml};
use crate::codec::{http_date, percent, rfc3339_ms};
use crate::world::{Effect, Kind, World};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

const MAX_KEYS: usize = 1000;

/// What a new version is made of, from the headers of a call.
pub(crate) fn version_from(call: &S3Call, data: bytes::Bytes) -> Version {
    let (content_type, metadata) = described(call);
    Version {
        id: String::new(),
        marker: false,
        etag: etag(&data),
        data: Data(data),
        content_type,
        metadata,
        modified_ms: call.now,
    }
}

/// Content type and user metadata of a call.
pub(crate) fn described(call: &S3Call) -> (String, BTreeMap<String, String>) {
    let metadata = call
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-amz-meta-")?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect();
    let content_type = match call.header("content-type") {
        "" => "binary/octet-stream",
        given => given,
    };
    (content_type.to_owned(), metadata)
}

pub(crate) fn put(world: &mut World, call: &S3Call) -> Reply {
    let fresh = world.ids.uuid().replace('-', "");
    let data = match call.header("x-amz-copy-source") {
        "" => call.body.clone(),
        source => copied(world, source)?,
    };
    let version = version_from(call, data);
    let tag = version.etag.clone();
    let bucket = own(world, call)?;
    if call.header("if-none-match") == "*" && bucket.current(&call.key).is_some() {
        return Err(S3Error::new(412, "PreconditionFailed", "the object exists"));
    }
    let id = bucket.add(&call.key, version, fresh);
    world.touch();
    let mut response = if call.header("x-amz-copy-source").is_empty() {
        xml::empty(200)
    } else {
        let body = xml::document("CopyObjectResult", |w| {
            w.text("ETag", &tag);
            w.text("LastModified", &rfc3339_ms(call.now));
        });
        xml::response(200, body)
    };
    xml::set(&mut response, "etag", &tag);
    if id != NULL_VERSION {
        xml::set(&mut response, "x-amz-version-id", &id);
    }
    Ok((response, Effect::updated(Kind::Bucket, &call.bucket)))
}

fn copied(world: &World, source: &str) -> Result<bytes::Bytes, S3Error> {
    let (bucket, key) = super::split_path(source);
    let found = world.sos.buckets.get(&bucket).filter(|b| !b.foreign);
    found
        .and_then(|b| b.current(&key))
        .map(|version| version.data.0.clone())
        .ok_or_else(|| S3Error::new(404, "NoSuchKey", "the source does not exist"))
}

/// `bytes=a-b`, `bytes=a-`, `bytes=-n`.
fn range(header: &str, len: usize) -> Option<(usize, usize)> {
    let (start, end) = header.strip_prefix("bytes=")?.split_once('-')?;
    let last = len.checked_sub(1)?;
    let (start, end) = match (start, end) {
        ("", n) => (len.saturating_sub(n.parse().ok()?), last),
        (a, "") => (a.parse().ok()?, last),
        (a, b) => (a.parse().ok()?, b.parse::<usize>().ok()?.min(last)),
    };
    (start <= end).then_some((start, end))
}

pub(crate) fn get(world: &mut World, call: &S3Call, with_body: bool) -> Reply {
    let bucket = own(world, call)?;
    let missing = || S3Error::new(404, "NoSuchKey", "the key does not exist");
    let found = match call.query("versionId") {
        "" => bucket.current(&call.key).ok_or_else(missing)?,
        id => bucket
            .objects
            .get(&call.key)
            .and_then(|versions| versions.iter().find(|v| v.id == id && !v.marker))
            .ok_or_else(|| S3Error::new(404, "NoSuchVersion", "the version does not exist"))?,
    };
    let data = &found.data.0;
    let part = range(call.header("range"), data.len());
    let mut response = xml::empty(if part.is_some() { 206 } else { 200 });
    let shown = match part {
        Some((start, end)) => {
            let text = format!("bytes {start}-{end}/{}", data.len());
            xml::set(&mut response, "content-range", &text);
            data.slice(start..=end)
        }
        None => data.clone(),
    };
    xml::set(&mut response, "etag", &found.etag);
    xml::set(&mut response, "content-type", &found.content_type);
    xml::set(&mut response, "content-length", &shown.len().to_string());
    xml::set(&mut response, "last-modified", &http_date(found.modified_ms));
    xml::set(&mut response, "accept-ranges", "bytes");
    if found.id != NULL_VERSION {
        xml::set(&mut response, "x-amz-version-id", &found.id);
    }
    for (name, value) in &found.metadata {
        let name = http::HeaderName::try_from(format!("x-amz-meta-{name}"));
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    if with_body {
        *response.body_mut() = shown;
    }
    unchanged(response)
}

/// What deleting a key did.
struct Deleted {
    version: Option<String>,
    marker: bool,
}

fn remove(world: &mut World, call: &S3Call, key: &str, id: &str) -> Result<Deleted, S3Error> {
    let fresh = world.ids.uuid().replace('-', "");
    let mut marker = version_from(call, bytes::Bytes::new());
    marker.marker = true;
    let bucket = own(world, call)?;
    if !id.is_empty() {
        let gone = bucket.remove_version(key, id);
        world.touch();
        return Ok(Deleted {
            version: Some(id.to_owned()),
            marker: gone.is_some_and(|version| version.marker),
        });
    }
    if bucket.versioning == Versioning::Never {
        bucket.objects.remove(key);
        world.touch();
        return Ok(Deleted { version: None, marker: false });
    }
    let id = bucket.add(key, marker, fresh);
    world.touch();
    Ok(Deleted { version: Some(id), marker: true })
}

pub(crate) fn delete(world: &mut World, call: &S3Call) -> Reply {
    let done = remove(world, call, &call.key, call.query("versionId"))?;
    let mut response = xml::empty(204);
    if let Some(id) = &done.version {
        xml::set(&mut response, "x-amz-version-id", id);
    }
    if done.marker {
        xml::set(&mut response, "x-amz-delete-marker", "true");
    }
    Ok((response, Effect::updated(Kind::Bucket, &call.bucket)))
}

#[derive(Deserialize)]
struct DeleteRequest {
    #[serde(rename = "Object", default)]
    objects: Vec<DeleteEntry>,
    #[serde(rename = "Quiet", default)]
    quiet: bool,
}

#[derive(Deserialize)]
struct DeleteEntry {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "VersionId", default)]
    version: String,
}

pub(crate) fn delete_many(world: &mut World, call: &S3Call) -> Reply {
    let digest = call.headers.keys().any(|name| {
        name == "content-md5"
            || (name.as_str().starts_with("x-amz-checksum-") && name != "x-amz-checksum-algorithm")
            || name == "x-amz-trailer"
    });
    if !digest {
        return Err(S3Error::new(400, "InvalidRequest", "Content-MD5 or a checksum is needed"));
    }
    let wanted: DeleteRequest = parse(&call.body)?;
    if wanted.objects.len() > MAX_KEYS {
        return Err(S3Error::new(400, "MalformedXML", "more than 1000 keys"));
    }
    let mut results = Vec::new();
    for entry in &wanted.objects {
        results.push((entry, remove(world, call, &entry.key, &entry.version)?));
    }
    let body = xml::document("DeleteResult", |w| {
        for (entry, done) in results.iter().filter(|_| !wanted.quiet) {
            w.group("Deleted", |w| {
                w.text("Key", &entry.key);
                if !entry.version.is_empty() {
                    w.text("VersionId", &entry.version);
                }
                if done.marker {
                    w.text("DeleteMarker", "true");
                    let id = done.version.as_deref().unwrap_or_default();
                    w.text("DeleteMarkerVersionId", id);
                }
            });
        }
    });
    let effect = Effect::updated(Kind::Bucket, &call.bucket);
    Ok((xml::response(200, body), effect))
}

/// One page of a listing.
struct Page<T> {
    items: Vec<T>,
    prefixes: BTreeSet<String>,
    /// The last key or prefix shown, when more follow.
    next: Option<String>,
}

fn limit(call: &S3Call) -> usize {
    call.query("max-keys").parse().unwrap_or(MAX_KEYS).min(MAX_KEYS)
}

/// Applies prefix, delimiter, start and limit to keys in order.
fn page<'a, T: Clone>(call: &S3Call, keys: impl Iterator<Item = (&'a str, T)>, after: &str) -> Page<T> {
    let (prefix, delimiter) = (call.query("prefix"), call.query("delimiter"));
    let mut page = Page { items: Vec::new(), prefixes: BTreeSet::new(), next: None };
    let mut last = String::new();
    for (key, item) in keys {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        let common = match rest.find(delimiter) {
            Some(at) if !delimiter.is_empty() => Some(format!("{prefix}{}{delimiter}", &rest[..at])),
            _ => None,
        };
        let place = common.clone().unwrap_or_else(|| key.to_owned());
        if (!after.is_empty() && place.as_str() <= after) || page.prefixes.contains(&place) {
            continue;
        }
        if page.items.len() + page.prefixes.len() >= limit(call) {
            page.next = Some(last);
            break;
        }
        last = place;
        match common {
            Some(common) => {
                page.prefixes.insert(common);
            }
            None => page.items.push(item),
        }
    }
    page
}

fn shown(call: &S3Call, key: &str) -> String {
    if call.query("encoding-type") == "url" { percent(key, true) } else { key.to_owned() }
}

fn head_of_list(w: &mut xml::Writer, call: &S3Call, truncated: bool) {
    w.text("Name", &call.bucket);
    w.text("Prefix", &shown(call, call.query("prefix")));
    w.text("MaxKeys", &limit(call).to_string());
    w.text("IsTruncated", if truncated { "true" } else { "false" });
    for (name, element) in [("delimiter", "Delimiter"), ("encoding-type", "EncodingType")] {
        if !call.query(name).is_empty() {
            w.text(element, call.query(name));
        }
    }
}

fn prefixes(w: &mut xml::Writer, call: &S3Call, all: &BTreeSet<String>) {
    for prefix in all {
        w.group("CommonPrefixes", |w| w.text("Prefix", &shown(call, prefix)));
    }
}

pub(crate) fn list(world: &mut World, call: &S3Call) -> Reply {
    let bucket = own(world, call)?;
    let second = call.query("list-type") == "2";
    let after = match (second, call.query("continuation-token")) {
        (true, "") => call.query("start-after"),
        (true, token) => token,
        (false, _) => call.query("marker"),
    };
    let keys = bucket
        .objects
        .keys()
        .filter_map(|key| Some((key.as_str(), (key.clone(), bucket.current(key)?.clone()))));
    let page = page(call, keys, after);
    let body = xml::document("ListBucketResult", |w| {
        head_of_list(w, call, page.next.is_some());
        let count = page.items.len() + page.prefixes.len();
        if second {
            w.text("KeyCount", &count.to_string());
        } else {
            w.text("Marker", &shown(call, call.query("marker")));
        }
        if let Some(next) = &page.next {
            let name = if second { "NextContinuationToken" } else { "NextMarker" };
            w.text(name, &if second { next.clone() } else { shown(call, next) });
        }
        for (key, version) in &page.items {
            w.group("Contents", |w| {
                w.text("Key", &shown(call, key));
                entry(w, version);
            });
        }
        prefixes(w, call, &page.prefixes);
    });
    unchanged(xml::response(200, body))
}

fn entry(w: &mut xml::Writer, version: &Version) {
    w.text("LastModified", &rfc3339_ms(version.modified_ms));
    if !version.marker {
        w.text("ETag", &version.etag);
        w.text("Size", &version.data.0.len().to_string());
        w.text("StorageClass", "STANDARD");
    }
}

/// Pages end between keys: the versions of one key are never torn apart.
pub(crate) fn list_versions(world: &mut World, call: &S3Call) -> Reply {
    let bucket = own(world, call)?;
    let keys = bucket.objects.iter().map(|(key, versions)| (key.as_str(), (key.clone(), versions.clone())));
    let page = page(call, keys, call.query("key-marker"));
    let body = xml::document("ListVersionsResult", |w| {
        head_of_list(w, call, page.next.is_some());
        w.text("KeyMarker", &shown(call, call.query("key-marker")));
        if let Some(next) = &page.next {
            w.text("NextKeyMarker", &shown(call, next));
        }
        for (key, versions) in &page.items {
            let newest = versions.len().saturating_sub(1);
            for (place, version) in versions.iter().enumerate().rev() {
                let name = if version.marker { "DeleteMarker" } else { "Version" };
                w.group(name, |w| {
                    w.text("Key", &shown(call, key));
                    w.text("VersionId", &version.id);
                    w.text("IsLatest", if place == newest { "true" } else { "false" });
                    entry(w, version);
                });
            }
        }
        prefixes(w, call, &page.prefixes);
    });
    unchanged(xml::response(200, body))
}
