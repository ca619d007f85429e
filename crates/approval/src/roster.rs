//! The signed roster: who may approve, and under which policy.

use std::collections::BTreeSet;

use exokit_model::approval::{ApproverKey, Person, Roster};
use exokit_model::cost::CostPolicy;
use exokit_model::ids::{KeyId, PersonId};
use jiff::Timestamp;

use crate::jws::{JwsError, ROSTER, Unverified, sign};
use crate::keys::{PublicKey, SecretKey};

/// Why a roster or a change to it is refused.
#[derive(Debug, thiserror::Error)]
pub enum RosterRefusal {
    /// It is not signed by the pinned root key, or not a roster at all.
    #[error("this is not a roster signed by the root key: {0}")]
    Signature(#[from] JwsError),
    /// It is older than the one in force.
    #[error("version {found} of the roster is older than version {current}, which is in force")]
    Older {
        /// Its version.
        found: u64,
        /// The version in force.
        current: u64,
    },
    /// There are two rosters of one version.
    #[error("this is another roster with version {0}, which is in force")]
    Conflict(u64),
    /// A person is listed twice.
    #[error("{0} is listed twice")]
    DuplicatePerson(PersonId),
    /// A key is listed twice; with two persons, one human could vote twice.
    #[error("key {0} is listed twice")]
    DuplicateKey(KeyId),
    /// A key is not valid, or its id is not derived from it.
    #[error("key {key} of {person} is not a valid Ed25519 key with that id")]
    InvalidKey {
        /// Whose.
        person: PersonId,
        /// Which.
        key: KeyId,
    },
    /// An agent has a key.
    #[error("{0} is an agent: agents request, they do not approve, so they have no keys")]
    AgentKey(PersonId),
    /// An agent acts for nobody, or for another agent.
    #[error("{agent} acts for {principal}, who is not a person of the roster")]
    AgentPrincipal {
        /// The agent.
        agent: PersonId,
        /// For whom it says it acts.
        principal: PersonId,
    },
    /// The root key is also an approval key.
    #[error("{0} uses the root key, which must sign rosters and nothing else")]
    RootKey(PersonId),
    /// The bands or caps make no sense.
    #[error("the policy is contradictory: {0}")]
    Policy(&'static str),
    /// The person of a change does not exist.
    #[error("{0} is not in the roster")]
    UnknownPerson(PersonId),
    /// The key of a change does not exist.
    #[error("key {0} is not in the roster")]
    UnknownKey(KeyId),
}

impl RosterRefusal {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            RosterRefusal::Signature(_) => "sign the roster with the root key whose public half is pinned",
            RosterRefusal::Older { .. } => "install a newer roster; an older one never comes back",
            RosterRefusal::Conflict { .. } => {
                "make the change again on top of the roster in force, so that its version grows"
            }
            RosterRefusal::RootKey(_) => "make a key of their own for each person",
            RosterRefusal::UnknownPerson(_) | RosterRefusal::UnknownKey(_) => {
                "list the roster with `exokit approver list`"
            }
            _ => "correct the roster and sign it again",
        }
    }
}

/// A roster as a compact JWS by the root key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRoster(String);

impl SignedRoster {
    /// Checks a roster and signs it with the root key.
    ///
    /// # Errors
    /// When the roster contradicts itself or uses the root key.
    pub fn sign(root: &SecretKey, roster: &Roster) -> Result<Self, RosterRefusal> {
        check(roster)?;
        check_root(&root.public(), roster)?;
        Ok(Self(sign(ROSTER, root, roster)?))
    }

    /// Takes the text form as it came; nothing is checked yet.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.trim_end().to_owned())
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks the signature with the pinned root key, then the roster.
    ///
    /// # Errors
    /// See [`RosterRefusal`].
    pub fn verify(&self, root: &PublicKey) -> Result<Roster, RosterRefusal> {
        let roster: Roster = Unverified::parse(ROSTER, &self.0)?.verify(root)?;
        check(&roster)?;
        check_root(root, &roster)?;
        Ok(roster)
    }
}

/// Decides whether a verified roster comes into force after `current`, the
/// newest one ever accepted. The one in force may be presented again.
///
/// # Errors
/// When it is older, or has the same version as `current` with other content.
pub fn follows(current: Option<&Roster>, roster: &Roster) -> Result<(), RosterRefusal> {
    match current {
        Some(current) if roster.version < current.version => {
            Err(RosterRefusal::Older { found: roster.version, current: current.version })
        }
        Some(current) if roster.version == current.version && roster != current => {
            Err(RosterRefusal::Conflict(roster.version))
        }
        _ => Ok(()),
    }
}

