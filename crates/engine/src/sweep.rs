//! The orphan sweep: everything in the account that carries our mark but
//! belongs to no environment. It reports; removing takes a plan.

use std::collections::BTreeSet;
use std::time::Duration;

use exokit_kinds::ownership::{self, Claim};
use exokit_kinds::{Lifecycle, Observed};
use exokit_ledger::{Filter, Head, Holdings};
use exokit_model::event::Event;
use exokit_model::ids::Zone;
use exokit_model::kind::Kind;
use serde::Serialize;

use crate::engine::Engine;
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
        let before = self.parts().ledger.head().await?;
        let listings = self.survey(through).await?;
        // Asked after the survey: what was made while it ran is not an orphan.
        let known = self.known(&listings, before).await?;
        let found =
            listings.iter().flat_map(|listing| listing.found.iter().map(move |found| (listing, found)));
        Ok(found
            .filter(|(_, found)| !known.live.contains(found.id.as_str()))
            .filter_map(|(listing, found)| self.judge(&known, listing, found))
            .collect())
    }

    /// What the ledger knows of what was found.
    async fn known(&self, listings: &[Listing], before: Head) -> Result<Holdings, EngineError> {
        let ledger = &self.parts().ledger;
        let found = || listings.iter().flat_map(|listing| &listing.found);
        let ids = found().map(|found| found.id.to_string()).collect();
        let marks: BTreeSet<String> = found().flat_map(|found| found.marks.clone()).collect();
        let mut known = ledger.holdings(ids, marks.into_iter().collect()).await?;
        // Nor is what was removed while it ran.
        for record in ledger.read(Filter::All, before.seq).await? {
            if let Event::ResourceGone { id, .. } = &record.entry.event {
                known.live.insert(id.to_string());
            }
        }
        Ok(known)
    }

    fn judge(&self, known: &Holdings, listing: &Listing, found: &Observed) -> Option<Orphan> {
        let claim = ownership::claim(&found.raw);
        let marks = || found.marks.iter().filter_map(|mark| known.marks.get(mark));
        let ours = marks().next().is_some() || claim.as_ref().is_some_and(|claim| self.verifies(claim));
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
            (true, _, None) if marks().any(|open| *open) => Verdict::TooYoung,
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
