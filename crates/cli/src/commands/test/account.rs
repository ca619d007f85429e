//! The account in which tests run, and the people who approve their plans.

use exokit_approval::keys::{PublicKey, SecretKey};
use exokit_approval::roster::SignedRoster;
use exokit_approval::verify::have_two_roles;
use exokit_model::approval::{ApproverKey, Decision, Person, Roster};
use exokit_model::cost::CostPolicy;
use exokit_model::ids::PersonId;
use exokit_wire::reply::ShowPlanReply;
use exokit_wire::request::{ApproveRequest, DenyRequest, RosterRequest};
use zeroize::Zeroizing;

use crate::args::{CloudName, TestArgs};
use crate::connection::{Connection, RecordedPlan};
use crate::error::{CliError, Doing as _};
use crate::keys;
use crate::session::Session;
use crate::settings::{Settings, Workspace};
use crate::state_dir::{StateDir, read_optional, write_new};
use crate::vote::{Voter, check_plan};

/// The people of an account that exists for the test only, with their roles:
/// the first asks, the others approve.
const PEOPLE: [(&str, &str); 3] = [("tester", "developer"), ("reviewer", "platform"), ("auditor", "finance")];

/// Whether the test makes an account of its own: on the embedded cloud, where
/// no approver is named and no roster exists.
pub(super) fn is_own(settings: &Settings, args: &TestArgs) -> Result<bool, CliError> {
    match &settings.workspace {
        Ok(workspace) if workspace.cloud == CloudName::Sim && settings.agent.is_none() => {
            Ok(args.approvers.is_empty() && keys::pinned_root(&workspace.state)?.is_none())
        }
        _ => Ok(false),
    }
}

/// The settings for an account of the test's own in a state directory, which
/// is made unless it exists.
pub(super) async fn own(settings: &Settings, state: StateDir) -> Result<Settings, CliError> {
    // Written last: an account without it is incomplete and has made nothing.
    let passphrase_file = state.root().join("passphrase");
    let stored = read_optional(&passphrase_file)?.map(Zeroizing::new);
    let passphrase = match &stored {
        Some(passphrase) => passphrase.clone(),
        None => Zeroizing::new(data_encoding::HEXLOWER.encode(&keys::random::<16>()?)),
    };
    let mut own = settings.clone();
    own.person = person(PEOPLE[0].0)?;
    own.passphrase = Some(passphrase.clone());
    own.root_secret = None;
    own.workspace = Ok(Workspace { state: state.clone(), ..settings.workspace()?.clone() });
    if stored.is_none() {
        remove(&state)?;
        install_roster(&own).await?;
        write_new(&passphrase_file, passphrase.as_bytes())?;
    }
    Ok(own)
}

/// Removes the state directory of an account of the test's own.
pub(super) fn remove(state: &StateDir) -> Result<(), CliError> {
    match std::fs::remove_dir_all(state.root()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.doing("removing", state.root().display()),
    }
}

fn person(name: &str) -> Result<PersonId, CliError> {
    name.parse().doing("reading", "a person of the test")
}

/// Makes keys and a roster under a root key that signs this roster only.
async fn install_roster(own: &Settings) -> Result<(), CliError> {
    let state = &own.workspace()?.state;
    let root = SecretKey::from_random(keys::random()?);
    let session = Session::open(own).await?;
    let mut persons = Vec::new();
    for (name, role) in PEOPLE {
        let public = keys::create(own, &state.private_key(name), name)?;
        let key = ApproverKey { id: public.id(), public: public.to_text(), revoked_at: None };
        persons.push(Person {
            id: person(name)?,
            roles: vec![role.parse().doing("reading", "a role of the test")?],
            team: None,
            agent_of: None,
            keys: vec![key],
        });
    }
    let issued_at = session.engine.parts().clock.now();
    let roster = Roster { version: 1, issued_at, persons, policy: CostPolicy::default() };
    let signed = SignedRoster::sign(&root, &roster).doing("signing", "the roster")?;
    // The engine reads the pinned key when it opens.
    drop(session);
    write_new(&state.root_public(), format!("{}\n", root.public().to_text()).as_bytes())?;
    let session = Session::open(own).await?;
    session.engine.install_roster(&signed).await.doing("installing", "the roster")?;
    Ok(())
}

