//! The exporter: takes the spans of our crates and sends them to a collector.
//!
//! Guarantees: what is traced never waits for the collector, whatever it does;
//! at most 2048 spans wait; each that is lost is counted. Caveats: a collector
//! that has answered may still lose spans, and that is not seen here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use exokit_cloud::transport::Transport;
use http::{HeaderMap, Uri};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;

use crate::queue::{Bounded, Counted, Dropped, Room, WAITING_MAX};
use crate::way::Way;

/// How long the end of the process waits for the collector.
const FLUSH: Duration = Duration::from_secs(3);

/// Where spans go.
#[derive(Clone)]
pub struct Options {
    /// The collector's address for traces.
    pub endpoint: Uri,
    /// Headers of every request to it. They are secrets.
    pub headers: HeaderMap,
    /// Longest time for a batch, with all attempts.
    pub limit: Duration,
    /// Name of the service.
    pub service: String,
    /// Version of the service.
    pub version: &'static str,
}

/// Not derived: headers are secrets.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The exporter cannot be set up as it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be exported in this way")]
pub struct StartError(#[from] ExporterBuildError);

impl StartError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "check the variables that begin with OTEL_EXPORTER_OTLP_; spans leave over http/protobuf, uncompressed"
    }
}

/// The exporter at work.
pub struct Exporter {
    provider: SdkTracerProvider,
    room: Arc<Room>,
}

impl Exporter {
    /// Starts the thread that sends batches through `transport`, on `runtime`.
    ///
    /// # Errors
    /// When the environment asks for what cannot be done, such as compression.
    pub fn start(options: Options, transport: Transport, runtime: Handle) -> Result<Self, StartError> {
        let Options { endpoint, headers, limit, service, version } = options;
        let way = Way { transport, headers, limit, runtime };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(way)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.to_string())
            .with_timeout(limit)
            .build()?;
        let room = Arc::new(Room::default());
        let config = BatchConfigBuilder::default().with_max_queue_size(WAITING_MAX).build();
        let inner = BatchSpanProcessor::new(Counted::new(exporter, room.clone()), config);
        let version = KeyValue::new("service.version", version);
        let resource = Resource::builder().with_service_name(service).with_attribute(version).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Bounded { room: room.clone(), inner })
            .with_resource(resource)
            .build();
        Ok(Self { provider, room })
    }

    /// What takes the spans from the program: those of our crates at the level
    /// TRACE, and no event.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("exokit"))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_filter(FilterFn::new(is_ours).with_max_level_hint(LevelFilter::TRACE))
    }

    /// How many spans are lost.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.room.dropped()
    }

    /// Sends what waits, for three seconds at most. The runtime must still run.
    pub fn finish(self) {
        let ended = self.provider.shutdown_with_timeout(FLUSH);
        let lost = self.room.give_up();
        if let Err(error) = ended
            && lost > 0
        {
            tracing::warn!(%error, lost, "spans were not taken before the end");
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() == Level::TRACE && metadata.target().starts_with("exokit")
}
