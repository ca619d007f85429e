//! The state that all routes share.

use std::sync::{Arc, RwLock};

use exokit_service::Service;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::limits::{ListenerSlots, RateLimits, Rates};
use crate::metrics::Metrics;
use crate::tokens::Tokens;

pub(crate) struct RouterConfig {
    pub(crate) service: Service,
    pub(crate) metrics: Arc<Metrics>,
    /// The bearer tokens, replaced as a whole when their file changes.
    pub(crate) tokens: Arc<RwLock<Tokens>>,
    /// Whether NATS is connected; none when it is not used.
    pub(crate) nats: Option<watch::Receiver<bool>>,
    pub(crate) rates: Rates,
    /// True when the agent stops.
    pub(crate) stop: watch::Receiver<bool>,
}

pub(super) struct RouterState {
    pub(super) config: RouterConfig,
    pub(super) limits: RateLimits,
    /// The last check of the cloud, and when it was made.
    pub(super) cloud_check: Mutex<Option<(Instant, Result<(), String>)>>,
    pub(super) listeners: ListenerSlots,
}

/// The state as handlers receive it.
pub(super) type App = Arc<RouterState>;
