//! Items of object storage for tests only.

use super::store::{Bucket, Store, Version, etag};
use crate::codec::Data;
use bytes::Bytes;
use std::collections::BTreeMap;

impl Store {
    /// Changes a setting of a bucket of ours.
    pub(crate) fn change_setting(&mut self, bucket: &str, name: &str, value: &str) -> bool {
        let Some(bucket) = self.buckets.get_mut(bucket).filter(|bucket| !bucket.foreign) else {
            return false;
        };
        bucket.settings.insert(name.to_owned(), value.to_owned());
        true
    }

    /// Puts an object into a bucket of ours; `when` is its time and the id of
    /// its version where the bucket keeps versions.
    pub(crate) fn put_plain(
        &mut self,
        bucket: &str,
        key: &str,
        data: &'static [u8],
        when: (i64, String),
    ) -> bool {
        let Some(bucket) = self.buckets.get_mut(bucket).filter(|bucket| !bucket.foreign) else {
            return false;
        };
        let version = Version {
            id: String::new(),
            marker: false,
            etag: etag(data),
            data: Data(Bytes::from_static(data)),
            content_type: "text/plain".to_owned(),
            metadata: BTreeMap::new(),
            modified_ms: when.0,
        };
        bucket.add(key, version, when.1);
        true
    }

    /// A bucket of another organisation.
    pub(crate) fn plant_foreign(&mut self, name: &str, zone: &str, created_ms: i64) {
        let bucket = Bucket { zone: zone.to_owned(), created_ms, foreign: true, ..Bucket::default() };
        self.buckets.insert(name.to_owned(), bucket);
    }
}
