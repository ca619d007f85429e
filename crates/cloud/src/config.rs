//! Finds credentials, zone and endpoints, from texts that the caller has read.
//!
//! Nothing here reads the environment or a file: the caller hands in the
//! variables and the text of `exoscale.toml`. The order is that of the exo
//! CLI (exoscale/cli `cmd/config_resolution.go`): variables beat the account
//! file, the account file beats defaults.

use std::collections::BTreeMap;

use exokit_model::ids::Zone;
use exokit_model::text::excerpt;

use crate::account_file::{Account, AccountFile};
use crate::endpoint::Endpoints;
use crate::signing::Credentials;

/// Variables that may hold the API key; the first that is set counts.
const KEY_VARIABLES: [&str; 4] = ["EXOSCALE_API_KEY", "EXOSCALE_KEY", "CLOUDSTACK_KEY", "CLOUDSTACK_API_KEY"];

/// Variables that may hold the API secret; the first that is set counts.
const SECRET_VARIABLES: [&str; 5] = [
    "EXOSCALE_API_SECRET",
    "EXOSCALE_SECRET",
    "EXOSCALE_SECRET_KEY",
    "CLOUDSTACK_SECRET",
    "CLOUDSTACK_SECRET_KEY",
];

/// The pair that the first deploy kit read. It counts only when no variable
/// of the exo CLI gives a key or a secret.
const KIT_VARIABLES: (&str, &str) = ("EXO_API_KEY", "EXO_API_SECRET");

/// Zone when nothing names one, as in the exo CLI.
pub const ZONE_DEFAULT: &str = "ch-dk-2";

const SOS_ENDPOINT_VARIABLES: [&str; 2] = ["EXOSCALE_STORAGE_API_ENDPOINT", "EXOSCALE_SOS_ENDPOINT"];

/// The account file as the caller found it.
#[derive(Debug, Clone, Copy)]
pub struct AccountText<'a> {
    /// Where it was found, for messages.
    pub path: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// Everything needed to talk to an account.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// Key and secret.
    pub credentials: Credentials,
    /// Where the credentials came from, in words, for `exokit doctor`.
    pub origin: String,
    /// Zone for requests that name none.
    pub zone: Zone,
    /// The addresses of each zone.
    pub endpoints: Endpoints,
}

/// Why no usable configuration was found. It carries no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither variables nor file give credentials.
    #[error("no Exoscale credentials were found")]
    NoCredentials,
    /// The credentials or settings that were found cannot be used.
    #[error("{why}")]
    Unusable {
        /// The fault, in words.
        why: String,
        /// The next step for the user.
        hint: String,
    },
}

impl ConfigError {
    pub(crate) fn unusable(why: String, hint: impl Into<String>) -> Self {
        ConfigError::Unusable { why, hint: hint.into() }
    }

    /// One half of a pair is there without the other.
    fn half(present: &str, missing: &str) -> Self {
        let why = format!("{} is set but {} is not", excerpt(&present), excerpt(&missing));
        ConfigError::unusable(why, format!("set {missing} as well, or neither"))
    }

    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            ConfigError::NoCredentials => {
                "set EXOSCALE_API_KEY and EXOSCALE_API_SECRET, or run `exo config`, or use `--cloud sim`"
            }
            ConfigError::Unusable { hint, .. } => hint,
        }
    }
}

/// Resolves the configuration from the variables and the account file.
///
/// A variable that is set to an empty text counts as not set. Whoever takes
/// the credentials from variables still gets zone and endpoints from the
/// account file, where no variable overrides them; the exo CLI does the same.
///
/// # Errors
/// When the credentials are absent, incomplete or not usable, or when a part
/// of the configuration is malformed.
pub fn resolve(
    variables: &BTreeMap<String, String>,
    file: Option<AccountText<'_>>,
) -> Result<CloudConfig, ConfigError> {
    let set = |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, set(name)?)));

    let from_variables = pair(first)?;
    let account = select_account(file, set("EXOSCALE_ACCOUNT"), from_variables.is_none())?;
    let (credentials, origin) = match (from_variables, file) {
        (Some(found), _) => found,
        (None, Some(file)) => from_account(file.path, &account)?,
        (None, None) => return Err(ConfigError::NoCredentials),
    };
    if !credentials.key().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        let why = format!("the API key from {} holds a character that no key has", excerpt(&origin));
        return Err(ConfigError::unusable(why, "copy the key again, without blanks and line ends"));
    }
    let (from, zone) = first(&["EXOSCALE_ZONE"])
        .or_else(|| Some(("DefaultZone", account.default_zone.as_deref()?)))
        .unwrap_or(("the default", ZONE_DEFAULT));
    let zone = zone.parse().map_err(|_| {
        let why = format!("zone \"{}\" from {from} is not a zone name", excerpt(&zone));
        ConfigError::unusable(why, "a zone looks like ch-dk-2; `exo zone list` shows them")
    })?;
    let environment = set("EXOSCALE_API_ENVIRONMENT").or(account.environment.as_deref());
    let api = set("EXOSCALE_API_ENDPOINT").or(account.endpoint.as_deref());
    let sos = first(&SOS_ENDPOINT_VARIABLES).map(|(_, url)| url).or(account.sos_endpoint.as_deref());
    let endpoints = Endpoints::new(environment, api, sos)?;
    Ok(CloudConfig { credentials, origin, zone, endpoints })
}

