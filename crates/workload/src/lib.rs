//! Turns the checked description of an environment into the Kubernetes objects
//! that run in its cluster.
//!
//! # Guarantees
//! - Pure: equal descriptions give equal objects, in the same order, with the
//!   same names.
//! - Every body is complete for a server-side apply and holds exactly the fields
//!   that exokit owns. Its only nulls are secret slots, which the caller fills
//!   when it sends the body.
//! - Every object follows the objects that it depends on.
//!
//! # Assumptions
//! - The description is checked: its names, ports and quantities are valid.
//! - The cluster runs the add-ons that the description lists.

#![forbid(unsafe_code)]

mod app;
mod autoscaling;
mod builder;
mod data_secrets;
mod deployment;
mod images;
mod ingress;
mod labels;
mod namespace;
mod network_policy;
mod object;
mod objects;
mod observability;
mod people;
mod pod;
mod quantity;
mod service;
mod service_account;
mod traefik;
mod user_workload;
mod volume_claim;

pub use images::{IMAGES, Image};
pub use object::WorkloadObject;
pub use objects::objects;
