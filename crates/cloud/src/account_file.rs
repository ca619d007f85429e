//! The account file of the exo CLI, `exoscale.toml`.
//!
//! The file belongs to the CLI, so keys that exokit does not know are passed
//! over. Keys are matched without regard to case: the CLI reads them so, and
//! has over time written both `DefaultAccount` and `defaultaccount`. Source
//! of the keys: exoscale/cli `pkg/account/account.go`.

use toml::{Table, Value};

use crate::config::ConfigError;

/// Hint for a file that cannot be read.
const FILE_HINT: &str = "correct the file, or write it anew with `exo config`";

/// What exokit uses of one account.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) key: Option<String>,
    pub(crate) secret: Option<secrecy::SecretString>,
    pub(crate) has_secret_command: bool,
    pub(crate) endpoint: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) sos_endpoint: Option<String>,
    pub(crate) default_zone: Option<String>,
}

/// The accounts of a file and which one is the default.
#[derive(Debug)]
pub(crate) struct AccountFile {
    pub(crate) default_account: Option<String>,
    pub(crate) accounts: Vec<Account>,
}

impl AccountFile {
    /// Reads the text of an `exoscale.toml`; `path` is only for messages.
    ///
    /// No error repeats any of the text, because the text holds secrets.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, ConfigError> {
        let table: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigError::unusable(format!("{path} is not valid TOML at line {line}"), FILE_HINT)
        })?;
        let wrong = |place: &str, expected: &str| {
            ConfigError::unusable(format!("{place} in {path} must be {expected}"), FILE_HINT)
        };
        let list = match lookup(&table, "Accounts") {
            None => &[][..],
            Some(Value::Array(list)) => list,
            Some(_) => return Err(wrong("Accounts", "a list of tables")),
        };
        let accounts = list
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                let place = format!("Accounts[{index}]");
                let entry = entry.as_table().ok_or_else(|| wrong(&place, "a table"))?;
                account(entry, &|key| wrong(&format!("{place}.{key}"), "a text"))
            })
            .collect::<Result<_, _>>()?;
        let default_account = text_at(&table, "DefaultAccount", &|key| wrong(key, "a text"))?;
        Ok(Self { default_account, accounts })
    }
}

fn account(table: &Table, wrong: &dyn Fn(&str) -> ConfigError) -> Result<Account, ConfigError> {
    let text = |key: &str| text_at(table, key, wrong);
    Ok(Account {
        name: text("Name")?.unwrap_or_default(),
        key: text("Key")?,
        secret: text("Secret")?.map(Into::into),
        has_secret_command: match lookup(table, "SecretCommand") {
            None => false,
            Some(Value::Array(words)) => !words.is_empty(),
            Some(_) => true,
        },
        endpoint: text("Endpoint")?,
        environment: text("Environment")?,
        sos_endpoint: text("SosEndpoint")?,
        default_zone: text("DefaultZone")?,
    })
}

/// The text under `key`; an empty one counts as absent, as in the CLI.
fn text_at(
    table: &Table,
    key: &str,
    wrong: &dyn Fn(&str) -> ConfigError,
) -> Result<Option<String>, ConfigError> {
    match lookup(table, key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(_) => Err(wrong(key)),
    }
}

fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    table
        .get(key)
        .or_else(|| table.iter().find(|(other, _)| other.eq_ignore_ascii_case(key)).map(|(_, value)| value))
}
