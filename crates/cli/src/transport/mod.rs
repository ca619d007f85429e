//! The way to whatever carries out the operations of the table: the service in
//! this process, or an agent over HTTP or NATS. Nothing above knows which.

mod in_process;

use std::num::NonZeroUsize;

use exokit_client::{Address, Client, Http, Nats, Transport};
use exokit_cloud::network::{NetworkOptions, real};
use exokit_nats::NatsOptions;
use exokit_service::chain;
use tokio::sync::Mutex;

use crate::error::{CliError, Doing as _};
use crate::keys;
use crate::nats::login;
use crate::settings::Settings;
use crate::state_dir::read;
use in_process::InProcess;

/// Prefix of the inboxes of a user that has none of its own.
const INBOX: &str = "_INBOX.exokit";

pub(crate) async fn client(
    settings: &Settings,
    steps_at_once: Option<NonZeroUsize>,
) -> Result<Client, CliError> {
    if settings.agent.is_some() && steps_at_once.is_some() {
        let why = "--parallelism cannot be combined with --agent";
        return Err(CliError::usage(why, "give it to `exokit serve`"));
    }
    let address = settings.agent.as_ref().map(|text| text.parse::<Address>()).transpose();
    let named = Some(settings.person.clone());
    let (transport, requester): (Box<dyn Transport>, _) =
        match address.doing("reading", "the address of the agent")? {
            None => (Box::new(InProcess::new(settings, steps_at_once)), named),
            // The token names the requester.
            Some(Address::Http(base)) => {
                (Box::new(http(settings, base)?), named.filter(|_| settings.is_person_given))
            }
            Some(Address::Nats { url, user }) => (Box::new(nats(settings, url, user).await?), named),
        };
    let key = data_encoding::HEXLOWER.encode(&keys::random::<16>()?);
    let notify: fn(&str) = if settings.output.quiet { |_| () } else { crate::output::say };
    Ok(Client { transport, requester, key: format!("cli/{key}"), notify })
}

fn http(settings: &Settings, base: String) -> Result<Http, CliError> {
    let extra_ca_pem = settings.variable("EXOKIT_AGENT_CA").map(|path| read(path.as_ref())).transpose()?;
    let options = NetworkOptions { extra_ca_pem, ..NetworkOptions::default() };
    let client = real(&options).doing("preparing", "the network")?;
    Ok(Http { client, base, token: settings.secret("EXOKIT_AGENT_TOKEN") })
}

async fn nats(settings: &Settings, url: String, user: Option<String>) -> Result<Nats, CliError> {
    let user = user.or_else(|| settings.variable("EXOKIT_NATS_USER").map(str::to_owned));
    let options = NatsOptions {
        url: url.clone(),
        login: login(settings, user.as_deref(), None)?,
        authority: settings.variable("EXOKIT_NATS_CA").map(Into::into),
        inbox: user.map_or_else(|| INBOX.to_owned(), |user| format!("_INBOX.{user}")),
    };
    let connected = exokit_nats::connect(&options, "exokit").await;
    let connection = connected
        .map_err(|error| CliError::new("agent-away", "asking the agent", "", chain(&error), error.hint()))?;
    let exokit_nats::Connection { client, events } = connection;
    Ok(Nats { client, server_events: Mutex::new(events), address: url })
}
