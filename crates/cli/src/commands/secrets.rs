//! `exokit secrets`: secrets of an environment, read when asked for.

use std::collections::BTreeMap;

use exokit_model::access::Access;
use exokit_model::ids::EnvironmentName;
use exokit_model::text::Escaped;
use exokit_text::format::table;
use exokit_wire::request::SecretsRequest;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::access::{Wanted, obtain};
use crate::args::{Format, SecretsArgs};
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::variables::line;

/// The secrets, for programs.
#[derive(Serialize)]
struct Secrets<'a> {
    environment: &'a EnvironmentName,
    secrets: &'a BTreeMap<String, String>,
}

pub(crate) async fn run(connection: &Connection<'_>, args: &SecretsArgs) -> Result<Exit, CliError> {
    let environment = &args.environment;
    let values: std::collections::BTreeSet<_> = args.names.iter().copied().collect();
    let access = Access::Secrets { values: values.clone() };
    let wanted = Wanted { environment, access, wait: args.wait };
    let obtained = obtain(connection, &wanted, |recipient, plan_id| SecretsRequest {
        environment: environment.clone(),
        values: values.clone(),
        recipient,
        plan_id,
    });
    let Some(obtained) = obtained.await? else { return Ok(Exit::Detached) };
    let secrets: BTreeMap<String, String> =
        serde_json::from_str(obtained.text.expose_secret()).map_err(|_| {
            let (why, hint) = ("it is not an object of texts", "ask again; if it stays so, report it");
            CliError::new("sealed", "reading", "the secrets", why, hint)
        })?;
    let output = &connection.settings.output;
    match output.format {
        Format::Env => {
            let lines = secrets.iter().map(|(name, value)| line(&variable(name), value));
            output.raw(lines.collect::<String>().as_bytes())?;
            Ok(Exit::Done)
        }
        Format::Table | Format::Json | Format::Yaml => {
            output.data(&Secrets { environment, secrets: &secrets }, || text(args, &secrets))
        }
    }
}

fn text(args: &SecretsArgs, secrets: &BTreeMap<String, String>) -> String {
    match (args.names.as_slice(), secrets.len()) {
        ([], 0) => format!("{} has no secrets.\n", args.environment),
        (_, 0) => format!("{} has no such secret.\n", args.environment),
        // Alone, so that a script can take it as it is.
        ([_], _) => secrets.values().map(|value| format!("{}\n", Escaped(value))).collect(),
        _ => {
            let rows = secrets.iter().map(|(name, value)| [name.clone(), Escaped(value).to_string()]);
            table(["SECRET", "VALUE"], rows)
        }
    }
}

/// The name of a variable that clients read, or that of the secret in capitals.
fn variable(name: &str) -> String {
    match name {
        "access-key" => "AWS_ACCESS_KEY_ID".to_owned(),
        "secret-key" => "AWS_SECRET_ACCESS_KEY".to_owned(),
        other => other.to_ascii_uppercase().replace('-', "_"),
    }
}