/// Checks that a roster does not contradict itself: persons and keys are
/// listed once, keys are valid, agents act for a listed human and have no
/// keys, and the bands of the policy are in order.
///
/// # Errors
/// The first contradiction.
pub fn check(roster: &Roster) -> Result<(), RosterRefusal> {
    let mut persons = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for person in &roster.persons {
        if !persons.insert(&person.id) {
            return Err(RosterRefusal::DuplicatePerson(person.id.clone()));
        }
        for key in &person.keys {
            let valid = PublicKey::parse(&key.public).is_ok_and(|public| public.id() == key.id);
            if !valid {
                return Err(RosterRefusal::InvalidKey { person: person.id.clone(), key: key.id.clone() });
            }
            if !keys.insert(&key.public) {
                return Err(RosterRefusal::DuplicateKey(key.id.clone()));
            }
        }
        if let Some(principal) = &person.agent_of {
            check_agent(roster, person, principal)?;
        }
    }
    check_policy(&roster.policy)
}

fn check_agent(roster: &Roster, agent: &Person, principal: &PersonId) -> Result<(), RosterRefusal> {
    if !agent.keys.is_empty() {
        return Err(RosterRefusal::AgentKey(agent.id.clone()));
    }
    let human = roster.person(principal).is_some_and(|person| person.agent_of.is_none());
    match human {
        true => Ok(()),
        false => Err(RosterRefusal::AgentPrincipal { agent: agent.id.clone(), principal: principal.clone() }),
    }
}

fn check_policy(policy: &CostPolicy) -> Result<(), RosterRefusal> {
    let caps = [policy.request_hourly_max, policy.requester_daily_max, policy.team_daily_max];
    if policy.low_max > policy.medium_max || policy.medium_max > policy.high_max {
        return Err(RosterRefusal::Policy("the bands are not in order"));
    }
    let negative =
        policy.low_max.is_sign_negative() || caps.iter().flatten().any(|cap| cap.is_sign_negative());
    match (negative, policy.life_seconds_max) {
        (true, _) => Err(RosterRefusal::Policy("a limit is negative")),
        (_, Some(0)) => Err(RosterRefusal::Policy("nothing can live for 0 seconds")),
        _ => Ok(()),
    }
}

fn check_root(root: &PublicKey, roster: &Roster) -> Result<(), RosterRefusal> {
    let root = root.id();
    let user = roster.persons.iter().find(|person| person.keys.iter().any(|key| key.id == root));
    match user {
        Some(person) => Err(RosterRefusal::RootKey(person.id.clone())),
        None => Ok(()),
    }
}

/// The next version of a roster, changed by `change`.
fn next(
    roster: &Roster,
    now: Timestamp,
    change: impl FnOnce(&mut Roster) -> Result<(), RosterRefusal>,
) -> Result<Roster, RosterRefusal> {
    let mut next = roster.clone();
    next.version += 1;
    next.issued_at = now;
    change(&mut next)?;
    check(&next)?;
    Ok(next)
}

/// The next roster, with one more person.
///
/// # Errors
/// When the person or one of the keys is listed already, or is not valid.
pub fn add_person(roster: &Roster, person: Person, now: Timestamp) -> Result<Roster, RosterRefusal> {
    next(roster, now, |next| {
        next.persons.push(person);
        Ok(())
    })
}

/// The next roster, with one more key of a person.
///
/// # Errors
/// When there is no such person, the person is an agent, or the key is listed
/// already.
pub fn add_key(
    roster: &Roster,
    person: &PersonId,
    key: &PublicKey,
    now: Timestamp,
) -> Result<Roster, RosterRefusal> {
    next(roster, now, |next| {
        let found = next.persons.iter_mut().find(|found| found.id == *person);
        let found = found.ok_or_else(|| RosterRefusal::UnknownPerson(person.clone()))?;
        found.keys.push(ApproverKey { id: key.id(), public: key.to_text(), revoked_at: None });
        Ok(())
    })
}

/// The next roster, in which a key no longer counts. It stays listed, so that
/// it can never be given to somebody else.
///
/// # Errors
/// When there is no such key.
pub fn revoke_key(roster: &Roster, key: &KeyId, now: Timestamp) -> Result<Roster, RosterRefusal> {
    next(roster, now, |next| {
        let keys = next.persons.iter_mut().flat_map(|person| &mut person.keys);
        let found = keys.into_iter().find(|found| found.id == *key);
        let found = found.ok_or_else(|| RosterRefusal::UnknownKey(key.clone()))?;
        found.revoked_at.get_or_insert(now);
        Ok(())
    })
}

/// The next roster, with other bands and caps.
///
/// # Errors
/// When the policy contradicts itself.
pub fn change_policy(roster: &Roster, policy: CostPolicy, now: Timestamp) -> Result<Roster, RosterRefusal> {
    next(roster, now, |next| {
        next.policy = policy;
        Ok(())
    })
}
