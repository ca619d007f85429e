//! The exporter: takes the spans of our crates and sends them to a collector.
//!
//! # Guarantees
//! Traced code never waits for the collector. At most 2048 spans wait. Each
//! dropped span is counted. Spans that the collector loses after its reply are
//! not counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
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

use crate::collector_client::CollectorClient;
use crate::queue::{BoundedProcessor, CountingExporter, QueueSlots, WAITING_MAX};

/// How long the exit of the process waits for the collector.
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

/// The exporter at work.
pub struct Exporter {
    provider: SdkTracerProvider,
    slots: Arc<QueueSlots>,
}

impl Exporter {
    /// Starts the thread that sends batches through `transport`, on `runtime`.
    ///
    /// # Errors
    /// When the library refuses the options.
    pub fn start(options: Options, transport: Transport, runtime: Handle) -> Result<Self, StartError> {
        let Options { endpoint, headers, limit, service, version } = options;
        let client = CollectorClient { transport, headers, limit, runtime };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint.to_string())
            .with_timeout(limit)
            .build()?;
        let slots = Arc::new(QueueSlots::default());
        let config = BatchConfigBuilder::default().with_max_queue_size(WAITING_MAX).build();
        let inner = BatchSpanProcessor::new(CountingExporter::new(exporter, slots.clone()), config);
        let version = KeyValue::new("service.version", version);
        let resource = Resource::builder().with_service_name(service).with_attribute(version).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BoundedProcessor { slots: slots.clone(), inner })
            .with_resource(resource)
            .build();
        Ok(Self { provider, slots })
    }

    /// The layer that takes the spans of our crates at the level TRACE, and no
    /// event.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("exokit"))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_filter(FilterFn::new(is_ours).with_max_level_hint(LevelFilter::TRACE))
    }

    /// The number of spans that were dropped, as it grows.
    #[must_use]
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.slots.dropped.clone()
    }

    /// Exports the waiting spans, for at most three seconds. The runtime must
    /// still run.
    pub fn finish(self) {
        let ended = self.provider.shutdown_with_timeout(FLUSH);
        let lost = self.slots.give_up();
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

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use bytes::Bytes;
    use exokit_cloud::transport::{HttpRequest, TransportError};
    use tracing::Span;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::request::TraceContext;

    /// What a collector that always answers so was sent while `work` ran, and
    /// how many spans were lost.
    fn sent(status: u16, work: impl FnOnce()) -> (Vec<HttpRequest>, u64) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        let transport = Transport::new(tower::service_fn(move |request: HttpRequest| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            let answer = http::Response::builder().status(status).body(Bytes::new()).unwrap();
            async { Ok::<_, TransportError>(answer) }
        }));
        let mut headers = HeaderMap::new();
        headers.insert("x-key", http::HeaderValue::from_static("secret"));
        let endpoint = Uri::from_static("http://127.0.0.1:4318/v1/traces");
        let limit = Duration::from_secs(5);
        let options = Options { endpoint, headers, limit, service: "az".to_owned(), version: "1" };
        let exporter = Exporter::start(options, transport, runtime.handle().clone()).unwrap();
        let dropped = exporter.dropped();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(exporter.layer()), work);
        exporter.finish();
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        (seen, dropped.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn has(requests: &[HttpRequest], bytes: &[u8]) -> bool {
        requests.iter().any(|request| request.body().windows(bytes.len()).any(|part| part == bytes))
    }

    fn ours() -> Span {
        tracing::trace_span!(target: "exokit_agent", "ours", "error.type" = tracing::field::Empty)
    }

    #[test]
    fn only_spans_of_ours_leave_and_no_event() {
        let (requests, lost) = sent(200, || {
            ours().in_scope(|| tracing::info!("told"));
            drop(tracing::trace_span!(target: "hyper", "theirs"));
            drop(tracing::info_span!(target: "exokit_agent", "logged"));
        });
        assert_eq!((requests.len(), lost), (1, 0));
        assert_eq!(requests[0].headers()["x-key"], "secret");
        assert!(has(&requests, b"ours") && has(&requests, b"az"));
        for other in [&b"told"[..], b"theirs", b"logged", b"secret"] {
            assert!(!has(&requests, other), "{other:?}");
        }
    }

    #[test]
    fn a_span_continues_the_trace_of_a_header() {
        let header = format!("00-{}-{}-01", "07".repeat(16), "09".repeat(8));
        let mut context = None;
        let (requests, _) = sent(200, || {
            let span = ours();
            context = Some(TraceContext::continued(Some(&header), &span));
            span.record("error.type", "busy");
            span.in_scope(|| drop(tracing::trace_span!(target: "exokit_cloud", "call")));
        });
        let own = context.unwrap().to_string();
        assert!(own.starts_with(&header[..36]) && own.ends_with("-01") && own != header, "{own}");
        let id = u64::from_str_radix(&own[36..52], 16).unwrap().to_be_bytes();
        for part in [&[7; 16][..], &[9; 8], &id, b"busy", b"call"] {
            assert!(has(&requests, part), "{part:?}");
        }
    }

    #[test]
    fn a_trace_that_is_not_sampled_is_not_exported() {
        let header = format!("00-{}-{}-00", "07".repeat(16), "09".repeat(8));
        let mut context = None;
        let (requests, lost) = sent(200, || {
            let span = ours();
            context = Some(TraceContext::continued(Some(&header), &span));
            span.in_scope(|| drop(tracing::trace_span!(target: "exokit_cloud", "call")));
        });
        assert_eq!((requests.len(), lost), (0, 0));
        let own = context.unwrap().to_string();
        assert!(own.starts_with(&header[..36]) && own.ends_with("-00"), "{own}");
    }

    #[test]
    fn what_a_collector_refuses_is_counted() {
        let (requests, lost) = sent(400, || (0..3).for_each(|_| drop(ours())));
        assert_eq!((requests.len(), lost), (1, 3));
    }
}