/// The people who approve the plans of tests.
pub(super) struct Approvers {
    root: PublicKey,
    voters: Vec<Voter>,
}

impl Approvers {
    /// Opens the keys, and checks that they suffice to remove whatever a test
    /// makes.
    pub(super) async fn open(connection: &Connection<'_>, args: &TestArgs) -> Result<Self, CliError> {
        let settings = connection.settings;
        let root = keys::root(settings, args.root.as_ref())?.ok_or_else(|| {
            let why = "no root key is pinned here";
            let hint = "give the public half with --root FILE, or run `exokit approver init` first";
            CliError::unusable("no-root", "checking", "the roster", why, hint)
        })?;
        let reply = connection.call(&RosterRequest {}).await?;
        let roster = connection.signed_roster(&reply, &root)?;
        let mut voters = Vec::new();
        for named in &args.approvers {
            let file = match (&named.file, &settings.workspace) {
                (Some(file), _) => file.clone(),
                (None, Ok(workspace)) => workspace.state.private_key(named.person.as_str()),
                (None, Err(_)) => {
                    let (why, hint) = ("the key has no file", "write --approver PERSON=FILE");
                    return Err(CliError::unusable("key", "finding", &named.person, why, hint));
                }
            };
            voters.push(Voter::open(settings, &file, &named.person, &roster)?);
        }
        check_quorum(settings, &roster, &voters)?;
        Ok(Self { root, voters })
    }

    /// The people of an account of the test's own.
    pub(super) fn own_args(args: TestArgs) -> Result<TestArgs, CliError> {
        let mut approvers = Vec::new();
        for (name, _) in &PEOPLE[1..] {
            approvers.push(crate::args::ApproverKey { person: person(name)?, file: None });
        }
        Ok(TestArgs { approvers, root: None, ..args })
    }

    /// Approves a recorded plan, and says who did.
    pub(super) async fn approve(
        &self,
        connection: &Connection<'_>,
        found: &RecordedPlan,
    ) -> Result<Vec<PersonId>, CliError> {
        let RecordedPlan { plan, reply } = found;
        let ShowPlanReply { operation, still, roster, .. } = reply;
        let roster = connection.signed_roster(roster, &self.root)?;
        check_plan(connection, plan, &roster)?;
        let (mut still, mut approved) = (still.clone(), Vec::new());
        for voter in &self.voters {
            if still.is_none() {
                break;
            }
            let approval_token = voter.token(plan, &operation.digest, Decision::Approve)?;
            still = connection.call(&ApproveRequest { approval_token }).await?.still;
            approved.push(voter.person.clone());
        }
        match still {
            None => Ok(approved),
            Some(why) => {
                let hint = "name more approvers with --approver";
                Err(CliError::new("not-approved", "approving", &plan.plan_id, why, hint))
            }
        }
    }

    /// Denies a plan, so that it never runs.
    pub(super) async fn deny(
        &self,
        connection: &Connection<'_>,
        found: &RecordedPlan,
    ) -> Result<(), CliError> {
        let Some(voter) = self.voters.first() else { return Ok(()) };
        let digest = &found.reply.operation.digest;
        let approval_token = voter.token(&found.plan, digest, Decision::Deny)?;
        connection.call(&DenyRequest { approval_token }).await?;
        Ok(())
    }
}

/// Refuses approvers who could let an environment be made and not removed: a
/// teardown that destroys data takes two persons of two roles.
fn check_quorum(settings: &Settings, roster: &Roster, voters: &[Voter]) -> Result<(), CliError> {
    let refuse = |why: String| {
        let hint = "name two people of two roles with --approver PERSON[=FILE]; neither is the requester";
        Err(CliError::unusable("approvers", "checking", "the approvers", why, hint))
    };
    let mut known = Vec::new();
    for voter in voters {
        match roster.person(&voter.person) {
            None => return refuse(format!("{} is not in the roster", voter.person)),
            Some(_) if voter.person == settings.person => {
                return refuse(format!("{} asks for the environments and cannot approve them", voter.person));
            }
            Some(person) => known.push(person),
        }
    }
    let suffice = |one: &Person, other: &Person| one.id != other.id && have_two_roles(one, other);
    match known.iter().any(|one| known.iter().any(|other| suffice(one, other))) {
        true => Ok(()),
        false => refuse("a teardown takes two people of two roles".to_owned()),
    }
}
