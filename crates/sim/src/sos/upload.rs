//! Multipart uploads.

use super::bucket::{own, parse};
use super::object::described;
use super::store::{Data, NULL_VERSION, Upload, Version, etag};
use super::{Reply, S3Call, S3Error, unchanged, xml};
use crate::codec::{hex, md5_of, rfc3339_ms};
use crate::world::{Effect, Kind, World};
use serde::Deserialize;
use std::collections::BTreeMap;

fn no_upload() -> S3Error {
    S3Error::new(404, "NoSuchUpload", "the upload does not exist")
}

fn effect(call: &S3Call) -> Effect {
    Effect::updated(Kind::Bucket, &call.bucket)
}

fn upload<'a>(world: &'a mut World, call: &S3Call) -> Result<&'a mut Upload, S3Error> {
    own(world, call)?
        .uploads
        .get_mut(call.query("uploadId"))
        .filter(|upload| upload.key == call.key)
        .ok_or_else(no_upload)
}

pub(crate) fn create(world: &mut World, call: &S3Call) -> Reply {
    let id = world.ids.uuid().replace('-', "");
    let (content_type, metadata) = described(call);
    let started = Upload {
        key: call.key.clone(),
        started_ms: call.now,
        content_type,
        metadata,
        parts: BTreeMap::new(),
    };
    own(world, call)?.uploads.insert(id.clone(), started);
    world.touch();
    let body = xml::document("InitiateMultipartUploadResult", |w| {
        w.text("Bucket", &call.bucket);
        w.text("Key", &call.key);
        w.text("UploadId", &id);
    });
    Ok((xml::response(200, body), effect(call)))
}

pub(crate) fn part(world: &mut World, call: &S3Call) -> Reply {
    let number: u32 = call
        .query("partNumber")
        .parse()
        .ok()
        .filter(|n| (1..=10_000).contains(n))
        .ok_or_else(|| S3Error::new(400, "InvalidArgument", "the part number is not valid"))?;
    let data = call.body.clone();
    let tag = etag(&data);
    upload(world, call)?.parts.insert(number, (Data(data), call.now));
    world.touch();
    let mut response = xml::empty(200);
    xml::set(&mut response, "etag", &tag);
    Ok((response, effect(call)))
}

pub(crate) fn list_parts(world: &mut World, call: &S3Call) -> Reply {
    let found = upload(world, call)?.clone();
    let body = xml::document("ListPartsResult", |w| {
        w.text("Bucket", &call.bucket);
        w.text("Key", &call.key);
        w.text("UploadId", call.query("uploadId"));
        w.text("IsTruncated", "false");
        for (number, (data, at)) in &found.parts {
            w.group("Part", |w| {
                w.text("PartNumber", &number.to_string());
                w.text("LastModified", &rfc3339_ms(*at));
                w.text("ETag", &etag(&data.0));
                w.text("Size", &data.0.len().to_string());
            });
        }
    });
    unchanged(xml::response(200, body))
}

pub(crate) fn list(world: &mut World, call: &S3Call) -> Reply {
    let bucket = own(world, call)?;
    let body = xml::document("ListMultipartUploadsResult", |w| {
        w.text("Bucket", &call.bucket);
        w.text("IsTruncated", "false");
        let wanted = bucket.uploads.iter().filter(|(_, upload)| upload.key.starts_with(call.query("prefix")));
        for (id, upload) in wanted {
            w.group("Upload", |w| {
                w.text("Key", &upload.key);
                w.text("UploadId", id);
                w.text("Initiated", &rfc3339_ms(upload.started_ms));
                w.text("StorageClass", "STANDARD");
            });
        }
    });
    unchanged(xml::response(200, body))
}

#[derive(Deserialize)]
struct Completion {
    #[serde(rename = "Part", default)]
    parts: Vec<PartRef>,
}

#[derive(Deserialize)]
struct PartRef {
    #[serde(rename = "PartNumber")]
    number: u32,
    #[serde(rename = "ETag")]
    etag: String,
}

pub(crate) fn complete(world: &mut World, call: &S3Call) -> Reply {
    let wanted: Completion = parse(&call.body)?;
    let started = upload(world, call)?.clone();
    let (mut data, mut digests, mut before) = (Vec::new(), Vec::new(), 0);
    for part in &wanted.parts {
        if part.number <= before {
            return Err(S3Error::new(400, "InvalidPartOrder", "the parts are not in order"));
        }
        before = part.number;
        let (bytes, _) = started
            .parts
            .get(&part.number)
            .filter(|(bytes, _)| etag(&bytes.0).trim_matches('"') == part.etag.trim_matches('"'))
            .ok_or_else(|| S3Error::new(400, "InvalidPart", "a part is missing or different"))?;
        data.extend_from_slice(&bytes.0);
        digests.extend_from_slice(&md5_of(&bytes.0));
    }
    if wanted.parts.is_empty() {
        return Err(S3Error::new(400, "MalformedXML", "no parts"));
    }
    let tag = format!("\"{}-{}\"", hex(&md5_of(&digests)), wanted.parts.len());
    let fresh = world.ids.uuid().replace('-', "");
    let version = Version {
        id: String::new(),
        marker: false,
        data: Data(data.into()),
        etag: tag.clone(),
        content_type: started.content_type,
        metadata: started.metadata,
        modified_ms: call.now,
    };
    let bucket = own(world, call)?;
    bucket.uploads.remove(call.query("uploadId"));
    let id = bucket.add(&call.key, version, fresh);
    world.touch();
    let body = xml::document("CompleteMultipartUploadResult", |w| {
        w.text("Bucket", &call.bucket);
        w.text("Key", &call.key);
        w.text("ETag", &tag);
    });
    let mut response = xml::response(200, body);
    if id != NULL_VERSION {
        xml::set(&mut response, "x-amz-version-id", &id);
    }
    Ok((response, effect(call)))
}

pub(crate) fn abort(world: &mut World, call: &S3Call) -> Reply {
    upload(world, call)?;
    own(world, call)?.uploads.remove(call.query("uploadId"));
    world.touch();
    Ok((xml::empty(204), effect(call)))
}
