//! Claims for block storage volumes.

use exokit_model::kind::Kind;
use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};

use crate::app::App;
use crate::builder::{Builder, NODEPOOL};
use crate::labels::metadata;
use crate::quantity::{Amounts, gibibytes};

/// Key of the claim of the workload.
pub(crate) const WORKLOAD_CLAIM: &str = "claim";

/// Adds the claim of the workload, if it has block storage.
pub(crate) fn add_for_workload(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let Some(block) = &spec.block_storage else {
        return;
    };
    let name = workload_claim_name(spec);
    add(
        builder,
        WORKLOAD_CLAIM,
        App::Workload,
        &name,
        (&block.storage_class, &block.access_mode, block.size_gb),
    );
}

/// Name of the claim of the workload.
pub(crate) fn workload_claim_name(spec: &EnvironmentSpec) -> String {
    format!("{}-data", spec.workload.service)
}

/// Adds a claim of a storage class, an access mode and a size in GiB. It needs
/// nodes, because the driver that creates the volume runs on them.
pub(crate) fn add(
    builder: &mut Builder<'_>,
    key: &str,
    app: App,
    name: &str,
    (storage_class, access_mode, size_gb): (&str, &str, u32),
) {
    builder.usage.claims += 1;
    let requests = Amounts::from([("storage".to_owned(), gibibytes(size_gb))]);
    let claim = PersistentVolumeClaim {
        metadata: metadata(builder.spec, app, name),
        spec: Some(PersistentVolumeClaimSpec {
            storage_class_name: Some(storage_class.to_owned()),
            access_modes: Some(vec![access_mode.to_owned()]),
            resources: Some(VolumeResourceRequirements { requests: Some(requests), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    };
    builder.add_on(&[NODEPOOL], key, Kind::PersistentVolumeClaim, &claim, &[]);
}
