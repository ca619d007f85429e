//! One file per kind of resource: what its operations do.

pub(crate) mod anti_affinity;
pub(crate) mod block_storage;
pub(crate) mod dbaas;
pub(crate) mod iam;
pub(crate) mod instance;
pub(crate) mod instance_pool;
pub(crate) mod instance_type;
pub(crate) mod load_balancer;
pub(crate) mod nodepool;
pub(crate) mod private_network;
pub(crate) mod quota;
pub(crate) mod read_only;
pub(crate) mod security_group;
pub(crate) mod sks_cluster;

use super::{Call, HandlerReply, Kind, Object, PendingOperation, Refusal, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Serves one operation.
pub(crate) type Handler = fn(&mut World, &Call) -> Result<HandlerReply, Refusal>;
/// The operations a file serves.
pub(crate) type Handlers = &'static [(&'static str, Handler)];

static HANDLERS: LazyLock<BTreeMap<&'static str, Handler>> = LazyLock::new(|| {
    [
        anti_affinity::HANDLERS,
        block_storage::HANDLERS,
        dbaas::HANDLERS,
        iam::HANDLERS,
        instance::HANDLERS,
        instance_pool::HANDLERS,
        instance_type::HANDLERS,
        load_balancer::HANDLERS,
        nodepool::HANDLERS,
        private_network::HANDLERS,
        quota::HANDLERS,
        read_only::HANDLERS,
        security_group::HANDLERS,
        sks_cluster::HANDLERS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
});

/// The handler of an operation; `None`: not simulated.
pub(crate) fn handler(operation: &str) -> Option<Handler> {
    HANDLERS.get(operation).copied()
}

/// The operation ids that are served; the others answer 501.
pub fn served_operations() -> Vec<&'static str> {
    HANDLERS.keys().copied().collect()
}

/// The list of a kind, under `key`; without a zone, of the whole organisation.
pub(crate) fn list(
    world: &mut World,
    zone: Option<&str>,
    kind: Kind,
    key: &str,
    show: fn(&mut World, &Object) -> Value,
) -> Result<HandlerReply, Refusal> {
    let found = world.listed(kind, zone);
    let docs: Vec<Value> = found.iter().map(|object| show(world, object)).collect();
    HandlerReply::read(json!({key: docs}))
}

/// The resource that the path names.
pub(crate) fn get(
    world: &mut World,
    call: &Call,
    kind: Kind,
    show: fn(&mut World, &Object) -> Value,
) -> Result<HandlerReply, Refusal> {
    let found = world.get(kind, call.param("id"), &call.zone)?.clone();
    HandlerReply::read(show(world, &found))
}

/// Shows a document as it is kept.
pub(crate) fn as_kept(_: &mut World, object: &Object) -> Value {
    object.value()
}

/// Changes the resource that the path names, at once.
pub(crate) fn update(world: &mut World, call: &Call, kind: Kind) -> Result<HandlerReply, Refusal> {
    let id = world.get(kind, call.param("id"), &call.zone)?.id.clone();
    world.set_all(kind, &id, &call.body);
    PendingOperation::updated(kind, &id).answer()
}

/// Adds the resources that every organisation has from the start.
pub(crate) fn plant_builtins(world: &mut World) {
    security_group::plant_builtins(world);
    iam::plant_builtins(world);
}

/// Removes the resources that go along with another.
pub(crate) fn before_removal(world: &mut World, kind: Kind, id: &str) {
    match kind {
        Kind::SksCluster => sks_cluster::before_removal(world, id),
        Kind::SksNodepool => nodepool::before_removal(world, id),
        Kind::InstancePool => instance_pool::before_removal(world, id),
        Kind::Instance => block_storage::release(world, id),
        Kind::ApiKey => {
            world.keys.remove(id);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handler_serves_an_operation_of_the_official_api() {
        let official: Vec<&str> = crate::spec::operations().iter().map(|o| o.id.as_str()).collect();
        for id in served_operations() {
            assert!(official.contains(&id), "{id}");
        }
    }
}
