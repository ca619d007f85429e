//! The outputs of an environment: how to reach what it consists of, without any
//! secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{EnvironmentName, ResourceId, TemplateId, Zone};
use crate::spec::DatabaseEngine;
use crate::text::ForeignText;

/// How to reach an environment. What is not there yet is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// Its name.
    pub environment: EnvironmentName,
    /// What it is made from.
    pub template: TemplateId,
    /// Where it is.
    pub zone: Zone,
    /// The cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterOutput>,
    /// Services that can be reached from outside the cluster.
    #[serde(default)]
    pub services: Vec<ServiceOutput>,
    /// The database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseOutput>,
    /// The bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketOutput>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterOutput {
    /// Its id.
    pub id: ResourceId,
    /// Host name of its API server.
    pub endpoint: ForeignText,
    /// Its Kubernetes version.
    pub version: ForeignText,
    /// The namespace of the workload.
    pub namespace: ForeignText,
}

/// A service that can be reached from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceOutput {
    /// Its name in the cluster.
    pub name: ForeignText,
    /// Address of its load balancer, or of a node where it has none.
    pub address: ForeignText,
    /// Its ports at that address.
    pub ports: Vec<PortOutput>,
    /// Addresses to open in a browser.
    pub urls: Vec<ForeignText>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortOutput {
    /// Its name.
    pub name: ForeignText,
    /// Its number at the address of the service.
    pub port: u16,
    /// The port of every node behind it.
    pub node_port: u16,
}

/// A managed database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseOutput {
    /// Its engine.
    pub engine: DatabaseEngine,
    /// Its name in the cloud.
    pub name: ForeignText,
    /// Host name.
    pub host: ForeignText,
    /// Port.
    pub port: u16,
    /// Name of its first user.
    pub user: ForeignText,
    /// Its address with the user and without the password.
    pub uri: ForeignText,
}

/// An object storage bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BucketOutput {
    /// Its name.
    pub name: ForeignText,
    /// Address of the object storage.
    pub endpoint: ForeignText,
    /// Region for clients.
    pub region: Zone,
}
