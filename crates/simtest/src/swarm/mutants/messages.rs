//! Mistakes planted before the service: in the messages that it gets.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use exokit_model::plan::Plan;
use exokit_mutant::{Mutant, planted};
use exokit_service::Service;
use exokit_wire::MESSAGE_BYTES_MAX;
use exokit_wire::verb::Verb;
use serde_json::Value;

/// Alters the messages that one process gets.
#[derive(Debug, Default)]
pub(in crate::swarm) struct MutantMessages {
    /// Part of each key of this process, unlike those of others.
    process: u64,
    /// The first message with each key.
    by_key: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MutantMessages {
    /// For a process that starts at this second.
    pub(in crate::swarm) fn new(process: u64) -> Self {
        Self { process, ..Self::default() }
    }

    /// A message as the service gets it. Without a planted mistake it is what
    /// arrived.
    pub(in crate::swarm) fn received(&self, service: &Service, verb: Verb, bytes: Vec<u8>) -> Vec<u8> {
        if planted(Mutant::AnyLength) {
            return bytes.trim_ascii_end().to_vec();
        }
        if planted(Mutant::AnyBody) {
            return self.first_with_its_key(bytes);
        }
        match serde_json::from_slice::<Value>(&bytes) {
            // A message that is too long is refused for its length.
            _ if bytes.len() > MESSAGE_BYTES_MAX => bytes,
            Ok(message) => match self.alter(service, verb, &message) {
                Some(altered) => altered.to_string().into_bytes(),
                None => bytes,
            },
            Err(_) => bytes,
        }
    }

    /// The altered message; none where no mistake alters it.
    fn alter(&self, service: &Service, verb: Verb, message: &Value) -> Option<Value> {
        let mut altered = message.clone();
        if planted(Mutant::LastField) {
            // Of two fields of one name, reading kept the last.
            return Some(altered);
        }
        if planted(Mutant::FirstEventMissing) && verb == Verb::Events {
            let after = message["after"].as_u64().unwrap_or_default();
            altered["after"] = (after + 1).into();
            return Some(altered);
        }
        if planted(Mutant::KeyOfProcess) {
            let key = message["idempotency_key"].as_str()?;
            altered["idempotency_key"] = format!("{key}/{}", self.process).into();
            return Some(altered);
        }
        let text = message["sealed"]["plan"].as_str()?;
        if planted(Mutant::SealOfAnybody) {
            altered["requester"] = serde_json::from_str::<Value>(text).ok()?["requester"].clone();
            return Some(altered);
        }
        if planted(Mutant::AnySeal) {
            let seal = service.engine().seal(&Plan::digest_of(text.as_bytes()));
            altered["sealed"]["seal"] = serde_json::to_value(seal).ok()?;
            return Some(altered);
        }
        None
    }

    /// The first message that came with the key of this one.
    fn first_with_its_key(&self, bytes: Vec<u8>) -> Vec<u8> {
        let message = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        let Some(key) = message["idempotency_key"].as_str() else { return bytes };
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        by_key.entry(key.to_owned()).or_insert(bytes).clone()
    }
}
