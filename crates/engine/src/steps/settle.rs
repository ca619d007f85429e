//! Finding out what became of a create request whose outcome is not known.
//!
//! First the signature must have expired at the cloud: from then on nothing
//! can start any more. Then the cloud is listed by the owner token until
//! nothing has appeared for the longest time that a list can lag.

use std::time::Duration;

use exokit_kinds::{Lifecycle, Observed, ownership};
use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::needs_human::NeedsHuman;
use exokit_mutant::{Mutant, planted};
use jiff::Timestamp;

use crate::observe;
use crate::run::{Run, StepEnd};
use crate::steps::{Patience, parent_of, pause};
use crate::timing::{SETTLE_POLL, SKEW_MARGIN};

pub(crate) async fn run(
    run: &Run<'_>,
    node: &Node,
    attempt: u32,
    expires_at: Timestamp,
) -> Result<(), StepEnd> {
    wait_until_expired(run, expires_at).await;
    if node.kind.is_kubernetes() {
        return settle_object(run, node, attempt).await;
    }
    let found = look(run, node).await?;
    let adoptable = exokit_kinds::of(node.kind).adoptable || planted(Mutant::AdoptKey);
    let event = match (found.as_slice(), adoptable) {
        ([], _) => Event::CreateAbsent { node: node.key.clone(), attempt },
        ([one], true) => Event::CreateAdopted { node: node.key.clone(), attempt, id: one.id.clone() },
        ([one], false) => Event::ResourceFailed {
            node: node.key.clone(),
            id: Some(one.id.clone()),
            reason: "its secret was in a reply that was lost".into(),
        },
        (several, _) => {
            let ids = several.iter().map(|found| found.id.as_str().into()).collect();
            return Err(StepEnd::Park(NeedsHuman::Ambiguous { node: node.key.clone(), ids }));
        }
    };
    Ok(run.record(event).await?)
}

/// Of an object inside a cluster: it is there under its name, or not. Only what
/// is not to be there any more is settled; an apply in doubt is sent again.
async fn settle_object(run: &Run<'_>, node: &Node, attempt: u32) -> Result<(), StepEnd> {
    let mut patience = Patience::default();
    let seen = loop {
        if let Some(seen) = patience.ask(run.read_by_name(node).await?).await? {
            break seen;
        }
    };
    let ours =
        seen.filter(|seen| node.token.as_ref().is_some_and(|token| ownership::carries(&seen.marks, token)));
    let event = match ours {
        Some(ours) => Event::CreateAdopted { node: node.key.clone(), attempt, id: ours.id },
        None => Event::CreateAbsent { node: node.key.clone(), attempt },
    };
    Ok(run.record(event).await?)
}

/// Waits until the signature has expired by this host's clock and, where it
/// is known, by the cloud's.
async fn wait_until_expired(run: &Run<'_>, expires_at: Timestamp) {
    loop {
        let now = run.engine.now();
        let here = now >= expires_at + SKEW_MARGIN;
        let there = run.engine.parts().client.skew().is_none_or(|skew| skew.surely_past(expires_at, now));
        if here && there {
            return;
        }
        let left = (expires_at + SKEW_MARGIN).duration_since(now);
        pause(Duration::try_from(left).unwrap_or_default().max(Duration::from_millis(500))).await;
    }
}

/// Lists until something of ours shows, or nothing has for the list lag.
async fn look(run: &Run<'_>, node: &Node) -> Result<Vec<Observed>, StepEnd> {
    let timing = run.engine.parts().timing;
    let lag = timing.scaled(timing.list_lag);
    let started = tokio::time::Instant::now();
    let mut patience = Patience::default();
    loop {
        // What is listed after the whole lag is final, so the last list is
        // asked for when the lag is over, not before.
        let last = started.elapsed() >= lag;
        let listed = observe::list(&run.engine.parts().client, node.kind, &node.zone).await;
        let Some(listed) = patience.ask(listed).await? else { continue };
        let ours = confirm(run, node, listed).await?;
        if last || !ours.is_empty() {
            return Ok(ours);
        }
        pause(timing.scaled(SETTLE_POLL)).await;
    }
}

/// Those that carry the node's token and are what was asked for. A foreign
/// resource with a copied label has another content and is left alone.
async fn confirm(run: &Run<'_>, node: &Node, listed: Vec<Observed>) -> Result<Vec<Observed>, StepEnd> {
    let Some(token) = &node.token else { return Ok(Vec::new()) };
    let retired = run.state().facts.get(&node.key).map(|facts| facts.retired.clone()).unwrap_or_default();
    // Where the name is the id, a second attempt gets the id of the first one.
    let is_retired = |found: &Observed| found.id.as_str() != node.name && retired.contains(&found.id);
    let carries = |found: &Observed| {
        ownership::carries(&found.marks, token)
            && found.lifecycle != Lifecycle::Deleting
            && !is_retired(found)
    };
    let client = &run.engine.parts().client;
    let mut ours = Vec::new();
    for candidate in listed.into_iter().filter(carries) {
        let parent = candidate.parent.clone().or_else(|| parent_of(run, node));
        let whole =
            Patience::insist(|| observe::get(client, node.kind, &candidate.id, parent.as_ref(), &node.zone));
        let is_planned = |whole: &Observed| is_as_planned(run, node, whole) || planted(Mutant::AdoptAnything);
        if whole.await?.as_ref().is_some_and(is_planned) {
            ours.push(candidate);
        }
    }
    Ok(ours)
}

fn is_as_planned(run: &Run<'_>, node: &Node, observed: &Observed) -> bool {
    let Some(body) = crate::drift::planned_body(&run.state(), node) else { return true };
    exokit_kinds::of(node.kind).compare(&node.key, &body, observed).is_empty()
}
