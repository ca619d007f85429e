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
pub const KEY_VARIABLES: [&str; 4] =
    ["EXOSCALE_API_KEY", "EXOSCALE_KEY", "CLOUDSTACK_KEY", "CLOUDSTACK_API_KEY"];

/// Variables that may hold the API secret; the first that is set counts.
pub const SECRET_VARIABLES: [&str; 5] = [
    "EXOSCALE_API_SECRET",
    "EXOSCALE_SECRET",
    "EXOSCALE_SECRET_KEY",
    "CLOUDSTACK_SECRET",
    "CLOUDSTACK_SECRET_KEY",
];

/// The pair that the first deploy kit read. It counts only when no variable
/// of the exo CLI gives a key or a secret.
pub const KIT_VARIABLES: (&str, &str) = ("EXO_API_KEY", "EXO_API_SECRET");

/// Zone when nothing names one, as in the exo CLI.
pub const ZONE_DEFAULT: &str = "ch-dk-2";

const ENDPOINT_VARIABLES: [&str; 1] = ["EXOSCALE_API_ENDPOINT"];
const SOS_ENDPOINT_VARIABLES: [&str; 2] = ["EXOSCALE_STORAGE_API_ENDPOINT", "EXOSCALE_SOS_ENDPOINT"];

/// The account file as the caller found it.
#[derive(Debug, Clone, Copy)]
pub struct AccountText<'a> {
    /// Where it was found, for messages.
    pub path: &'a str,
    /// What it holds.
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

