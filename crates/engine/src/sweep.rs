//! The orphan sweep: everything in the account that carries our mark but
//! belongs to no environment. It reports; removing takes a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exokit_core::node_state::NodeState;
use exokit_kinds::mark::{self, Claim};
use exokit_kinds::{Lifecycle, Observed};
use exokit_ledger::Filter;
use exokit_model::event::Record;
use exokit_model::ids::{EnvironmentName, Zone};
use exokit_model::kind::Kind;
use serde::Serialize;

use crate::engine::Engine;
use crate::environment::EnvironmentState;
use crate::error::EngineError;
use crate::survey::Listing;
use crate::timing::SIGNATURE;

/// What the sweep thinks of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It carries a valid mark and belongs to no environment.
    Orphan,
    /// It may be one, but it is so young that it may still be taken in.
    TooYoung,
    /// It claims to be ours, but the mark is not one that this engine made.
    ForeignMark,
    /// It is going away.
    Leaving,
}

/// A resource that belongs to no environment.
#[derive(Debug, Clone, Serialize)]
pub struct Orphan {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub zone: Zone,
    /// Its age, where the cloud says it.
    pub age_seconds: Option<i64>,
    /// What the sweep thinks of it.
    pub verdict: Verdict,
}

impl Engine {
    /// Looks through the whole account.
    ///
    /// # Errors
    /// When any list cannot be read: an incomplete sweep proves nothing.
    pub async fn orphans(&self, through: &Zone) -> Result<Vec<Orphan>, EngineError> {
        self.check_account(through).await?;
        let records = self.parts().ledger.read(Filter::All, 0).await?;
        let known = Known::from(&records)?;
        let listings = self.survey(through).await?;
        // Read again: what was made while the survey ran is not an orphan.
        let records = self.parts().ledger.read(Filter::All, 0).await?;
        let later = Known::from(&records)?;
        let found =
            listings.iter().flat_map(|listing| listing.found.iter().map(move |found| (listing, found)));
        Ok(found
            .filter(|(_, found)| {
                !known.live.contains(found.id.as_str()) && !later.live.contains(found.id.as_str())
            })
            .filter_map(|(listing, found)| self.judge(&later, listing, found))
            .collect())
    }

    fn judge(&self, known: &Known, listing: &Listing, found: &Observed) -> Option<Orphan> {
        let claim = mark::claim(&found.raw);
        let ours = known.tokens.iter().any(|token| found.marks.iter().any(|mark| mark == token))
            || claim.as_ref().is_some_and(|claim| self.verifies(claim));
        if !ours && claim.is_none() {
            return None;
        }
        let age = found.created_at.map(|at| self.now().duration_since(at).as_secs());
        let verdict = match (ours, found.lifecycle, age) {
            (_, Lifecycle::Deleting, _) => Verdict::Leaving,
            (false, ..) => Verdict::ForeignMark,
            (true, _, Some(age)) if age < self.grace_seconds() => Verdict::TooYoung,
            // Without a date, what an unfinished operation may still take in
            // is left to it.
            (true, _, None) if known.is_open(found) => Verdict::TooYoung,
            (true, ..) => Verdict::Orphan,
        };
        Some(Orphan {
            kind: listing.kind,
            id: found.id.to_string(),
            name: found.name.clone(),
            zone: listing.zone.clone(),
            age_seconds: age,
            verdict,
        })
    }

    /// Whether a mark was made with this engine's owner key, whatever the
    /// ledger still knows.
    fn verifies(&self, claim: &Claim) -> bool {
        match (&claim.plan, &claim.node) {
            (Some(plan), Some(node)) => self.parts().keyring.token(plan, node).as_str() == claim.token,
            _ => false,
        }
    }

    /// Younger ones may belong to a request that is still being settled.
    fn grace_seconds(&self) -> i64 {
        let timing = self.parts().timing;
        let grace: Duration = (timing.scaled(timing.list_lag) + SIGNATURE) * 2;
        i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)
    }
}

/// What the ledger knows.
struct Known {
    /// Ids of resources that exist according to it.
    live: BTreeSet<String>,
    /// Tokens, long and short, of everything ever planned.
    tokens: BTreeSet<String>,
    /// Tokens of nodes of unfinished operations.
    open: BTreeSet<String>,
}

impl Known {
    fn from(records: &[Record]) -> Result<Self, EngineError> {
        let mut known = Self { live: BTreeSet::new(), tokens: BTreeSet::new(), open: BTreeSet::new() };
        let mut by_environment: BTreeMap<&EnvironmentName, Vec<Record>> = BTreeMap::new();
        for record in records {
            if let Some(name) = &record.entry.environment {
                by_environment.entry(name).or_default().push(record.clone());
            }
        }
        for own in by_environment.values() {
            known.add(&EnvironmentState::fold(own)?);
        }
        Ok(known)
    }

    fn add(&mut self, environment: &EnvironmentState) {
        self.live.extend(environment.recorded().iter().map(|recorded| recorded.id.to_string()));
        for operation in &environment.operations {
            for node in operation.plan.graph.nodes() {
                let facts = operation.facts.get(&node.key);
                if let Some(facts) = facts.filter(|facts| facts.state != NodeState::Missing)
                    && !operation.phase.is_terminal()
                {
                    self.live.extend(facts.id().map(ToString::to_string));
                }
                let Some(token) = &node.token else { continue };
                let forms = [token.to_string(), token.short().to_owned()];
                if !operation.phase.is_terminal() {
                    self.open.extend(forms.clone());
                }
                self.tokens.extend(forms);
            }
        }
    }

    fn is_open(&self, found: &Observed) -> bool {
        found.marks.iter().any(|mark| self.open.contains(mark))
    }
}
