//! Watches of the API servers of clusters.

use super::super::World;
use bytes::Bytes;
use exokit_kube_sim::Watch;
use http::{HeaderValue, Response, header};

/// A watch that goes on after the events in the body of its response. It stands
/// in the extensions of the response: a transport that can stream continues it,
/// any other ends the watch with the body.
#[derive(Clone, Debug)]
pub(crate) struct OpenWatch {
    cluster: String,
    watch: Watch,
    /// The end of the client's certificate.
    not_after_ms: i64,
}

/// What a watch has come to.
pub(crate) enum WatchProgress {
    /// Events to deliver, perhaps none, and when to continue at the latest.
    Continues { events: Bytes, next_due_ms: i64 },
    /// The last events, perhaps none.
    Ended { events: Bytes },
}

impl World {
    /// The response that begins a watch.
    pub(super) fn open_watch(&mut self, cluster: &str, watch: Watch, not_after_ms: i64) -> Response<Bytes> {
        let mut open = OpenWatch { cluster: cluster.to_owned(), watch, not_after_ms };
        let (WatchProgress::Continues { events, .. } | WatchProgress::Ended { events }) =
            self.continue_watch(&mut open);
        let mut response = Response::new(events);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.extensions_mut().insert(open);
        response
    }

    /// Takes the events of a watch up to now. A watch ends at its own time, with
    /// the certificate of its client and with its cluster.
    pub(crate) fn continue_watch(&mut self, open: &mut OpenWatch) -> WatchProgress {
        self.serve_cluster(&open.cluster);
        let is_served = self.answers(&open.cluster);
        let Some(cluster) = self.clusters.get(&open.cluster).filter(|_| is_served) else {
            return WatchProgress::Ended { events: Bytes::new() };
        };
        let events = Bytes::from(open.watch.drain(cluster).concat());
        let until_ms = open.watch.until_ms().min(open.not_after_ms);
        if open.watch.is_ended() || self.now >= until_ms {
            return WatchProgress::Ended { events };
        }
        let due = self.next_change_ms().unwrap_or(i64::MAX);
        let next_due_ms = due.min(open.watch.next_due_ms()).min(until_ms);
        WatchProgress::Continues { events, next_due_ms }
    }
}
