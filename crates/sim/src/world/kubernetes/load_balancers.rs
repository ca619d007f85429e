//! The cloud controller of a cluster: load balancers for its services, named and
//! set up as the real controller does.

use crate::world::kinds::{load_balancer, quota};
use crate::world::{Change, Kind, World};
use exokit_kube_sim::{CloudAnswer, LoadBalancerPort};
use serde_json::{Value, json};

/// The load balancer that a service wants.
pub(super) struct Wanted {
    pub(super) service_uid: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) ports: Vec<LoadBalancerPort>,
}

/// By which hidden text a load balancer belongs to a service.
const OWNER: &str = "service";

fn of_service(world: &World, service_uid: &str) -> Option<String> {
    let all = world.all(Kind::LoadBalancer);
    let own = |id: &&&crate::world::Object| id.hidden.get(OWNER).is_some_and(|uid| uid == service_uid);
    all.iter().find(own).map(|nlb| nlb.id.clone())
}

/// The one instance pool of a cluster's nodes; without an annotation the
/// controller fails when there are several.
fn target_pool(world: &World, cluster: &str) -> Result<String, String> {
    let pools = world.children(Kind::SksNodepool, cluster);
    match pools.as_slice() {
        [pool] => Ok(pool.reference("instance-pool").unwrap_or_default().to_owned()),
        [] => Err("no nodepool to send traffic to".to_owned()),
        _ => Err("the nodes are in more than one nodepool".to_owned()),
    }
}

/// Makes the load balancer of a service, or gives it other ports.
pub(super) fn ensure(world: &mut World, cluster: &str, wanted: Wanted) {
    let subject = wanted.service_uid.clone();
    if let Err(message) = try_ensure(world, cluster, wanted) {
        world.answer_in(0, cluster, CloudAnswer::Failed { subject, message });
    }
}

fn try_ensure(world: &mut World, cluster: &str, wanted: Wanted) -> Result<(), String> {
    let zone = world.find(Kind::SksCluster, cluster).and_then(|cluster| cluster.zone.clone());
    let zone = zone.ok_or("the cluster is gone")?;
    let pool = target_pool(world, cluster)?;
    let services: Vec<Value> = wanted.ports.iter().map(|port| service(world, port, &pool)).collect();
    let (id, delay) = match of_service(world, &wanted.service_uid) {
        Some(id) => (id, world.delay("update-load-balancer-service")),
        None => {
            quota::check(world, "network-load-balancer", 1).map_err(|refusal| refusal.message)?;
            let body = json!({"description": wanted.description});
            let id = load_balancer::new_balancer(world, &wanted.name, &zone, &body);
            if let Some(nlb) = world.find_mut(Kind::LoadBalancer, &id) {
                nlb.hidden.insert(OWNER.to_owned(), wanted.service_uid.clone());
            }
            let made = world.delay("create-load-balancer");
            world.schedule(made, Change::state(Kind::LoadBalancer, &id, "running"));
            (id, made + world.delay("add-service-to-load-balancer"))
        }
    };
    let ip = world.find(Kind::LoadBalancer, &id).map(|nlb| nlb.text("ip").to_owned()).unwrap_or_default();
    world.schedule(delay, Change::set(Kind::LoadBalancer, &id, "services", Value::Array(services)));
    world.answer_in(delay, cluster, CloudAnswer::LoadBalancer { service_uid: wanted.service_uid, id, ip });
    Ok(())
}

/// One service of a load balancer, with the health check that the controller
/// sets: TCP on the node port.
fn service(world: &mut World, port: &LoadBalancerPort, pool: &str) -> Value {
    json!({
        "id": world.ids.uuid(), "name": port.name, "state": "running", "protocol": port.protocol,
        "port": port.port, "target-port": port.node_port, "strategy": "round-robin",
        "instance-pool": {"id": pool},
        "healthcheck": {"mode": "tcp", "port": port.node_port, "interval": 10, "timeout": 5, "retries": 1},
    })
}

/// Removes the load balancer of a service: its services first, then itself.
pub(super) fn delete(world: &mut World, cluster: &str, service_uid: &str) {
    let gone = CloudAnswer::LoadBalancerGone { service_uid: service_uid.to_owned() };
    let Some(id) = of_service(world, service_uid) else {
        return world.answer_in(0, cluster, gone);
    };
    world.set(Kind::LoadBalancer, &id, "state", "deleting");
    let emptied = world.delay("delete-load-balancer-service");
    world.schedule(emptied, Change::set(Kind::LoadBalancer, &id, "services", json!([])));
    let removed = emptied + world.delay("delete-load-balancer");
    world.schedule(removed, Change::remove(Kind::LoadBalancer, &id));
    world.answer_in(removed, cluster, gone);
}
