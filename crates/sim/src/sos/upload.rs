//! Multipart uploads.

use super::bucket::own;
use super::object::described;
use super::store::{NULL_VERSION, Upload, Version, etag};
use super::xml::{self, parent, text};
use super::{Reply, S3Call, S3Error, unchanged};
use crate::codec::{Data, hex, md5_of, rfc3339_ms};
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
    let started = [text("Bucket", &call.bucket), text("Key", &call.key), text("UploadId", id)];
    Ok((xml::document(200, parent("InitiateMultipartUploadResult", started)), effect(call)))
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
    let mut list = vec![
        text("Bucket", &call.bucket),
        text("Key", &call.key),
        text("UploadId", call.query("uploadId")),
        text("IsTruncated", false),
    ];
    list.extend(upload(world, call)?.parts.iter().map(|(number, (data, at))| {
        parent(
            "Part",
            [
                text("PartNumber", number),
                text("LastModified", rfc3339_ms(*at)),
                text("ETag", etag(&data.0)),
                text("Size", data.0.len()),
            ],
        )
    }));
    unchanged(xml::document(200, parent("ListPartsResult", list)))
}

pub(crate) fn list(world: &mut World, call: &S3Call) -> Reply {
    let mut list = vec![text("Bucket", &call.bucket), text("IsTruncated", false)];
    let uploads = own(world, call)?.uploads.iter();
    let wanted = uploads.filter(|(_, upload)| upload.key.starts_with(call.query("prefix")));
    list.extend(wanted.map(|(id, upload)| {
        parent(
            "Upload",
            [
                text("Key", &upload.key),
                text("UploadId", id),
                text("Initiated", rfc3339_ms(upload.started_ms)),
                text("StorageClass", "STANDARD"),
            ],
        )
    }));
    unchanged(xml::document(200, parent("ListMultipartUploadsResult", list)))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Completion {
    #[serde(default)]
    part: Vec<PartRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartRef {
    part_number: u32,
    e_tag: String,
}

pub(crate) fn complete(world: &mut World, call: &S3Call) -> Reply {
    let wanted: Completion = xml::decode(&call.body)?;
    let started = upload(world, call)?.clone();
    let (mut data, mut digests, mut before) = (Vec::new(), Vec::new(), 0);
    for part in &wanted.part {
        if part.part_number <= before {
            return Err(S3Error::new(400, "InvalidPartOrder", "the parts are not in order"));
        }
        before = part.part_number;
        let (bytes, _) = started
            .parts
            .get(&part.part_number)
            .filter(|(bytes, _)| etag(&bytes.0).trim_matches('"') == part.e_tag.trim_matches('"'))
            .ok_or_else(|| S3Error::new(400, "InvalidPart", "a part is missing or different"))?;
        data.extend_from_slice(&bytes.0);
        digests.extend_from_slice(&md5_of(&bytes.0));
    }
    if wanted.part.is_empty() {
        return Err(S3Error::new(400, "MalformedXML", "no parts"));
    }
    let tag = format!("\"{}-{}\"", hex(&md5_of(&digests)), wanted.part.len());
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
    let completed = [text("Bucket", &call.bucket), text("Key", &call.key), text("ETag", tag)];
    let mut response = xml::document(200, parent("CompleteMultipartUploadResult", completed));
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
