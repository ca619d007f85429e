//! `exokit approver`: the roster and its keys.

use std::path::PathBuf;

use exokit_approval::keys::PublicKey;
use exokit_approval::roster::{self, RosterRefusal, SignedRoster};
use exokit_model::approval::{ApproverKey, Person, Roster};
use exokit_model::cost::CostPolicy;
use exokit_text::format::{amount, duration, moment, table};
use serde_json::json;

use crate::args::{AddArgs, ApproverCommand, CreateKeyArgs, InitArgs, PolicyArgs, RevokeArgs};
use crate::connection::Connection;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::session::Session;
use crate::settings::Settings;
use crate::state_dir::write_new;

pub(crate) async fn run(settings: &Settings, command: ApproverCommand) -> Result<Exit, CliError> {
    match command {
        ApproverCommand::Init(args) => init(settings, &args).await,
        ApproverCommand::CreateKey(args) => create_key(settings, &args),
        ApproverCommand::Add(args) => add(settings, &args).await,
        ApproverCommand::Revoke(args) => revoke(settings, &args).await,
        ApproverCommand::List => show(settings, &Connection::open(settings, None).await?.roster().await?),
        ApproverCommand::Policy(args) => policy(settings, &args).await,
    }
}

async fn init(settings: &Settings, args: &InitArgs) -> Result<Exit, CliError> {
    let workspace = settings.workspace()?;
    let (state, pin) = (&workspace.state, workspace.state.root_public());
    if keys::pinned_root(state)?.is_some() {
        let hint = "`exokit approver add` adds persons; a new root key needs a new state directory";
        return Err(CliError::new("exists", "pinning", pin.display(), "a root key is pinned already", hint));
    }
    let path = keys::root_key(args.root_key.as_ref(), state);
    state.create()?;
    let public = keys::create(settings, &path, "the root")?;
    let root = keys::open(settings, &path, "the root")?;
    write_new(&pin, format!("{}\n", public.to_text()).as_bytes())?;
    let session = Session::open(settings).await?;
    let first = Roster {
        version: 1,
        issued_at: session.engine.parts().clock.now(),
        persons: Vec::new(),
        policy: CostPolicy::default(),
    };
    let signed = SignedRoster::sign(&root, &first).doing("signing", "the roster")?;
    session.engine.install_roster(&signed).await.doing("installing", "the roster")?;
    let value = json!({ "root_key_id": public.id(), "public": public.to_text(), "file": path, "version": 1 });
    settings.output.data(&value, || {
        format!(
            "Root key {} made and pinned; the private half is in {}.\nKeep that file elsewhere. Next: exokit approver create-key PERSON\n",
            public.id(),
            path.display()
        )
    })
}

fn create_key(settings: &Settings, args: &CreateKeyArgs) -> Result<Exit, CliError> {
    let path = match &args.out {
        Some(path) => path.clone(),
        None => settings.workspace()?.state.private_key(args.person.as_str()),
    };
    let public = keys::create(settings, &path, args.person.as_str())?;
    let value = json!({
        "person": args.person, "key_id": public.id(), "public": public.to_text(), "file": path,
    });
    settings.output.data(&value, || {
        format!(
            "Key {} of {} made; the private half is in {}.\nNext: exokit approver add {} --role ROLE --public {}\n",
            public.id(),
            args.person,
            path.display(),
            args.person,
            public.to_text()
        )
    })
}

async fn add(settings: &Settings, args: &AddArgs) -> Result<Exit, CliError> {
    let public = match &args.public {
        Some(text) => Some(PublicKey::parse(text).doing("reading", "the public key")?),
        None => own_public(settings, args)?,
    };
    change(settings, args.root_key.as_ref(), |current, now| {
        if current.person(&args.person).is_some() {
            let Some(public) = &public else {
                return Err(RosterRefusal::DuplicatePerson(args.person.clone()));
            };
            return roster::add_key(current, &args.person, public, now);
        }
        let listed =
            |public: &PublicKey| ApproverKey { id: public.id(), public: public.to_text(), revoked_at: None };
        let person = Person {
            id: args.person.clone(),
            roles: args.roles.clone(),
            team: args.team.clone(),
            agent_of: args.agent_of.clone(),
            keys: public.iter().map(listed).collect(),
        };
        roster::add_person(current, person, now)
    })
    .await
}

/// Without `--public` the public half of the person's key in the state
/// directory is taken, if there is one; agents have none.
fn own_public(settings: &Settings, args: &AddArgs) -> Result<Option<PublicKey>, CliError> {
    let path = settings.workspace()?.state.private_key(args.person.as_str());
    match args.agent_of.is_none() && path.exists() {
        true => Ok(Some(keys::open(settings, &path, args.person.as_str())?.public())),
        false => Ok(None),
    }
}

