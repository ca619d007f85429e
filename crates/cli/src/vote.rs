//! Votes that are signed on this host: with whose key, and after which checks.

use std::path::Path;

use exokit_approval::keys::SecretKey;
use exokit_approval::refusal::Refusal;
use exokit_approval::token::sign_vote;
use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_core::cost::estimate;
use exokit_core::start::check_policy;
use exokit_model::approval::{ApprovalClaims, Decision, Roster, VOTE_SECONDS_MAX};
use exokit_model::canonical::Digest;
use exokit_model::ids::PersonId;
use exokit_model::plan::{Action, Plan};
use exokit_templates::prices;
use jiff::SignedDuration;
use rust_decimal::Decimal;

use crate::connection::Connection;
use crate::error::{CliError, Doing as _};
use crate::keys;
use crate::settings::Settings;

/// A person whose private key is open. It has no debug form.
pub(crate) struct Voter {
    pub(crate) person: PersonId,
    key: SecretKey,
}

impl Voter {
    /// Opens a private key. The person is the one to whom the roster gives it;
    /// `person` where it gives it to none.
    pub(crate) fn open(
        settings: &Settings,
        path: &Path,
        person: &PersonId,
        roster: &Roster,
    ) -> Result<Self, CliError> {
        let key = keys::open(settings, path, person.as_str())?;
        let person = owner(roster, &key).unwrap_or_else(|| person.clone());
        Ok(Self { person, key })
    }

    /// Signs a vote about a plan.
    pub(crate) fn token(&self, plan: &Plan, digest: &Digest, vote: Decision) -> Result<String, CliError> {
        let now = SystemClock.now();
        let claims = ApprovalClaims {
            plan_digest: *digest,
            decision: vote,
            action: plan.action,
            level: plan.level,
            environment: plan.environment.clone(),
            person: self.person.clone(),
            key_id: self.key.public().id(),
            issued_at: now,
            expires_at: now + SignedDuration::from_secs(VOTE_SECONDS_MAX),
            nonce: data_encoding::BASE64URL_NOPAD.encode(&keys::random::<16>()?),
        };
        sign_vote(&self.key, &claims).map_err(Refusal::from).doing("signing", &plan.plan_id)
    }
}

/// The person to whom the roster says that a key belongs.
fn owner(roster: &Roster, key: &SecretKey) -> Option<PersonId> {
    let id = key.public().id();
    let owner = roster.persons.iter().find(|person| person.keys.iter().any(|key| key.id == id));
    owner.map(|person| person.id.clone())
}

/// Computes level, life and price again, from the text of the plan. None can be
/// lower than what the rules and the known prices give.
pub(crate) fn check_plan(connection: &Connection<'_>, plan: &Plan, roster: &Roster) -> Result<(), CliError> {
    check_policy(plan, roster).doing("holding against the policy", &plan.plan_id)?;
    let known = prices::embedded().doing("reading", "the prices")?;
    let least = match (&plan.spec, plan.action) {
        (Some(spec), Action::Provision) => {
            let estimate = estimate(spec, &known);
            // An assumed price can be too high.
            let assumed: Decimal = estimate.unknown.iter().map(|unknown| unknown.assumed_hourly).sum();
            estimate.hourly - assumed
        }
        _ => return Ok(()),
    };
    match plan.cost.hourly >= least {
        true => Ok(()),
        false => {
            let says = plan.cost.hourly;
            let why = format!("it says {says} per hour, and the known prices give {least}");
            Err(connection.contradiction(plan.plan_id.as_str(), &why))
        }
    }
}
