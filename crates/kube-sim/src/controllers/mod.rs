//! The controllers, the scheduler, the kubelets and the drivers of the cloud.

pub(crate) mod attachment;
pub(crate) mod autoscaler;
pub(crate) mod claim;
pub(crate) mod cloud_calls;
pub(crate) mod cloud_state;
pub(crate) mod conditions;
pub(crate) mod daemon_set;
pub(crate) mod deployment;
pub(crate) mod disruption_budget;
pub(crate) mod endpoints;
pub(crate) mod garbage;
pub(crate) mod kubelet;
pub(crate) mod load_balancer;
pub(crate) mod namespace;
pub(crate) mod node;
pub(crate) mod pods;
pub(crate) mod quota;
pub(crate) mod replica_set;
pub(crate) mod scheduler;
pub(crate) mod scheduling_rules;
