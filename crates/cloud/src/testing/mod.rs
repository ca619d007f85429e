//! For tests only: decoders that otherwise lie behind a permit, and a scripted cloud.

#[cfg(test)]
mod scripted_cloud;

#[cfg(test)]
pub(crate) use scripted_cloud::*;

use exokit_model::ids::ResourceId;

use crate::reply::message;
use crate::storage;

/// Reads a body of object storage in every way that exokit does; whether one
/// of them accepts it.
///
/// # Panics
/// When what was read could not be asked for again: a fault of the decoders.
#[must_use]
pub fn storage_reply(body: &[u8]) -> bool {
    let bucket: ResourceId = "bucket".parse().expect("a word is an id");
    let versions = storage::parse_versions(body).ok();
    let uploads = storage::parse_uploads(body).ok();
    let mut calls = Vec::new();
    if let Some(page) = &versions {
        calls.push(storage::list_versions(&bucket, page.next.as_ref()));
        calls.extend(storage::delete_objects(&bucket, &page.items));
    }
    if let Some(page) = &uploads {
        calls.push(storage::list_uploads(&bucket, page.next.as_ref()));
        calls.extend(page.items.iter().map(|upload| storage::abort_upload(&bucket, upload)));
    }
    for call in calls {
        let uri: http::Uri = call.path.parse().expect("what is asked for has a path");
        assert!(uri.path().starts_with("/bucket") && uri.authority().is_none(), "{uri}");
    }
    assert!(!message(body).contains(['\n', '\r', '\u{1b}']));
    let read = storage::parse_delete_result(body).is_ok() || storage::parse_error(body).is_some();
    versions.is_some() || uploads.is_some() || read
}
