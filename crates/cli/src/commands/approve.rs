//! `exokit approve` and `exokit deny`: one vote. Everything that is shown and
//! signed is computed here, from the text of the plan and from the roster that
//! the pinned root key has signed.

use std::path::Path;

use exokit_approval::keys::PublicKey;
use exokit_approval::refusal::Refusal;
use exokit_approval::token::inspect;
use exokit_model::approval::{Decision, Roster};
use exokit_model::canonical::Digest;
use exokit_model::ids::{OperationId, PersonId, PlanId};
use exokit_model::plan::Plan;
use exokit_text::decision;
use exokit_wire::reply::VoteReply;
use exokit_wire::request::{ApproveRequest, DenyRequest};

use crate::args::VoteArgs;
use crate::connection::{Connection, RecordedPlan};
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::output::{Output, say};
use crate::settings::Settings;
use crate::state_dir::read;
use crate::vote::{Voter, check_plan};

pub(crate) async fn run(
    connection: &Connection<'_>,
    args: &VoteArgs,
    decision: Decision,
) -> Result<Exit, CliError> {
    let found = connection.recorded(&args.target).await?;
    check_target(connection, &args.target, &found)?;
    let token = match &args.token {
        Some(path) => token_of(args, path, &found)?,
        None => sign_here(connection, args, &found, decision)?,
    };
    let output = &connection.settings.output;
    if args.print_token {
        output.raw(format!("{token}\n").as_bytes())?;
        return Ok(Exit::Done);
    }
    check_decision(&token, decision).doing("reading", "the token")?;
    let approval_token = token;
    let voted = match decision {
        Decision::Approve => connection.call(&ApproveRequest { approval_token }).await?,
        Decision::Deny => connection.call(&DenyRequest { approval_token }).await?,
    };
    show(output, &voted)
}

/// A token that was signed elsewhere, which must be about the plan that is
/// named.
fn token_of(args: &VoteArgs, path: &Path, found: &RecordedPlan) -> Result<String, CliError> {
    let token = read(path)?.trim().to_owned();
    let signed = inspect(&token).doing("reading the token", path.display())?.claims.plan_digest;
    match signed == found.reply.operation.digest {
        true => Ok(token),
        false => {
            let why = format!("it is about the plan with the digest {signed}");
            let hint = "name that plan, by its digest if you have nothing else";
            Err(CliError::new("other-plan", "voting with the token on", &args.target, why, hint))
        }
    }
}

/// Checks the plan against policy and prices, and signs the vote.
fn sign_here(
    connection: &Connection<'_>,
    args: &VoteArgs,
    found: &RecordedPlan,
    decision: Decision,
) -> Result<String, CliError> {
    let roster = connection.signed_roster(&found.reply.roster, &root(connection, args)?)?;
    if decision == Decision::Approve {
        check_plan(connection, &found.plan, &roster)?;
    }
    sign(connection.settings, args, (&found.plan, &found.reply.operation.digest), &roster, decision)
}

/// The root key. Without it any roster could be shown.
fn root(connection: &Connection<'_>, args: &VoteArgs) -> Result<PublicKey, CliError> {
    keys::root(connection.settings, args.root.as_ref())?.ok_or_else(|| {
        let why = "no root key is pinned here, so nobody vouches for the roster";
        let hint = "give the public half with --root FILE; whoever ran `exokit approver init` has it";
        CliError::new("no-root", "checking", "the roster", why, hint)
    })
}

/// Detects a reply with another plan than was named.
fn check_target(connection: &Connection<'_>, target: &str, found: &RecordedPlan) -> Result<(), CliError> {
    let plan = &found.plan;
    let by_id = target.parse::<PlanId>().map(|id| id == plan.plan_id);
    let by_operation = || target.parse::<OperationId>().map(|id| id == plan.plan_id.operation());
    let digest = found.reply.operation.digest.to_string();
    let is_meant = by_id.or_else(|_| by_operation()).unwrap_or_else(|_| {
        plan.environment.as_str() == target || digest.starts_with(&target.to_ascii_lowercase())
    });
    match is_meant {
        true => Ok(()),
        false => Err(connection.contradiction(target, &format!("the reply is about {}", plan.plan_id))),
    }
}

/// Refuses a token that says the opposite of the command.
fn check_decision(token: &str, vote: Decision) -> Result<(), Refusal> {
    match inspect(token)?.claims.decision == vote {
        true => Ok(()),
        false => Err(Refusal::Malformed("it says the opposite of this command".to_owned())),
    }
}

fn sign(
    settings: &Settings,
    args: &VoteArgs,
    (plan, digest): (&Plan, &Digest),
    roster: &Roster,
    vote: Decision,
) -> Result<String, CliError> {
    let path = args.key.clone().or_else(|| settings.variable("EXOKIT_KEY").map(Into::into));
    let path = match (path, &settings.workspace) {
        (Some(path), _) => path,
        (None, Ok(workspace)) => workspace.state.private_key(settings.person.as_str()),
        (None, Err(_)) => {
            let (why, hint) = ("no key is named", "name its file with --key, or in EXOKIT_KEY");
            return Err(CliError::unusable("key", "finding", "your key", why, hint));
        }
    };
    let voter = Voter::open(settings, &path, &settings.person, roster)?;
    say(&decision::page(plan, digest, roster, (&voter.person, vote)));
    if !args.yes {
        confirm(settings, &voter.person, vote)?;
    }
    voter.token(plan, digest, vote)
}

fn confirm(settings: &Settings, person: &PersonId, vote: Decision) -> Result<(), CliError> {
    let verb = if vote == Decision::Approve { "approve" } else { "deny" };
    let refuse =
        |why: &str, hint: &str| Err(CliError::unusable("not-confirmed", "asking", person, why, hint));
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

fn show(output: &Output, voted: &VoteReply) -> Result<Exit, CliError> {
    let VoteReply { person, plan_id, environment, .. } = voted;
    output.data(voted, || match (voted.decision, &voted.still) {
        (Decision::Approve, Some(still)) => format!("{person} approved {plan_id}; {still}\n"),
        (Decision::Approve, None) => {
            format!("{person} approved {plan_id}; it can run: exokit watch {environment}\n")
        }
        (Decision::Deny, _) => format!("{person} denied {plan_id}; it will never run\n"),
    })
}
