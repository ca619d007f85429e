//! How to log in at a NATS server.

use std::path::Path;

use exokit_nats::{Login, NatsOptions};

use crate::args::NatsArgs;
use crate::error::CliError;
use crate::settings::Settings;

/// The server of the arguments, with a prefix for inboxes; none when none is
/// named.
pub(crate) fn nats_options(
    settings: &Settings,
    args: &NatsArgs,
    inbox: &str,
) -> Result<Option<NatsOptions>, CliError> {
    let Some(url) = args.url.clone() else { return Ok(None) };
    let login = login(settings, args.user.as_deref(), args.creds.as_deref())?;
    Ok(Some(NatsOptions { url, login, authority: args.ca.clone(), inbox: inbox.to_owned() }))
}

/// By credentials file, by nkey, by user and password, or not at all.
pub(crate) fn login(
    settings: &Settings,
    user: Option<&str>,
    credentials: Option<&Path>,
) -> Result<Login, CliError> {
    let (seed, password) = (settings.secret("EXOKIT_NATS_NKEY"), settings.secret("EXOKIT_NATS_PASSWORD"));
    match (credentials, seed, user, password) {
        (Some(path), ..) => Ok(Login::Credentials(path.to_owned())),
        (None, Some(seed), ..) => Ok(Login::Nkey(seed)),
        (None, None, Some(user), Some(password)) => Ok(Login::Password { user: user.to_owned(), password }),
        (None, None, Some(user), None) => {
            let hint = "set EXOKIT_NATS_PASSWORD for this command";
            let why = "there is no password";
            Err(CliError::unusable("usage", "logging in at NATS as", user, why, hint))
        }
        (None, None, None, _) => Ok(Login::Nobody),
    }
}
