//! A simulated Kubernetes cluster: API server, controllers, scheduler, kubelets,
//! cloud controller and CSI driver as one synchronous, deterministic state
//! machine.
//!
//! # Guarantees
//! - A cluster reads no clock and has no randomness but its seed: the same calls
//!   give the same replies.
//! - A cluster that was serialised and restored continues exactly where it
//!   stopped.
//! - The history for watches is bounded.
//!
//! # Assumptions
//! - Users are authenticated by the caller.
//! - The caller carries out what [`Cluster::take_cloud_calls`] returns and
//!   reports it to [`Cluster::answer`].
//! - The caller advances the cluster when [`Cluster::next_due_ms`] says so.
#![forbid(unsafe_code)]

mod admission;
mod api;
mod apply;
mod builtins;
mod cloud;
mod cluster;
mod controllers;
mod defaults;
mod kind;
mod mirror;
mod objects;
mod quantity;
mod queue;
mod refusal;
mod rng;
mod schema;
mod selector;
mod settings;
mod store;
mod time;
mod traffic;
mod triggers;
mod value;

pub use api::Reply;
pub use api::watch::Watch;
pub use cloud::{CloudAnswer, CloudCall, LoadBalancerPort};
pub use cluster::Cluster;
pub use mirror::{MirroredKind, Outcome, Write};

pub use schema::check::validate;
pub use settings::{Machine, Settings, User};
pub use traffic::HttpTarget;
