//! Connecting to a server and closing the connection.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;

use crate::NatsError;

/// Interval of pings to the server.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Longest wait for a connection at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// First and longest pause between two attempts to reconnect; it doubles.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest wait for the server when the process ends: a server that is away
/// must not delay the exit.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Most messages of one subscription that wait for a handler. The client drops
/// more; the requester gets no reply and retries.
const SUBSCRIPTION_CAPACITY: usize = 4096;

/// Address of a server, and how to log in.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// One or several addresses with commas, such as `tls://nats:4222`.
    pub url: String,
    /// How to log in.
    pub login: Login,
    /// A certificate authority besides those of the system.
    pub authority: Option<PathBuf>,
    /// Prefix of the inboxes for replies, such as `_INBOX.infra`. A user whose
    /// permissions are narrowed to it cannot read the replies to other users.
    pub inbox: String,
}

/// How to log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// Without a login.
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

/// A connection, and what the server reports about it.
#[derive(Debug)]
pub struct Connection {
    /// The client, which reconnects by itself.
    pub client: Client,
    /// Lost and restored connections, and errors such as denied permissions.
    pub events: mpsc::UnboundedReceiver<Event>,
}

/// Connects under a name, which the server shows to its operators.
///
/// # Errors
/// When there is no connection within 10 s.
pub async fn connect(options: &NatsOptions, name: &str) -> Result<Connection, NatsError> {
    let (sender, events) = mpsc::unbounded_channel();
    let connect = login(&options.login)
        .await?
        .name(name)
        .custom_inbox_prefix(options.inbox.clone())
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .connection_timeout(CONNECT_TIMEOUT)
        .reconnect_delay_callback(|attempts| {
            RECONNECT_MIN.saturating_mul(1 << attempts.min(10)).min(RECONNECT_MAX)
        })
        .event_callback(move |event| {
            // The receiver is gone when the process ends.
            let _ = sender.send(event);
            std::future::ready(())
        });
    let connect = match &options.authority {
        Some(path) => connect.add_root_certificates(path.clone()),
        None => connect,
    };
    let client = connect.connect(options.url.as_str()).await;
    let client = client.map_err(|source| NatsError::Connect(without_login(&options.url), source))?;
    Ok(Connection { client, events })
}

/// Logs what the server reports, and calls `changed` when the connection is lost
/// (false) or restored (true). Never completes.
pub async fn watch(mut events: mpsc::UnboundedReceiver<Event>, mut changed: impl FnMut(bool)) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected => {
                tracing::info!("NATS is connected");
                changed(true);
            }
            Event::Disconnected => {
                tracing::warn!("NATS is lost; work goes on, and the client reconnects");
                changed(false);
            }
            other => tracing::warn!(event = %other, "NATS"),
        }
    }
    std::future::pending().await
}

/// Sends everything that was published, for at most two seconds. Call it before
/// the process ends.
pub async fn flush(client: &Client) {
    match tokio::time::timeout(FLUSH_TIMEOUT, client.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last messages may not have been sent"),
        Err(_) => tracing::warn!("the last messages may not have been sent: the server is away"),
    }
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
            read.map_err(|source| NatsError::Credentials(path.clone(), source))
        }
    }
}

/// Addresses without user and password, for messages.
fn without_login(url: &str) -> String {
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
    fn a_message_shows_no_password() {
        for (url, expected) in [
            ("nats://infra:hunter2@nats:4222", "nats://nats:4222"),
            ("infra:hunter2@nats", "nats"),
            ("nats://a:4222,nats://u:hunter2@b:4222", "nats://a:4222,nats://b:4222"),
        ] {
            assert_eq!(without_login(url), expected);
        }
    }
}
