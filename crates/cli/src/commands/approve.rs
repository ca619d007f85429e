//! `exokit approve` and `exokit deny`: one vote.

use exokit_approval::keys::SecretKey;
use exokit_approval::refusal::Refusal;
use exokit_approval::token::{inspect, sign_vote};
use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_engine::vote::Voted;
use exokit_ledger::Operations;
use exokit_model::approval::{ApprovalClaims, Decision, Roster, VOTE_SECONDS_MAX};
use exokit_model::canonical::Digest;
use exokit_model::ids::{EnvironmentName, OperationId, PersonId, PlanId};
use exokit_model::plan::Plan;
use exokit_text::decision;
use exokit_wire::reply::VoteReply;
use jiff::SignedDuration;

use crate::args::VoteArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::output::say;
use crate::session::{Reach, Session};
use crate::settings::Settings;
use crate::state_dir::read;

/// Fewest digits by which a digest may be given.
const DIGEST_DIGITS_MIN: usize = 8;

pub(crate) async fn run(settings: &Settings, args: &VoteArgs, vote: Decision) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let operation = find(&session, &args.target).await?;
    // The digest is computed here, from the bytes that the ledger holds.
    let state = session.engine.operation(&operation).await.doing("reading", &args.target)?;
    let roster = session.engine.roster().await.doing("reading", "the roster")?;
    let token = match &args.token {
        Some(path) => read(path)?.trim().to_owned(),
        None => sign(settings, args, (&state.plan, &state.digest), &roster, vote)?,
    };
    if args.print_token {
        settings.output.raw(format!("{token}\n").as_bytes())?;
        return Ok(Exit::Done);
    }
    check_decision(&token, vote).doing("reading", "the token")?;
    let voted = session.engine.vote(&operation, &token).await;
    let verb = if vote == Decision::Approve { "approving" } else { "denying" };
    let voted = voted.doing(verb, &state.plan.plan_id)?;
    let (person, decision, still) = match voted {
        Voted::Counted { person, still } => (person, Decision::Approve, Some(still)),
        Voted::Enough { person } => (person, Decision::Approve, None),
        Voted::Denied { person } => (person, Decision::Deny, None),
    };
    let enough = decision == Decision::Approve && still.is_none();
    let (plan_id, environment) = (state.plan.plan_id.clone(), state.plan.environment.clone());
    let digest = state.digest;
    tell(
        settings,
        &VoteReply { plan_id, environment, digest, person, decision, enough, still: still.map(Into::into) },
    )
}

/// A token that says the other thing is not sent by mistake.
pub(crate) fn check_decision(token: &str, vote: Decision) -> Result<(), Refusal> {
    match inspect(token)?.claims.decision == vote {
        true => Ok(()),
        false => Err(Refusal::Malformed { why: "it says the opposite of this command".to_owned() }),
    }
}

/// Shows the page, asks, and signs.
pub(crate) fn sign(
    settings: &Settings,
    args: &VoteArgs,
    (plan, digest): (&Plan, &Digest),
    roster: &Roster,
    vote: Decision,
) -> Result<String, CliError> {
    let path = args.key.clone().or_else(|| settings.key.clone());
    let path = match (path, &settings.place) {
        (Some(path), _) => path,
        (None, Ok(place)) => place.state.private_key(settings.person.as_str()),
        (None, Err(_)) => {
            let (why, hint) = ("no key is named", "name its file with --key, or in EXOKIT_KEY");
            return Err(CliError::new("key", "finding", "your key", why, hint).exit(Exit::Usage));
        }
    };
    let key = keys::open(settings, &path, settings.person.as_str())?;
    let person = owner(roster, &key).unwrap_or_else(|| settings.person.clone());
    say(&decision::page(plan, digest, roster, (&person, vote)));
    if !args.yes {
        confirm(settings, &person, vote)?;
    }
    let now = SystemClock.now();
    let claims = ApprovalClaims {
        plan_digest: *digest,
        decision: vote,
        action: plan.action,
        level: plan.level,
        environment: plan.environment.clone(),
        person,
        key_id: key.public().id(),
        issued_at: now,
        expires_at: now + SignedDuration::from_secs(VOTE_SECONDS_MAX),
        nonce: data_encoding::BASE64URL_NOPAD.encode(&keys::random::<16>()?),
    };
    sign_vote(&key, &claims).map_err(Refusal::from).doing("signing", &plan.plan_id)
}

/// The person to whom the roster says that a key belongs.
fn owner(roster: &Roster, key: &SecretKey) -> Option<PersonId> {
    let id = key.public().id();
    let owner = roster.persons.iter().find(|person| person.keys.iter().any(|key| key.id == id));
    owner.map(|person| person.id.clone())
}

fn confirm(settings: &Settings, person: &PersonId, vote: Decision) -> Result<(), CliError> {
    let verb = if vote == Decision::Approve { "approve" } else { "deny" };
    let refuse = |why: &str, hint: &str| {
        Err(CliError::new("not-confirmed", "asking", person, why, hint).exit(Exit::Usage))
    };
    if !settings.output.asks {
        return refuse("there is no terminal to ask at", "add --yes when you have read the page above");
    }
    say(&format!("Type yes to {verb} as {person}: "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).doing("reading", "the answer")?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => refuse("the answer was not yes", "nothing was signed"),
    }
}

/// Prints what the vote did.
pub(crate) fn tell(settings: &Settings, voted: &VoteReply) -> Result<Exit, CliError> {
    let VoteReply { person, plan_id, environment, .. } = voted;
    let value = serde_json::to_value(voted).unwrap_or_default();
    settings.output.data(&value, || match (voted.decision, &voted.still) {
        (Decision::Approve, Some(still)) => format!("{person} approved {plan_id}; {still}\n"),
        (Decision::Approve, None) => {
            format!("{person} approved {plan_id}; it can run: exokit watch {environment}\n")
        }
        (Decision::Deny, _) => format!("{person} denied {plan_id}; it will never run\n"),
    })?;
    Ok(Exit::Done)
}

/// Finds the plan that is meant: by id, by digest, or as the newest of an
/// environment that waits.
async fn find(session: &Session, target: &str) -> Result<OperationId, CliError> {
    let missing = |why: &str| {
        CliError::new("no-plan", "finding", target, why, "`exokit show ENV` names the plans that wait")
    };
    let by_id =
        target.parse::<PlanId>().map(|plan| plan.operation()).or_else(|_| target.parse::<OperationId>());
    if let Ok(id) = by_id {
        let found = session.operations(Operations::Named(id)).await?.pop();
        let found = found.ok_or_else(|| missing("the ledger has no such plan"))?;
        return Ok(found.operation);
    }
    let digits = target.len() >= DIGEST_DIGITS_MIN && target.bytes().all(|b| b.is_ascii_hexdigit());
    if digits {
        let prefix = target.to_ascii_lowercase();
        let mut found = session.operations(Operations::Digest(prefix)).await?.into_iter();
        match (found.next(), found.next()) {
            (Some(one), None) => return Ok(one.operation),
            (Some(_), Some(_)) => return Err(missing("more than one plan has a digest that begins so")),
            (None, _) => {}
        }
    }
    let name: EnvironmentName = target.parse().doing("finding the plan", target)?;
    let Some(story) = session.story(&name).await? else {
        return Err(missing("there is no such plan or environment"));
    };
    let (all, now) = (&story.operations, session.engine.parts().clock.now());
    let waiting = all.iter().rev().find(|operation| operation.can_start(all, now));
    let waiting = waiting.ok_or_else(|| missing("no plan of this environment waits for approval"))?;
    Ok(waiting.operation.clone())
}
