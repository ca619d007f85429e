//! Operations on objects and their versions.

use super::bucket::own;
use super::store::{NULL_VERSION, Version, Versioning, etag};
use super::xml::{self, Content, Elements, parent, text};
use super::{Reply, S3Call, S3Error, unchanged};
use crate::codec::{Data, http_date, percent, rfc3339_ms};
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
        let copy = [text("ETag", &tag), text("LastModified", rfc3339_ms(call.now))];
        xml::document(200, parent("CopyObjectResult", copy))
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

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DeleteRequest {
    object: Vec<DeleteEntry>,
    quiet: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteEntry {
    key: String,
    #[serde(default)]
    version_id: String,
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
    let wanted: DeleteRequest = xml::decode(&call.body)?;
    if wanted.object.len() > MAX_KEYS {
        return Err(S3Error::new(400, "MalformedXML", "more than 1000 keys"));
    }
    let mut deleted = Vec::new();
    for DeleteEntry { key, version_id } in wanted.object {
        let done = remove(world, call, &key, &version_id)?;
        let mut entry = vec![text("Key", key)];
        if !version_id.is_empty() {
            entry.push(text("VersionId", version_id));
        }
        if done.marker {
            entry.push(text("DeleteMarker", true));
            entry.extend(done.version.map(|id| text("DeleteMarkerVersionId", id)));
        }
        deleted.push(parent("Deleted", entry));
    }
    if wanted.quiet {
        deleted.clear();
    }
    let effect = Effect::updated(Kind::Bucket, &call.bucket);
    Ok((xml::document(200, parent("DeleteResult", deleted)), effect))
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

/// A version as lists show it, with these elements after its key.
fn entry(call: &S3Call, key: &str, version: &Version, identity: Elements) -> Elements {
    let mut entry = vec![text("Key", shown(call, key))];
    entry.extend(identity);
    entry.push(text("LastModified", rfc3339_ms(version.modified_ms)));
    if !version.marker {
        entry.extend([
            text("ETag", &version.etag),
            text("Size", version.data.0.len()),
            text("StorageClass", "STANDARD"),
        ]);
    }
    entry
}

/// A list of objects, or of their versions; `position` says where the page
/// begins and where the next one does.
fn listing<T>(
    call: &S3Call,
    root: &'static str,
    page: &Page<T>,
    position: [Option<(&'static str, Content)>; 2],
    entries: impl Iterator<Item = (&'static str, Content)>,
) -> Reply {
    let mut list = vec![
        text("Name", &call.bucket),
        text("Prefix", shown(call, call.query("prefix"))),
        text("MaxKeys", limit(call)),
        text("IsTruncated", page.next.is_some()),
    ];
    let asked = [("Delimiter", call.query("delimiter")), ("EncodingType", call.query("encoding-type"))];
    list.extend(
        asked.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| text(name, value)),
    );
    list.extend(position.into_iter().flatten());
    list.extend(entries);
    let prefixes = page.prefixes.iter().map(|prefix| text("Prefix", shown(call, prefix)));
    list.extend(prefixes.map(|prefix| parent("CommonPrefixes", [prefix])));
    unchanged(xml::document(200, parent(root, list)))
}

pub(crate) fn list(world: &mut World, call: &S3Call) -> Reply {
    let bucket = own(world, call)?;
    let second = call.query("list-type") == "2";
    let after = match (second, call.query("continuation-token")) {
        (true, "") => call.query("start-after"),
        (true, token) => token,
        (false, _) => call.query("marker"),
    };
    let keys =
        bucket.objects.keys().filter_map(|key| Some((key.as_str(), (key.as_str(), bucket.current(key)?))));
    let page = page(call, keys, after);
    let next = page.next.as_ref();
    let position = match second {
        true => [
            Some(text("KeyCount", page.items.len() + page.prefixes.len())),
            next.map(|next| text("NextContinuationToken", next)),
        ],
        false => [
            Some(text("Marker", shown(call, call.query("marker")))),
            next.map(|next| text("NextMarker", shown(call, next))),
        ],
    };
    let entries =
        page.items.iter().map(|(key, version)| parent("Contents", entry(call, key, version, Vec::new())));
    listing(call, "ListBucketResult", &page, position, entries)
}

/// Pages end between keys: the versions of one key are never torn apart.
pub(crate) fn list_versions(world: &mut World, call: &S3Call) -> Reply {
    let bucket = own(world, call)?;
    let keys = bucket.objects.iter().map(|(key, versions)| (key.as_str(), (key, versions)));
    let page = page(call, keys, call.query("key-marker"));
    let position = [
        Some(text("KeyMarker", shown(call, call.query("key-marker")))),
        page.next.as_ref().map(|next| text("NextKeyMarker", shown(call, next))),
    ];
    let newest_first = page.items.iter().flat_map(|(key, versions)| {
        let newest = versions.len().saturating_sub(1);
        versions.iter().enumerate().rev().map(move |(place, version)| (key, version, place == newest))
    });
    let entries = newest_first.map(|(key, version, is_latest)| {
        let name = if version.marker { "DeleteMarker" } else { "Version" };
        let identity = vec![text("VersionId", &version.id), text("IsLatest", is_latest)];
        parent(name, entry(call, key, version, identity))
    });
    listing(call, "ListVersionsResult", &page, position, entries)
}
