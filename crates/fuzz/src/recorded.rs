//! A ledger that was recorded on the embedded cloud: the seed of what stands in ledgers.
//!
//! the entries that `exokit registry export` gave after `exokit demo`: one
//! environment made from T3 and removed, with its roster, votes and plans.

use std::sync::LazyLock;

use exokit_approval::keys::PublicKey;
use exokit_model::event::{Entry, Event};
use exokit_model::fixed_plan::FixedPlan;

const ENTRIES: &str = include_str!("../seeds/entries.json");

const ROOT_KEY: &str = include_str!("../seeds/root.key");

/// The key that signed its roster.
pub(crate) static ROOT: LazyLock<PublicKey> =
    LazyLock::new(|| PublicKey::parse(ROOT_KEY.trim()).expect("the recorded root key is a key"));

/// What was appended.
pub(crate) fn entries() -> Vec<Entry> {
    serde_json::from_str(ENTRIES).expect("the recorded entries can be read")
}

/// Its plans as they were proposed.
pub(crate) fn plans() -> Vec<String> {
    let plan = |entry: Entry| match entry.event {
        Event::PlanProposed { plan, .. } => Some(plan),
        _ => None,
    };
    entries().into_iter().filter_map(plan).collect()
}

/// The first plan, read.
pub(crate) fn plan() -> FixedPlan {
    let bytes = plans().into_iter().next().expect("a plan was proposed");
    FixedPlan::from_bytes(bytes.as_bytes()).expect("the recorded plan is a plan")
}

/// Its rosters as they were signed.
pub(crate) fn rosters() -> Vec<String> {
    let roster = |entry: Entry| match entry.event {
        Event::RosterInstalled { signed, .. } => Some(signed),
        _ => None,
    };
    entries().into_iter().filter_map(roster).collect()
}
