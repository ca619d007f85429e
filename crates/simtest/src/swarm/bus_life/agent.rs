//! The agent without its connections: door, rounds and publisher of one
//! process, which crashes and starts again.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use exokit_cloud::transport::Transport;
use exokit_engine::engine::Engine;
use exokit_model::access::RequesterProof;
use exokit_model::cost::PriceList;
use exokit_mutant::{Mutant, planted};
use exokit_service::Service;
use exokit_service::admission::Limits;
use exokit_service::progress::Progress;
use exokit_service::publisher::{Cursor, Publisher};
use exokit_service::service::Parts;
use exokit_service::worker::{Worker, WorkerEvent};
use exokit_templates::{TemplateSet, prices};
use exokit_wire::envelope::reply;
use http::Request;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::super::mutants::bus::MutantBus;
use super::super::mutants::messages::MutantMessages;
use super::bus::{Delivery, SimBus};

/// Requests answered at once: few, so that it is felt.
pub(super) const REQUESTS_MAX: usize = 8;

/// Reading them takes longer than many a run.
static SHIPPED: LazyLock<(TemplateSet, PriceList)> =
    LazyLock::new(|| match (TemplateSet::embedded(), prices::embedded()) {
        (Ok(templates), Ok(prices)) => (templates, prices),
        _ => panic!("the embedded templates and prices can be read"),
    });

/// A service on an engine.
pub(super) fn service(engine: Engine) -> Service {
    let Ok(zone) = "ch-dk-2".parse() else { panic!("ch-dk-2 is a zone") };
    let most = if planted(Mutant::NeverBusy) { usize::from(u16::MAX) } else { REQUESTS_MAX };
    let requests = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
    Service::new(Parts {
        engine,
        templates: SHIPPED.0.clone(),
        prices: SHIPPED.1.clone(),
        zone,
        limits: Limits { requests, ..Limits::default() },
    })
}

/// How far events were published: a file that survives crashes.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Progress>>);

#[async_trait]
impl Cursor for Kept {
    async fn read(&self) -> std::io::Result<Option<Progress>> {
        Ok(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn write(&self, progress: Progress) -> std::io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        Ok(())
    }
}

/// What one process does until it is dropped. `told` hears of every operation
/// that ended.
pub(super) async fn process(
    service: &Service,
    bus: &Arc<SimBus>,
    cursor: &Kept,
    told: impl FnMut(WorkerEvent),
) {
    let (sender, requests) = unbounded_channel();
    bus.connect(sender);
    let publishing = MutantBus::new(bus.as_ref(), cursor);
    publishing.begin(service).await;
    let publisher = Publisher::new(service, &publishing, cursor);
    let rounds = Worker::new(service.clone()).run(std::future::pending(), told);
    tokio::join!(door(service, bus, requests), rounds, publisher.run());
}

/// Answers each request in a task of its own, as the agent's door does.
async fn door(service: &Service, bus: &Arc<SimBus>, mut requests: UnboundedReceiver<Delivery>) {
    let mut under_way = JoinSet::new();
    let mutant = MutantMessages::new(bus.seconds());
    let crowd = Arc::new(AtomicUsize::new(0));
    loop {
        tokio::select! {
            biased;
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
            Some(Delivery { verb, bytes, inbox }) = requests.recv() => {
                let bytes = mutant.received(service, verb, bytes);
                let (service, bus, crowd) = (service.clone(), Arc::clone(bus), Arc::clone(&crowd));
                under_way.spawn(async move {
                    let outcome = counted(service.answer(verb, &bytes, RequesterProof::None), &crowd, &bus).await;
                    let reply = serde_json::from_str(&reply(&outcome)).unwrap_or_default();
                    bus.note_answer(&bytes, &reply);
                    bus.reply(inbox, reply);
                });
            }
        }
    }
}

/// One of the requests that are being answered, also when its task breaks off.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts an answer from when it has to wait until it is there: what finds no
/// room is refused before that.
async fn counted<T>(answer: impl Future<Output = T>, crowd: &AtomicUsize, bus: &SimBus) -> T {
    let (mut answer, mut waiting) = (pin!(answer), None);
    let answered = poll_fn(|context| {
        let polled = answer.as_mut().poll(context);
        if polled.is_pending() && waiting.is_none() {
            bus.note_crowd(crowd.fetch_add(1, Ordering::Relaxed) + 1);
            waiting = Some(Waiting(crowd));
        }
        polled
    });
    answered.await
}

/// A way to the cloud on which the task breaks off at one call, as a mistake
/// in it would. The numbers go on over all processes.
pub(super) fn breaking(
    inner: Transport,
    calls: &Arc<AtomicU32>,
    at: Vec<u32>,
    broke: &Arc<AtomicU32>,
) -> Transport {
    let (calls, broke) = (Arc::clone(calls), Arc::clone(broke));
    let service = tower::service_fn(move |request: Request<Bytes>| {
        let breaks = at.contains(&calls.fetch_add(1, Ordering::Relaxed));
        let (inner, broke) = (inner.clone(), Arc::clone(&broke));
        async move {
            if breaks {
                broke.fetch_add(1, Ordering::Relaxed);
                // Without the hook: nobody need read of it.
                std::panic::resume_unwind(Box::new("a mistake on purpose"));
            }
            inner.oneshot(request).await
        }
    });
    tower::util::BoxCloneSyncService::new(service)
}

/// How long a supervisor waits before it starts the next process.
pub(super) const RESTART: Duration = Duration::from_secs(2);
