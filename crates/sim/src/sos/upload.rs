//! Multipart uploads.

use super::bucket::own;
use super::object::described;
use super::store::{Data, NULL_VERSION, Upload, Version, etag};
use super::{Reply, S3Call, S3Error, unchanged, xml};
use crate::codec::{hex, md5_of, rfc3339_ms};
use crate::world::{Effect, Kind, World};
use serde::{Deserialize, Serialize};
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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Started<'a> {
    bucket: &'a str,
    key: &'a str,
    upload_id: &'a str,
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
    let started = Started { bucket: &call.bucket, key: &call.key, upload_id: &id };
    Ok((xml::document(200, "InitiateMultipartUploadResult", &started), effect(call)))
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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PartList<'a> {
    bucket: &'a str,
    key: &'a str,
    upload_id: &'a str,
    is_truncated: bool,
    part: Vec<ListedPart>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u32,
    last_modified: String,
    e_tag: String,
    size: usize,
}

pub(crate) fn list_parts(world: &mut World, call: &S3Call) -> Reply {
    let parts = upload(world, call)?.parts.iter().map(|(number, (data, at))| ListedPart {
        part_number: *number,
        last_modified: rfc3339_ms(*at),
        e_tag: etag(&data.0),
        size: data.0.len(),
    });
    let list = PartList {
        bucket: &call.bucket,
        key: &call.key,
        upload_id: call.query("uploadId"),
        is_truncated: false,
        part: parts.collect(),
    };
    unchanged(xml::document(200, "ListPartsResult", &list))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UploadList<'a> {
    bucket: &'a str,
    is_truncated: bool,
    upload: Vec<ListedUpload<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedUpload<'a> {
    key: &'a str,
    upload_id: &'a str,
    initiated: String,
    storage_class: &'static str,
}

pub(crate) fn list(world: &mut World, call: &S3Call) -> Reply {
    let uploads = own(world, call)?.uploads.iter();
    let upload = uploads
        .filter(|(_, upload)| upload.key.starts_with(call.query("prefix")))
        .map(|(id, upload)| ListedUpload {
            key: &upload.key,
            upload_id: id,
            initiated: rfc3339_ms(upload.started_ms),
            storage_class: "STANDARD",
        })
        .collect();
    let list = UploadList { bucket: &call.bucket, is_truncated: false, upload };
    unchanged(xml::document(200, "ListMultipartUploadsResult", &list))
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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Completed<'a> {
    bucket: &'a str,
    key: &'a str,
    e_tag: &'a str,
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
    let completed = Completed { bucket: &call.bucket, key: &call.key, e_tag: &tag };
    let mut response = xml::document(200, "CompleteMultipartUploadResult", &completed);
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
