//! Where the NATS server is, and how to log in.

use exokit_nats::{Login, NatsOptions};
use secrecy::SecretString;

use crate::args::NatsArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::Settings;

/// The server of the arguments, with a prefix for inboxes; none when none is
/// named.
pub(crate) fn nats_options(
    settings: &Settings,
    args: &NatsArgs,
    inbox: &str,
) -> Result<Option<NatsOptions>, CliError> {
    let Some(url) = &args.url else { return Ok(None) };
    let login = match (&args.creds, &settings.nats_nkey, &args.user, &settings.nats_password) {
        (Some(path), ..) => Login::Credentials(path.clone()),
        (None, Some(seed), ..) => Login::Nkey(seed.clone()),
        (None, None, Some(user), Some(password)) => {
            Login::Password { user: user.clone(), password: SecretString::clone(password) }
        }
        (None, None, Some(user), None) => {
            let why = "there is no password";
            let hint = "set EXOKIT_NATS_PASSWORD for this command";
            return Err(CliError::new("usage", "logging in at NATS as", user, why, hint).exit(Exit::Usage));
        }
        (None, None, None, _) => Login::Nobody,
    };
    Ok(Some(NatsOptions { url: url.clone(), login, authority: args.ca.clone(), inbox: inbox.to_owned() }))
}
