//! `exokit kubeconfig`: access to an environment's cluster.

use std::path::Path;

use exokit_model::access::{Access, ClusterCredentials};
use exokit_text::format::moment;
use exokit_wire::request::KubeconfigRequest;
use secrecy::ExposeSecret as _;

use crate::access::{Obtained, Wanted, obtain};
use crate::args::KubeconfigArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::kubeconfig_file::{Login, default_file, exec_credential, kubeconfig, merge, yaml};
use crate::settings::Settings;

pub(crate) async fn run(connection: &Connection<'_>, args: &KubeconfigArgs) -> Result<Exit, CliError> {
    let (environment, role) = (&args.environment, args.role);
    let ttl_seconds = u32::try_from(args.ttl).unwrap_or(u32::MAX);
    let wanted = Wanted { environment, access: Access::Kubeconfig { role, ttl_seconds }, wait: args.wait };
    let obtained = obtain(connection, &wanted, |recipient, plan_id| KubeconfigRequest {
        environment: environment.clone(),
        role,
        ttl_seconds,
        recipient,
        plan_id,
    });
    let Some(Obtained { text, expires_at }) = obtained.await? else { return Ok(Exit::Detached) };
    let credentials: ClusterCredentials = serde_json::from_str(text.expose_secret()).map_err(|_| {
        let (why, hint) = ("they are incomplete", "ask again; if it stays so, report it");
        CliError::new("sealed", "reading", "the credentials", why, hint)
    })?;
    let settings = connection.settings;
    let output = &settings.output;
    if args.credential {
        let credential = exec_credential(&credentials, expires_at.map(|end| end.to_string()));
        output.raw(format!("{credential}\n").as_bytes())?;
        return Ok(Exit::Done);
    }
    let login = match args.exec {
        true => Login::Command(command(settings, args)),
        false => Login::Certificate,
    };
    let config = kubeconfig(environment, role, &credentials, &login);
    let until = match (args.exec, expires_at) {
        (true, _) => "kubectl asks exokit for credentials".to_owned(),
        (false, Some(end)) => format!("valid until {} UTC", moment(end)),
        (false, None) => "without an end".to_owned(),
    };
    if !args.merge {
        output.note(&format!("A {role} of {environment}, group {}, {until}", role.group()));
        output.raw(yaml(&config)?.as_bytes())?;
        return Ok(Exit::Done);
    }
    let file = match &args.file {
        Some(file) => file.clone(),
        None => default_file(settings.variable("KUBECONFIG"), settings.variable("HOME"))?,
    };
    merge(&file, &config)?;
    output.note(&format!(
        "A {role} of {environment}, group {}, {until}; context exokit-{environment} in {}",
        role.group(),
        file.display()
    ));
    Ok(Exit::Done)
}

/// The command that prints credentials like these.
fn command(settings: &Settings, args: &KubeconfigArgs) -> Vec<String> {
    let mut command = vec![settings.program.display().to_string(), "kubeconfig".to_owned()];
    command.extend([args.environment.to_string(), "--credential".to_owned()]);
    command.extend(["--role".to_owned(), args.role.to_string()]);
    command.extend(["--ttl".to_owned(), format!("{}s", args.ttl)]);
    match (&settings.agent, &settings.workspace) {
        (Some(agent), _) => command.extend(["--agent".to_owned(), agent.clone()]),
        (None, Ok(workspace)) => {
            command.extend(["--cloud".to_owned(), workspace.cloud.as_str().to_owned()]);
            command.extend(["--state".to_owned(), absolute(workspace.state.root())]);
        }
        (None, Err(_)) => {}
    }
    if settings.is_person_given {
        command.extend(["--as".to_owned(), settings.person.to_string()]);
    }
    command
}

/// The path from wherever kubectl runs.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
