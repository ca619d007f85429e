//! Buckets, object versions and unfinished uploads as data.

use crate::codec::{Data, hex, md5_of};
use crate::world::{Kind, LiveResource};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All of object storage: bucket names are global.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Store {
    pub(crate) buckets: BTreeMap<String, Bucket>,
}

/// Versioning of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Versioning {
    #[default]
    Never,
    Enabled,
    Suspended,
}

/// One bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) zone: String,
    pub(crate) created_ms: i64,
    pub(crate) versioning: Versioning,
    /// `acl`, `policy`, `lifecycle`, as sent.
    pub(crate) settings: BTreeMap<String, String>,
    /// Versions of each key, oldest first.
    pub(crate) objects: BTreeMap<String, Vec<Version>>,
    /// Unfinished multipart uploads by id.
    pub(crate) uploads: BTreeMap<String, Upload>,
    /// Belongs to another organisation (planted by tests).
    pub(crate) foreign: bool,
}

/// One version of an object, or a delete marker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) marker: bool,
    pub(crate) data: Data,
    pub(crate) etag: String,
    pub(crate) content_type: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) modified_ms: i64,
}

/// A multipart upload in progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) started_ms: i64,
    pub(crate) content_type: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) parts: BTreeMap<u32, (Data, i64)>,
}

/// The id of the version of an object that was written without versioning.
pub(crate) const NULL_VERSION: &str = "null";

/// The entity tag of a simple upload.
pub(crate) fn etag(data: &[u8]) -> String {
    format!("\"{}\"", hex(&md5_of(data)))
}

impl Bucket {
    /// Empty in the sense that lets it be deleted: no versions, no delete
    /// markers, no unfinished uploads.
    pub(crate) fn deletable(&self) -> bool {
        self.objects.is_empty() && self.uploads.is_empty()
    }

    /// The current version of a key, if it is not a delete marker.
    pub(crate) fn current(&self, key: &str) -> Option<&Version> {
        self.objects.get(key)?.last().filter(|version| !version.marker)
    }

    /// Adds a version as versioning demands. `fresh` is used as its id when
    /// versioning is on.
    pub(crate) fn add(&mut self, key: &str, mut version: Version, fresh: String) -> String {
        let versions = self.objects.entry(key.to_owned()).or_default();
        if self.versioning == Versioning::Enabled {
            version.id = fresh;
        } else {
            version.id = NULL_VERSION.to_owned();
            versions.retain(|old| old.id != NULL_VERSION);
        }
        let id = version.id.clone();
        versions.push(version);
        id
    }

    /// Removes one version for good.
    pub(crate) fn remove_version(&mut self, key: &str, id: &str) -> Option<Version> {
        let versions = self.objects.get_mut(key)?;
        let place = versions.iter().position(|version| version.id == id)?;
        let removed = versions.remove(place);
        if versions.is_empty() {
            self.objects.remove(key);
        }
        Some(removed)
    }
}

impl Store {
    /// The buckets of the organisation.
    pub(crate) fn live(&self) -> Vec<LiveResource> {
        self.buckets
            .iter()
            .filter(|(_, bucket)| !bucket.foreign)
            .map(|(name, bucket)| LiveResource {
                kind: Kind::Bucket,
                id: name.clone(),
                name: name.clone(),
                labels: BTreeMap::new(),
                description: String::new(),
                zone: Some(bucket.zone.clone()),
                created_at_ms: bucket.created_ms,
                parent: None,
                state: None,
            })
            .collect()
    }

    /// Bytes of all versions and parts of a bucket.
    pub(crate) fn size_of(&self, name: &str) -> usize {
        let Some(bucket) = self.buckets.get(name) else {
            return 0;
        };
        let objects: usize = bucket.objects.values().flatten().map(|v| v.data.0.len()).sum();
        let parts: usize = bucket
            .uploads
            .values()
            .flat_map(|upload| upload.parts.values())
            .map(|(data, _)| data.0.len())
            .sum();
        objects + parts
    }

    /// Removes a bucket with everything in it.
    pub(crate) fn remove_bucket(&mut self, name: &str) -> bool {
        self.buckets.remove(name).is_some()
    }
}