/// The pair from the variables: none, both, or an error that names the half.
fn pair<'v>(
    first: impl Fn(&[&'static str]) -> Option<(&'static str, &'v str)>,
) -> Result<Option<(Credentials, String)>, ConfigError> {
    let exo = (first(&KEY_VARIABLES), first(&SECRET_VARIABLES));
    let (found, names) = match exo {
        (None, None) => ((first(&[KIT_VARIABLES.0]), first(&[KIT_VARIABLES.1])), KIT_VARIABLES),
        found => (found, (KEY_VARIABLES[0], SECRET_VARIABLES[0])),
    };
    match found {
        (None, None) => Ok(None),
        (Some((key_name, key)), Some((secret_name, secret))) => {
            Ok(Some((Credentials::new(key, secret), format!("variables {key_name} and {secret_name}"))))
        }
        (Some((present, _)), None) => Err(ConfigError::half(present, names.1)),
        (None, Some((present, _))) => Err(ConfigError::half(present, names.0)),
    }
}

/// Finds the account to use. That none can be chosen is an error only when one
/// is needed. But a name that was given expressly must exist, even when the
/// credentials come from elsewhere: a typing error in it could otherwise lead
/// to another environment.
fn select_account(
    file: Option<AccountText<'_>>,
    wanted: Option<&str>,
    needed: bool,
) -> Result<Account, ConfigError> {
    let undecided = |why, hint: String| match needed {
        true => Err(ConfigError::unusable(why, hint)),
        false => Ok(Account::default()),
    };
    let Some(AccountText { path, text }) = file else {
        let Some(account) = wanted.map(|account| excerpt(&account)) else { return Ok(Account::default()) };
        let why = format!("EXOSCALE_ACCOUNT names account \"{account}\", but no exoscale.toml was found");
        return undecided(why, "run `exo config`, or unset EXOSCALE_ACCOUNT".into());
    };
    let AccountFile { mut accounts, default_account } = AccountFile::parse(path, text)?;
    let known: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
    let known = excerpt(&known.join(", "));
    match wanted.map(str::to_owned).or(default_account) {
        Some(name) => match accounts.iter().position(|account| account.name == name) {
            Some(index) => Ok(accounts.swap_remove(index)),
            None => {
                let why = format!("{path} has no account \"{}\"", excerpt(&name));
                let hint = format!("set EXOSCALE_ACCOUNT to one of: {known}");
                if wanted.is_some() { Err(ConfigError::unusable(why, hint)) } else { undecided(why, hint) }
            }
        },
        None if accounts.len() <= 1 => Ok(accounts.pop().unwrap_or_default()),
        None => {
            let why = format!("{path} has several accounts and no DefaultAccount");
            undecided(why, format!("set EXOSCALE_ACCOUNT or DefaultAccount to one of: {known}"))
        }
    }
}

fn from_account(path: &str, account: &Account) -> Result<(Credentials, String), ConfigError> {
    let place = |key: &str| format!("{key} of account {:?} in {path}", account.name);
    if account.has_secret_command {
        let name = excerpt(&account.name);
        return Err(ConfigError::unusable(
            format!(
                "account \"{name}\" of {path} takes its secret from SecretCommand, which exokit does not run"
            ),
            "run the command yourself and set EXOSCALE_API_KEY and EXOSCALE_API_SECRET",
        ));
    }
    match (&account.key, &account.secret) {
        (Some(key), Some(secret)) => {
            let origin = format!("account {:?} of {path}", account.name);
            Ok((Credentials::new(key.clone(), secret.clone()), origin))
        }
        (Some(_), None) => Err(ConfigError::half(&place("Key"), &place("Secret"))),
        (None, Some(_)) => Err(ConfigError::half(&place("Secret"), &place("Key"))),
        (None, None) => Err(ConfigError::NoCredentials),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