/// Why no usable configuration was found. No variant carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither variables nor file give credentials.
    #[error("no Exoscale credentials were found")]
    NoCredentials,
    /// One half of the pair is missing.
    #[error("{} is set but {} is not", excerpt(.present), excerpt(.missing))]
    Half {
        /// Where the half that is there was found.
        present: String,
        /// What is missing.
        missing: String,
    },
    /// The account fetches its secret with a command.
    #[error("account \"{}\" of {path} takes its secret from SecretCommand, which exokit does not run", excerpt(.account))]
    SecretCommand {
        /// The account file.
        path: String,
        /// Name of the account.
        account: String,
    },
    /// The wanted account is not in the file.
    #[error("{path} has no account \"{}\"", excerpt(.account))]
    UnknownAccount {
        /// The account file.
        path: String,
        /// The name that was looked for.
        account: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// `EXOSCALE_ACCOUNT` is set, but there is no file to look in.
    #[error("EXOSCALE_ACCOUNT names account \"{}\", but no exoscale.toml was found", excerpt(.account))]
    NoFile {
        /// The name that was looked for.
        account: String,
    },
    /// The file has accounts, but nothing says which one to use.
    #[error("{path} has several accounts and no DefaultAccount")]
    NoDefaultAccount {
        /// The account file.
        path: String,
        /// The names that are there.
        known: Vec<String>,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML at line {line}")]
    FileSyntax {
        /// The account file.
        path: String,
        /// Line of the fault, from 1.
        line: usize,
    },
    /// A value of the file has the wrong type.
    #[error("{place} in {path} must be {expected}")]
    FileType {
        /// The account file.
        path: String,
        /// The key, such as `Accounts[0].Key`.
        place: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The zone is not a zone name.
    #[error("zone \"{}\" from {from} is not a zone name", excerpt(.value))]
    Zone {
        /// The text.
        value: String,
        /// Where it came from.
        from: &'static str,
    },
    /// An endpoint cannot be used.
    #[error("the {what} endpoint \"{}\" cannot be used: {rule}", excerpt(.url))]
    Endpoint {
        /// Which endpoint.
        what: &'static str,
        /// The text.
        url: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The API environment cannot be part of a host name.
    #[error("the API environment \"{}\" cannot be part of a host name", excerpt(.value))]
    Environment {
        /// The text.
        value: String,
    },
    /// The key or the secret holds characters that no key has.
    #[error("the API key from {} holds a character that no key has", excerpt(.origin))]
    KeyCharacters {
        /// Where it came from.
        origin: String,
    },
}

impl ConfigError {
    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            ConfigError::NoCredentials => {
                "set EXOSCALE_API_KEY and EXOSCALE_API_SECRET, or run `exo config`, or use `--cloud sim`".into()
            }
            ConfigError::Half { missing, .. } => format!("set {missing} as well, or neither"),
            ConfigError::SecretCommand { .. } => {
                "run the command yourself and set EXOSCALE_API_KEY and EXOSCALE_API_SECRET".into()
            }
            ConfigError::UnknownAccount { known, .. } => {
                format!("set EXOSCALE_ACCOUNT to one of: {}", excerpt(&known.join(", ")))
            }
            ConfigError::NoFile { .. } => "run `exo config`, or unset EXOSCALE_ACCOUNT".into(),
            ConfigError::NoDefaultAccount { known, .. } => {
                format!("set EXOSCALE_ACCOUNT or DefaultAccount to one of: {}", excerpt(&known.join(", ")))
            }
            ConfigError::FileSyntax { .. } | ConfigError::FileType { .. } => {
                "correct the file, or write it anew with `exo config`".into()
            }
            ConfigError::Zone { .. } => "a zone looks like ch-dk-2; `exo zone list` shows them".into(),
            ConfigError::Endpoint { .. } => {
                "an endpoint looks like https://api-ch-dk-2.exoscale.com/v2; leave it unset for the public cloud".into()
            }
            ConfigError::Environment { .. } => {
                "unset EXOSCALE_API_ENVIRONMENT for the public cloud".into()
            }
            ConfigError::KeyCharacters { .. } => "copy the key again, without blanks and line ends".into(),
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
    let account = match select_account(file, set("EXOSCALE_ACCOUNT"))? {
        Selected::Account(account) => account,
        Selected::Nothing => Account::default(),
        Selected::Undecided(error) if from_variables.is_none() => return Err(error),
        Selected::Undecided(_) => Account::default(),
    };
    let (credentials, origin) = match (from_variables, file) {
        (Some(found), _) => found,
        (None, Some(file)) => from_account(file.path, &account)?,
        (None, None) => return Err(ConfigError::NoCredentials),
    };
    if !credentials.key().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(ConfigError::KeyCharacters { origin });
    }
    let given = |names: &[&'static str], from_file: &'static str, value: &Option<String>| {
        let variable = first(names).map(|(name, value)| (name, value.to_owned()));
        variable.or_else(|| Some((from_file, value.clone()?)))
    };
    let (from, zone) = given(&["EXOSCALE_ZONE"], "DefaultZone", &account.default_zone)
        .unwrap_or(("the default", ZONE_DEFAULT.to_owned()));
    let zone = zone.parse().map_err(|_| ConfigError::Zone { value: zone, from })?;
    let environment = given(&["EXOSCALE_API_ENVIRONMENT"], "Environment", &account.environment);
    let api = given(&ENDPOINT_VARIABLES, "Endpoint", &account.endpoint);
    let sos = given(&SOS_ENDPOINT_VARIABLES, "SosEndpoint", &account.sos_endpoint);
    let text = |found: &'_ Option<(&'static str, String)>| found.as_ref().map(|(_, value)| value.clone());
    let endpoints =
        Endpoints::new(text(&environment).as_deref(), text(&api).as_deref(), text(&sos).as_deref())?;
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
        (Some((present, _)), None) => {
            Err(ConfigError::Half { present: present.to_owned(), missing: names.1.to_owned() })
        }
        (None, Some((present, _))) => {
            Err(ConfigError::Half { present: present.to_owned(), missing: names.0.to_owned() })
        }
    }
}

/// Outcome of the search for an account.
enum Selected {
    Account(Account),
    Nothing,
    /// The file leaves it open; an error only if the credentials must come
    /// from there.
    Undecided(ConfigError),
}

/// Finds the account to use. A name that was given expressly must exist, even
/// when the credentials come from elsewhere: a typing error in it could
/// otherwise lead to another environment.
fn select_account(file: Option<AccountText<'_>>, wanted: Option<&str>) -> Result<Selected, ConfigError> {
    let Some(file) = file else {
        return match wanted {
            Some(account) => Ok(Selected::Undecided(ConfigError::NoFile { account: account.to_owned() })),
            None => Ok(Selected::Nothing),
        };
    };
    let parsed = AccountFile::parse(file.path, file.text)?;
    let known: Vec<String> = parsed.accounts.iter().map(|account| account.name.clone()).collect();
    let path = file.path.to_owned();
    let mut accounts = parsed.accounts;
    match wanted.map(str::to_owned).or(parsed.default_account) {
        Some(name) => match accounts.iter().position(|account| account.name == name) {
            Some(index) => Ok(Selected::Account(accounts.swap_remove(index))),
            None if wanted.is_some() => Err(ConfigError::UnknownAccount { path, account: name, known }),
            None => Ok(Selected::Undecided(ConfigError::UnknownAccount { path, account: name, known })),
        },
        None if accounts.len() == 1 => Ok(Selected::Account(accounts.swap_remove(0))),
        None if accounts.is_empty() => Ok(Selected::Nothing),
        None => Ok(Selected::Undecided(ConfigError::NoDefaultAccount { path, known })),
    }
}

fn from_account(path: &str, account: &Account) -> Result<(Credentials, String), ConfigError> {
    let place = |key: &str| format!("{key} of account {:?} in {path}", account.name);
    if account.has_secret_command {
        return Err(ConfigError::SecretCommand { path: path.to_owned(), account: account.name.clone() });
    }
    match (&account.key, &account.secret) {
        (Some(key), Some(secret)) => {
            let origin = format!("account {:?} of {path}", account.name);
            Ok((Credentials::new(key.clone(), secret.clone()), origin))
        }
        (Some(_), None) => Err(ConfigError::Half { present: place("Key"), missing: place("Secret") }),
        (None, Some(_)) => Err(ConfigError::Half { present: place("Secret"), missing: place("Key") }),
        (None, None) => Err(ConfigError::NoCredentials),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
