//! NATS: the requests of the platform come in, events go out. Losing it never
//! stops or repeats work: everything that matters is in the ledger.

mod acks;
mod bus;
mod door;
mod micro;
mod preflight;
pub mod presence;

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Subject};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;

use crate::trace::Trace;

pub use bus::NatsBus;
pub(crate) use bus::{NOBODY, round_trip};
pub use door::Door;
pub use micro::{Counts, Described, rights as description_rights};
pub use preflight::{Right, check as preflight};

/// How often the server is asked whether it is there.
const PING: Duration = Duration::from_secs(10);

/// Longest wait for a connection at the start.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest pause between two attempts to connect again.
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest wait for a server when the process ends: one that is not there must
/// not keep it.
const LEAVE: Duration = Duration::from_secs(2);

/// Lets everything leave that was handed over before the process ends.
pub async fn leave(client: &Client) {
    match tokio::time::timeout(LEAVE, client.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last messages may not have left"),
        Err(_) => tracing::warn!("the last messages may not have left: the server is not there"),
    }
}

/// Headers with which a trace travels.
pub(crate) fn headers(trace: &Trace) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", trace.header());
    headers
}

/// What the inboxes of requesters begin with.
const INBOX: &str = "_INBOX.";

/// Whether an answer may go there. The server does not check where a request
/// wants its answer, so a requester could have it delivered as an event, or as
/// a command to JetStream, with the rights of who answers.
pub(crate) fn is_inbox(subject: &Subject) -> bool {
    subject.as_str().starts_with(INBOX)
}

/// How to reach the server.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// One or several addresses with commas, such as `tls://nats:4222`.
    pub url: String,
    /// How to log in.
    pub login: Login,
    /// A certificate authority besides those of the system.
    pub authority: Option<PathBuf>,
    /// Prefix of the inboxes that replies come to, such as `_INBOX.infra`. A
    /// user whose rights are narrowed to it cannot read anybody else's.
    pub inbox: String,
}

/// How to log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// Not at all.
    Nobody,
    /// With user and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// With the seed of an nkey.
    Nkey(SecretString),
    /// With a credentials file.
    Credentials(PathBuf),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The server is not there, or refuses.
    #[error("connecting to {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The credentials file cannot be read.
    #[error("reading the credentials {}", .path.display())]
    Credentials {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A subject cannot be subscribed to.
    #[error("subscribing to {subject}")]
    Subscribe {
        /// Which.
        subject: String,
        /// Why.
        #[source]
        source: async_nats::SubscribeError,
    },
    /// Rights are missing.
    #[error("the server denies {}", .denied.join(", "))]
    Denied {
        /// What it denies, such as `publish to infra.>`.
        denied: Vec<String>,
    },
    /// The server does not answer.
    #[error("the server did not answer within {} s", .0.as_secs())]
    Silent(Duration),
}

impl NatsError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            NatsError::Connect { .. } => {
                "check the address, the user, the password and the certificate authority; \
                 `nats-server -c communication/nats.conf` starts the platform's server"
            }
            NatsError::Credentials { .. } => "check the path and the rights on the file",
            NatsError::Subscribe { .. } => "this is a mistake in exokit; please report it",
            NatsError::Denied { .. } => "give the user the rights in communication/nats.conf",
            NatsError::Silent(_) => "check the server, and that the user may subscribe to its inbox",
        }
    }
}

/// A connection, and what the server says about it besides.
#[derive(Debug)]
pub struct Connection {
    /// The client, which connects again by itself.
    pub client: Client,
    /// What the server says: lost connections, and what it denies.
    pub said: mpsc::UnboundedReceiver<Event>,
}

/// Connects. The address is shown without what may stand in it before the
/// host.
///
/// # Errors
/// When there is no connection within 10 s.
pub async fn connect(options: &NatsOptions) -> Result<Connection, NatsError> {
    connect_as(options, "exokit AZ-INFRA-001").await
}

/// As [`connect`], under another name than the agent's: whoever looks after the
/// server sees it.
pub(crate) async fn connect_as(options: &NatsOptions, name: &str) -> Result<Connection, NatsError> {
    let (tell, said) = mpsc::unbounded_channel();
    let connect = login(&options.login)
        .await?
        .name(name)
        .custom_inbox_prefix(options.inbox.clone())
        .ping_interval(PING)
        .subscription_capacity(door::WAITING_MAX)
        .connection_timeout(CONNECT)
        .reconnect_delay_callback(|attempts| {
            let doubled = Duration::from_millis(50).saturating_mul(1 << attempts.min(10));
            doubled.min(RECONNECT_MAX)
        })
        .event_callback(move |event| {
            let tell = tell.clone();
            async move {
                // Nobody listens any more when the process ends.
                let _ = tell.send(event);
            }
        });
    let connect = match &options.authority {
        Some(path) => connect.add_root_certificates(path.clone()),
        None => connect,
    };
    let client = connect.connect(options.url.as_str()).await;
    let client = client.map_err(|source| NatsError::Connect { url: shown(&options.url), source })?;
    Ok(Connection { client, said })
}

async fn login(login: &Login) -> Result<ConnectOptions, NatsError> {
    let options = ConnectOptions::new();
    match login {
        Login::Nobody => Ok(options),
        Login::Password { user, password } => {
            Ok(options.user_and_password(user.clone(), password.expose_secret().to_owned()))
        }
        Login::Nkey(seed) => Ok(options.nkey(seed.expose_secret().to_owned())),
        Login::Credentials(path) => {
            let read = options.credentials_file(path).await;
            read.map_err(|source| NatsError::Credentials { path: path.clone(), source })
        }
    }
}

/// An address without user and password.
fn shown(url: &str) -> String {
    let one = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => url.to_owned(),
    };
    url.split(',').map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, expected) in [
            ("nats://infra:hunter2@nats:4222", "nats://nats:4222"),
            ("infra:hunter2@nats", "nats"),
            ("nats://a:4222,nats://u:hunter2@b:4222", "nats://a:4222,nats://b:4222"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
