//! `exokit token`: bearer tokens for the agent's HTTP.

use std::collections::BTreeSet;

use exokit_agent::tokens::{TOKEN_BYTES, Token, TokenFile};
use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_text::format::{moment, table};
use exokit_wire::verb::Scope;
use jiff::SignedDuration;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::args::TokenCommand;
use crate::error::{CliError, OUR_MISTAKE};
use crate::exit::Exit;
use crate::keys;
use crate::settings::Settings;
use crate::state_dir::{StateDir, read_optional, replace};

pub(crate) fn run(settings: &Settings, command: TokenCommand) -> Result<Exit, CliError> {
    let state = &settings.workspace()?.state;
    let mut file = read(state)?;
    match command {
        TokenCommand::Create { person, scopes, expires } => {
            let now = SystemClock.now();
            let lasts = SignedDuration::from_secs(i64::try_from(expires).unwrap_or(i64::MAX));
            let until = now.checked_add(lasts).unwrap_or(jiff::Timestamp::MAX);
            let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
            let random = keys::random::<TOKEN_BYTES>()?;
            let (token, secret) = file.add(person, &scopes, (now, until), random);
            write(state, &file)?;
            settings.output.note("Keep it: it is shown this once.");
            let value = json!({
                "id": token.id, "person": token.person, "scopes": token.scopes,
                "expires_at": token.expires_at, "token": secret.expose_secret(),
            });
            settings.output.data(&value, || format!("{}\n", secret.expose_secret()))?;
        }
        TokenCommand::List => {
            let shown: Vec<_> = file.tokens.iter().map(without_digest).collect();
            settings.output.data(&shown, || {
                table(["ID", "FOR", "SCOPES", "CREATED", "EXPIRES"], file.tokens.iter().map(row))
            })?;
        }
        TokenCommand::Revoke { id } => {
            if !file.remove(&id) {
                let hint = "`exokit token list` shows all";
                return Err(CliError::new("no-token", "revoking", &id, "there is no such token", hint));
            }
            write(state, &file)?;
            settings.output.data(&json!({ "revoked": id }), || format!("{id} is no longer valid.\n"))?;
        }
    }
    Ok(Exit::Done)
}

fn without_digest(token: &Token) -> serde_json::Value {
    json!({
        "id": token.id, "person": token.person, "scopes": token.scopes,
        "created_at": token.created_at, "expires_at": token.expires_at,
    })
}

fn row(token: &Token) -> [String; 5] {
    let scopes: Vec<&str> = token.scopes.iter().map(String::as_str).collect();
    [
        token.id.clone(),
        token.person.to_string(),
        scopes.join(", "),
        moment(token.created_at),
        moment(token.expires_at),
    ]
}

fn read(state: &StateDir) -> Result<TokenFile, CliError> {
    let path = state.tokens();
    let Some(text) = read_optional(&path)? else { return Ok(TokenFile::default()) };
    serde_json::from_str(&text).map_err(|error| {
        let hint = "restore the file, or remove it and make new tokens";
        CliError::new("tokens", "reading", path.display(), error, hint)
    })
}

fn write(state: &StateDir, file: &TokenFile) -> Result<(), CliError> {
    state.create()?;
    let path = state.tokens();
    let text = serde_json::to_string_pretty(file)
        .map_err(|error| CliError::new("tokens", "writing", path.display(), error, OUR_MISTAKE))?;
    replace(&path, format!("{text}\n").as_bytes())
}