async fn revoke(settings: &Settings, args: &RevokeArgs) -> Result<Exit, CliError> {
    change(settings, args.root_key.as_ref(), |current, now| roster::revoke_key(current, &args.key, now)).await
}

/// Whether the policy is to be changed, not shown.
pub(crate) fn changes(args: &PolicyArgs) -> bool {
    let amounts = [
        args.low_max,
        args.medium_max,
        args.high_max,
        args.request_max,
        args.requester_daily_max,
        args.team_daily_max,
    ];
    amounts.iter().any(Option::is_some) || args.life_max.is_some()
}

async fn policy(settings: &Settings, args: &PolicyArgs) -> Result<Exit, CliError> {
    if changes(args) {
        return change(settings, args.root_key.as_ref(), |current, now| {
            let old = &current.policy;
            let new = CostPolicy {
                low_max: args.low_max.unwrap_or(old.low_max),
                medium_max: args.medium_max.unwrap_or(old.medium_max),
                high_max: args.high_max.unwrap_or(old.high_max),
                request_hourly_max: args.request_max.or(old.request_hourly_max),
                requester_daily_max: args.requester_daily_max.or(old.requester_daily_max),
                team_daily_max: args.team_daily_max.or(old.team_daily_max),
                life_seconds_max: args.life_max.or(old.life_seconds_max),
            };
            roster::change_policy(current, new, now)
        })
        .await;
    }
    let roster = Connection::open(settings, None).await?.roster().await?;
    show_policy(settings, &roster.policy)
}

fn show_policy(settings: &Settings, policy: &CostPolicy) -> Result<Exit, CliError> {
    settings.output.data(policy, || {
        let cap = |cap: Option<rust_decimal::Decimal>| cap.map_or_else(|| "none".to_owned(), amount);
        format!(
            "Bands per hour: LOW to {}, MEDIUM to {}, HIGH to {}, EXTREME above\nCaps per hour: request {}, requester and day {}, team and day {}\nLongest life: {}\n",
            amount(policy.low_max),
            amount(policy.medium_max),
            amount(policy.high_max),
            cap(policy.request_hourly_max),
            cap(policy.requester_daily_max),
            cap(policy.team_daily_max),
            policy.life_seconds_max.map_or_else(|| "no limit".to_owned(), duration)
        )
    })
}

/// Makes the next version of the roster, signs and installs it.
async fn change(
    settings: &Settings,
    root_key: Option<&PathBuf>,
    change: impl FnOnce(&Roster, jiff::Timestamp) -> Result<Roster, RosterRefusal>,
) -> Result<Exit, CliError> {
    let session = Session::open(settings).await?;
    if session.engine.parts().root.is_none() {
        let hint = "run `exokit approver init` first";
        return Err(CliError::new("no-root", "changing", "the roster", "no root key is pinned here", hint));
    }
    let current = session.engine.roster().await.doing("reading", "the roster")?;
    let next = change(&current, session.engine.parts().clock.now()).doing("changing", "the roster")?;
    let root = keys::open(settings, &keys::root_key(root_key, &session.state), "the root")?;
    let signed = SignedRoster::sign(&root, &next).doing("signing", "the roster")?;
    let installed = session.engine.install_roster(&signed).await.doing("installing", "the roster")?;
    settings.output.note(&format!("Version {} of the roster is in force.", installed.version));
    show(settings, &installed)
}

fn show(settings: &Settings, roster: &Roster) -> Result<Exit, CliError> {
    settings.output.data(roster, || {
        if roster.persons.is_empty() {
            return "Nobody can approve yet. `exokit approver add` adds a person.\n".to_owned();
        }
        let rows = roster.persons.iter().flat_map(rows);
        table(["PERSON", "ROLES", "TEAM", "ACTS FOR", "KEY", "STATE"], rows)
    })
}

fn rows(person: &Person) -> Vec<[String; 6]> {
    let roles: Vec<&str> = person.roles.iter().map(|role| role.as_str()).collect();
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let row = |key: Option<&ApproverKey>| {
        let state = match key.map(|key| key.revoked_at) {
            Some(None) => "valid".to_owned(),
            Some(Some(at)) => format!("revoked {} UTC", moment(at)),
            None => "-".to_owned(),
        };
        [
            person.id.to_string(),
            roles.join(", "),
            text(person.team.as_ref().map(ToString::to_string)),
            text(person.agent_of.as_ref().map(ToString::to_string)),
            text(key.map(|key| key.id.to_string())),
            state,
        ]
    };
    match person.keys.is_empty() {
        true => vec![row(None)],
        false => person.keys.iter().map(|key| row(Some(key))).collect(),
    }
}
