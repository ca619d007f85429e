//! `--agent`: the same commands, asked of a running agent instead of done here.
//! Nothing of the state directory is touched; what cannot be asked of an agent
//! is refused, never done somewhere else.

mod change;
mod follow;
mod look;
mod vote;

use exokit_client::{Address, Client, HttpWay, NatsWay, Way};
use exokit_cloud::network::{NetworkOptions, real};
use exokit_engine::error::EngineError;
use exokit_model::approval::Decision;
use exokit_model::plan::Plan;
use exokit_nats::{Login, NatsOptions};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::reply::{OperationReply, ShowPlanReply};
use exokit_wire::request::ShowPlanRequest;
use exokit_wire::verb::Message;
use secrecy::SecretString;

use crate::args::{ApproverCommand, Command, PaceArgs};
use crate::commands::approver;
use crate::embedded;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::settings::{Settings, parse_speed};
use crate::state_dir::read;

/// What inboxes begin with when no user has one of its own.
const INBOX: &str = "_INBOX.exokit";

/// A running agent, for one command.
struct Agent<'s> {
    settings: &'s Settings,
    client: Client,
    /// How fast its cloud runs, as far as the user has said so.
    speed: f64,
}

/// A recorded plan, read from its own text.
struct Recorded {
    plan: Plan,
    operation: OperationReply,
    reply: ShowPlanReply,
}

/// Runs one command through the agent at an address.
pub(crate) async fn run(command: Command, settings: &Settings, address: &str) -> Result<Exit, CliError> {
    if let Some(word) = not_asked(&command) {
        let why = format!("{word} cannot be asked of an agent: it works on this host");
        let hint = "leave --agent out, and unset EXOKIT_AGENT; `--state` says on which state it works";
        return Err(usage("running", "the command", &why, hint));
    }
    paced(&command)?;
    let agent = Agent::open(settings, address).await?;
    match command {
        Command::Select(args) => agent.select(&args).await,
        Command::Plan(args) => agent.plan(&args).await,
        Command::Provision(args) => agent.provision(&args).await,
        Command::Approve(args) => agent.vote(&args, Decision::Approve).await,
        Command::Deny(args) => agent.vote(&args, Decision::Deny).await,
        Command::List(args) => agent.list(&args).await,
        Command::Show(args) => agent.show(&args).await,
        Command::Watch(args) => agent.watch(&args).await,
        Command::Resume(args) => agent.resume(&args).await,
        Command::History(args) => agent.history(&args).await,
        Command::Drift(args) => agent.drift(&args).await,
        Command::Extend(args) => agent.extend(&args).await,
        Command::KeepAlive(args) => agent.keep_alive(&args).await,
        Command::Teardown(args) => agent.teardown(&args).await,
        Command::Orphans(args) => agent.orphans(&args).await,
        Command::Approver(args) => agent.approver(&args.command).await,
        // Refused above; a command that is forgotten there must not run here.
        _ => Err(usage("running", "the command", "it cannot be asked of an agent", "leave --agent out")),
    }
}

/// The name of a command that no agent can do.
fn not_asked(command: &Command) -> Option<&'static str> {
    match command {
        Command::Select(_)
        | Command::Plan(_)
        | Command::Provision(_)
        | Command::Approve(_)
        | Command::Deny(_)
        | Command::List(_)
        | Command::Show(_)
        | Command::Resume(_)
        | Command::History(_)
        | Command::Drift(_)
        | Command::Extend(_)
        | Command::KeepAlive(_)
        | Command::Teardown(_)
        | Command::Orphans(_) => None,
        Command::Watch(args) => args.environment.is_none().then_some("watch without an environment"),
        Command::Approver(args) => match &args.command {
            ApproverCommand::List => None,
            ApproverCommand::Policy(args) => approver::changes(args).then_some("a change of the policy"),
            ApproverCommand::Init(_) => Some("approver init"),
            ApproverCommand::CreateKey(_) => Some("approver create-key"),
            ApproverCommand::Add(_) => Some("approver add"),
            ApproverCommand::Revoke(_) => Some("approver revoke"),
        },
        Command::Prices(_) => Some("prices"),
        Command::Audit(_) => Some("audit"),
        Command::Registry(_) => Some("registry"),
        Command::Doctor => Some("doctor"),
        Command::Serve(_) => Some("serve"),
        Command::Orchestrator(_) => Some("orchestrator"),
        Command::Token(_) => Some("token"),
        Command::Schema(_) => Some("schema"),
        Command::Sim(_) => Some("sim"),
        Command::Demo(_) => Some("demo"),
        Command::Completions(_) => Some("completions"),
        Command::Man(_) => Some("man"),
    }
}

/// How much is done at once is the agent's own matter.
fn paced(command: &Command) -> Result<(), CliError> {
    let pace: Option<&PaceArgs> = match command {
        Command::Provision(args) => Some(&args.pace),
        Command::Teardown(args) => Some(&args.pace),
        Command::Resume(args) => Some(&args.pace),
        Command::Watch(args) => Some(&args.pace),
        _ => None,
    };
    match pace.and_then(|pace| pace.steps_at_once) {
        None => Ok(()),
        Some(_) => {
            let why = "--parallelism cannot be combined with --agent";
            Err(usage("reading", "the arguments", why, "give it to `exokit serve`"))
        }
    }
}

