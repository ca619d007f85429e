//! The outputs of an environment, read from cloud and cluster when asked for.

use std::collections::BTreeSet;

use exokit_cloud::cluster::ClusterAccess;
use exokit_kinds::{Lifecycle, Observed};
use exokit_ledger::OperationState;
use exokit_model::graph::Node;
use exokit_model::ids::{EnvironmentName, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::outputs::{
    BucketOutput, ClusterOutput, DatabaseOutput, Outputs, PortOutput, ServiceOutput,
};
use exokit_model::spec::DatabaseEngine;
use serde_json::Value;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::observe::{self, ObserveError};
use crate::survey::instance_pool_of;

impl Engine {
    /// How to reach an environment. Only what the ledger holds as existing is
    /// looked for; what cannot be reached yet is left out.
    ///
    /// # Errors
    /// When there is no such environment, or something cannot be observed.
    pub async fn outputs(&self, name: &EnvironmentName) -> Result<Outputs, EngineError> {
        let environment = self.environment(name).await?;
        let provision = environment.provision().ok_or_else(|| EngineError::NoEnvironment(name.clone()))?;
        self.check_account(&provision.plan.zone).await?;
        let mut outputs = Outputs {
            environment: name.clone(),
            template: provision.plan.template,
            zone: provision.plan.zone.clone(),
            cluster: None,
            services: Vec::new(),
            database: None,
            bucket: None,
        };
        let mut access = None;
        for item in environment.recorded() {
            let (node, id) = (&item.node, &item.id);
            match node.kind {
                Kind::SksCluster => outputs.cluster = self.cluster_output(provision, node, id).await?,
                Kind::DbaasPg | Kind::DbaasValkey => {
                    outputs.database = self.database_output(node, id).await?
                }
                Kind::SosBucket => {
                    outputs.bucket = Some(BucketOutput {
                        name: node.name.as_str().into(),
                        endpoint: self.parts().client.storage_url(&node.zone).into(),
                        region: node.zone.clone(),
                    });
                }
                Kind::Service => {
                    outputs.services.extend(self.service_output(provision, node, id, &mut access).await?);
                }
                _ => {}
            }
        }
        Ok(outputs)
    }

    async fn cluster_output(
        &self,
        provision: &OperationState,
        node: &Node,
        id: &ResourceId,
    ) -> Result<Option<ClusterOutput>, ObserveError> {
        let seen = observe::get(&self.parts().client, node.kind, id, None, &node.zone).await?;
        let Some(cluster) = seen.filter(|seen| seen.lifecycle == Lifecycle::Ready) else { return Ok(None) };
        let text = |field: &str| cluster.raw[field].as_str().unwrap_or_default().into();
        let spec = provision.plan.spec.as_ref();
        Ok(Some(ClusterOutput {
            id: id.clone(),
            endpoint: text("endpoint"),
            version: text("version"),
            namespace: spec.map_or("", |spec| spec.workload.namespace.as_str()).into(),
        }))
    }

    async fn database_output(
        &self,
        node: &Node,
        id: &ResourceId,
    ) -> Result<Option<DatabaseOutput>, ObserveError> {
        let Some(connection) = self.connection(node, id).await? else { return Ok(None) };
        let engine = match node.kind {
            Kind::DbaasPg => DatabaseEngine::Pg,
            _ => DatabaseEngine::Valkey,
        };
        Ok(Some(DatabaseOutput {
            engine,
            name: node.name.as_str().into(),
            uri: connection.uri(None).into(),
            host: connection.host.into(),
            port: connection.port,
            user: connection.user.into(),
        }))
    }

    async fn service_output(
        &self,
        provision: &OperationState,
        node: &Node,
        id: &ResourceId,
        access: &mut Option<ClusterAccess>,
    ) -> Result<Option<ServiceOutput>, ObserveError> {
        let Some(service) = self.read_object(provision, node, id, access).await? else { return Ok(None) };
        let balanced = match service.raw["spec"]["type"].as_str() {
            Some("LoadBalancer") => true,
            Some("NodePort") => false,
            _ => return Ok(None),
        };
        let address = match balanced {
            true => {
                let first = service.raw.pointer("/status/loadBalancer/ingress/0");
                first.and_then(|first| first["ip"].as_str().or(first["hostname"].as_str())).map(str::to_owned)
            }
            false => self.node_address(provision, node).await?,
        };
        let ports = ports(&service.raw, balanced);
        Ok(address.map(|address| ServiceOutput {
            name: node.name.as_str().into(),
            urls: ports.iter().map(|port| url(&address, port).into()).collect(),
            address: address.into(),
            ports,
        }))
    }

    /// The public address of a machine of the environment's nodepool.
    async fn node_address(
        &self,
        provision: &OperationState,
        node: &Node,
    ) -> Result<Option<String>, ObserveError> {
        let client = &self.parts().client;
        let nodes = provision.plan.graph.nodes().iter();
        let ids: BTreeSet<&ResourceId> = nodes
            .filter(|node| node.kind == Kind::SksNodepool)
            .filter_map(|pool| provision.facts.get(&pool.key)?.id())
            .collect();
        let pools = observe::list(client, Kind::SksNodepool, &node.zone).await?;
        let pools: BTreeSet<String> =
            pools.iter().filter(|pool| ids.contains(&pool.id)).filter_map(instance_pool_of).collect();
        let machines = observe::list(client, Kind::Instance, &node.zone).await?;
        let belongs = |machine: &&Observed| {
            machine
                .raw
                .pointer("/manager/id")
                .and_then(Value::as_str)
                .is_some_and(|pool| pools.contains(pool))
                && machine.lifecycle == Lifecycle::Ready
        };
        let addresses = machines.iter().filter(belongs);
        Ok(addresses.filter_map(|machine| machine.raw["public-ip"].as_str().map(str::to_owned)).min())
    }
}

fn ports(service: &Value, balanced: bool) -> Vec<PortOutput> {
    let number = |port: &Value, field: &str| port[field].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = |port: &Value| {
        let node_port = number(port, "nodePort").unwrap_or(0);
        Some(PortOutput {
            name: port["name"].as_str().unwrap_or_default().into(),
            port: if balanced { number(port, "port")? } else { node_port },
            node_port,
        })
    };
    service["spec"]["ports"].as_array().into_iter().flatten().filter_map(port).collect()
}

fn url(address: &str, port: &PortOutput) -> String {
    match port.port {
        443 => format!("https://{address}/"),
        80 => format!("http://{address}/"),
        port => format!("http://{address}:{port}/"),
    }
}
