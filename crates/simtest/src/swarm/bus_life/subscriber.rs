//! The subscriber: keeps a copy of all events, takes each one once, and requests
//! those that it missed.

use std::time::Duration;

use exokit_service::publisher::Cursor;
use exokit_wire::event::EventMessage;
use exokit_wire::verb::Verb;
use serde_json::json;

use super::super::schedule::Trouble;
use super::BusLife;

/// How often the stream is looked at: seldom, so that it may lose what was not
/// read yet.
const READ: Duration = Duration::from_secs(45);

/// How often it is looked whether everything is published.
const LOOK: Duration = Duration::from_secs(1);

impl BusLife {
    /// Reads the stream for ever, from wherever it goes back to.
    pub(super) async fn subscribe(&self) {
        let mut position = 0;
        let mut again: Vec<(u32, u32)> = self
            .troubles
            .iter()
            .filter_map(|trouble| match trouble {
                Trouble::Redelivered { at, last } => Some((*at, *last)),
                _ => None,
            })
            .collect();
        loop {
            tokio::time::sleep(READ).await;
            if self.bus.is_away() {
                continue;
            }
            let (events, length) = self.bus.read(position);
            // A stream that is shorter than what was read of it went back.
            let events = if length < position { self.bus.read(0).0 } else { events };
            position = length;
            events.iter().for_each(|event| self.take(event));
            let now = self.bus.seconds();
            let due: Vec<u32> = again.iter().filter(|(at, _)| u64::from(*at) <= now).map(|x| x.1).collect();
            again.retain(|(at, _)| u64::from(*at) > now);
            for last in due {
                let newest = self.bus.read(length.saturating_sub(last as usize)).0;
                newest.iter().rev().for_each(|event| self.take(event));
            }
        }
    }

    /// Takes in one event.
    fn take(&self, event: &EventMessage) {
        let known = self.view.borrow_mut().insert(event.seq, event.hash);
        match known {
            None => {}
            Some(hash) if hash == event.hash => self.witness.note("event delivered again"),
            Some(_) => self.wrong(format!("I20 two events have the number {}", event.seq)),
        }
    }

    /// Up to which record nothing is missing.
    fn whole(&self) -> u64 {
        let view = self.view.borrow();
        (1..).find(|seq| !view.contains_key(seq)).unwrap_or(1) - 1
    }

    /// Waits until the stream has everything again, should it have gone back.
    async fn filled(&self, head: u64) {
        if !self.bus.went_back() {
            return;
        }
        while !self.bus.is_whole(head) {
            tokio::time::sleep(LOOK).await;
        }
        self.witness.note("stream filled again");
    }

    /// Waits until everything is published, and asks for what the stream lost.
    pub(super) async fn catch_up(&self) {
        loop {
            let head = self.simulation.borrow().records().len() as u64;
            let published = Cursor::read(&self.cursor).await.ok().flatten();
            if published.is_some_and(|progress| progress.published == head) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(2 * READ).await;
        loop {
            let after = self.whole();
            let reply = self.call(Verb::Events, &json!({ "schema_version": 1, "after": after })).await;
            let (events, head) = match reply {
                Ok(reply) => (reply["events"].clone(), reply["head"].as_u64()),
                Err(error) => return self.wrong(format!("I12 events cannot be asked for: {error}")),
            };
            let Ok(events) = serde_json::from_value::<Vec<EventMessage>>(events) else {
                return self.wrong("I26 events cannot be read".to_owned());
            };
            for event in events {
                let known = self.view.borrow().contains_key(&event.seq);
                self.take(&event);
                if !known {
                    self.witness.note("gap filled from the list");
                }
            }
            match (self.whole(), head) {
                (whole, Some(head)) if whole == head => return self.filled(head).await,
                (whole, head) if whole == after => {
                    return self
                        .wrong(format!("F14 the list after {after} lacks the next event of {head:?}"));
                }
                _ => {}
            }
        }
    }
}