fn usage(doing: &str, on: &str, why: &str, hint: &str) -> CliError {
    CliError::new("usage", doing, on, why, hint).exit(Exit::Usage)
}

impl<'s> Agent<'s> {
    async fn open(settings: &'s Settings, text: &str) -> Result<Self, CliError> {
        let address: Address = text.parse().doing("reading", "the address of the agent")?;
        let key = data_encoding::HEXLOWER.encode(&keys::random::<16>()?);
        let said = settings.person_said.then(|| settings.person.clone());
        let (way, on, person) = match address {
            Address::Http(base) => {
                let authority = settings.agent_ca.as_ref().map(|path| read(path)).transpose()?;
                let options = NetworkOptions { extra_ca_pem: authority, ..NetworkOptions::default() };
                let transport = real(&options).doing("preparing", "the network")?;
                let token = settings.agent_token.clone();
                (Way::Http(HttpWay::new(transport, base.clone(), token)), base, said)
            }
            Address::Nats { url, user } => {
                let way = nats_way(settings, &url, user).await?;
                // Nobody else says who asks.
                (way, url, Some(settings.person.clone()))
            }
        };
        let speed = match &settings.speed {
            Some(text) => embedded::factor(parse_speed(text)?),
            None => 1.0,
        };
        let told = if settings.output.quiet { |_: &str| () } else { crate::output::say };
        Ok(Self { settings, client: Client::new(way, on, person, format!("cli/{key}"), told), speed })
    }

    async fn ask<M: Message>(&self, message: &M) -> Result<M::Reply, CliError> {
        Ok(self.client.ask(message).await?)
    }

    /// A recorded plan. What the agent says about it must be what its text
    /// says.
    async fn recorded(&self, target: &str) -> Result<Recorded, CliError> {
        let reply = self.ask(&ShowPlanRequest { plan: target.to_owned() }).await?;
        self.consistent(target, reply)
    }

    fn consistent(&self, target: &str, reply: ShowPlanReply) -> Result<Recorded, CliError> {
        let plan = self.checked(&reply.plan, &reply.operation.plan_id.to_string(), |digest| {
            digest == reply.operation.digest
        })?;
        let same = plan.plan_id == reply.operation.plan_id
            && plan.environment == reply.operation.environment
            && plan.action == reply.operation.action
            && plan.level == reply.operation.level;
        match same {
            true => Ok(Recorded { plan, operation: reply.operation.clone(), reply }),
            false => Err(self.contradicts(target, "the plan is another than the agent says")),
        }
    }

    /// The plan of a text, if its digest is as is said.
    fn checked(
        &self,
        text: &str,
        on: &str,
        is_said: impl FnOnce(exokit_model::canonical::Digest) -> bool,
    ) -> Result<Plan, CliError> {
        let plan = Plan::from_bytes(text.as_bytes()).map_err(EngineError::Unreadable).doing("reading", on)?;
        match is_said(Plan::digest_of(text.as_bytes())) {
            true => Ok(plan),
            false => Err(self.contradicts(on, "the digest of its text is another than the agent says")),
        }
    }

    fn contradicts(&self, on: &str, why: &str) -> CliError {
        let hint = format!(
            "do not trust the agent at {}; read its ledger with `exokit audit verify`",
            self.client.on()
        );
        CliError::new("contradiction", "checking", on, why, hint)
    }
}

/// Whether the agent says that there is no such thing.
fn is_missing(failure: &Failure) -> bool {
    failure.class() == Class::NotFound
}

async fn nats_way(settings: &Settings, url: &str, user: Option<String>) -> Result<Way, CliError> {
    let user = user.or_else(|| settings.nats_user.clone());
    let login = match (&settings.nats_nkey, &user, &settings.nats_password) {
        (Some(seed), ..) => Login::Nkey(seed.clone()),
        (None, Some(user), Some(password)) => {
            Login::Password { user: user.clone(), password: SecretString::clone(password) }
        }
        (None, Some(user), None) => {
            let hint = "set EXOKIT_NATS_PASSWORD for this command";
            return Err(usage("logging in at NATS as", user, "there is no password", hint));
        }
        (None, None, _) => Login::Nobody,
    };
    let inbox = user.as_ref().map_or_else(|| INBOX.to_owned(), |user| format!("_INBOX.{user}"));
    let options = NatsOptions { url: url.to_owned(), login, authority: settings.nats_ca.clone(), inbox };
    let connected = exokit_nats::connect(&options, "exokit").await;
    let connection = connected.map_err(|error| {
        CliError::new("agent-away", "asking the agent", "", exokit_service::chain(&error), error.hint())
    })?;
    Ok(Way::Nats(NatsWay::new(connection.client, connection.events)))
}
