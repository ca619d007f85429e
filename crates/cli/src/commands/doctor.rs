//! `exokit doctor`: is everything as it should be? What concerns this host is
//! checked here; the rest is asked for.

use exokit_text::format::table;
use exokit_wire::reply::{CheckStatus, Finding};
use exokit_wire::request::DoctorRequest;

use crate::args::CloudName;
use crate::connection::Connection;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::session::{price_list, templates};
use crate::settings::{Settings, Workspace};

pub(crate) async fn run(settings: &Settings) -> Result<Exit, CliError> {
    let (mut findings, request) = match (&settings.agent, settings.workspace()) {
        (Some(_), _) => (Vec::new(), Some(DoctorRequest::default())),
        (None, Ok(workspace)) => check_host(settings, workspace),
        (None, Err(error)) => (vec![finding("cloud", Err(error))], None),
    };
    match request {
        Some(request) => match Connection::open(settings, None).await?.call(&request).await {
            Ok(reply) => findings.extend(reply.findings),
            Err(error) if settings.agent.is_some() => return Err(error),
            Err(error) => findings.push(finding("service", Err(error))),
        },
        None => {
            findings.push(finding("templates", templates(settings).map(|_| (String::new(), None))));
            findings.push(finding("prices", price_list(settings).map(|list| (list.date, None))));
        }
    }
    settings.output.data(&findings, || {
        let word = |status| match status {
            CheckStatus::Ok => "ok",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "FAIL",
        };
        let row = |f: &Finding| [f.check.clone(), word(f.status).to_owned(), f.what.clone(), f.hint.clone()];
        table(["CHECK", "STATE", "FOUND", "WHAT TO DO"], findings.iter().map(row))
    })?;
    Ok(Exit::of_comparison(findings.iter().any(|finding| finding.status == CheckStatus::Fail)))
}

/// Good news, or a warning with a hint.
type Checked = Result<(String, Option<String>), CliError>;

fn fine(what: impl ToString) -> Checked {
    Ok((what.to_string(), None))
}

fn warn(what: impl ToString, hint: impl ToString) -> Checked {
    Ok((what.to_string(), Some(hint.to_string())))
}

fn finding(check: &str, checked: Checked) -> Finding {
    Finding::new(check, checked.map_err(Into::into))
}

/// Checks this host. The request asks for no check that would create a file.
fn check_host(settings: &Settings, workspace: &Workspace) -> (Vec<Finding>, Option<DoctorRequest>) {
    let credentials = check_credentials(settings, workspace);
    let has_cloud = credentials.is_ok()
        && (workspace.cloud == CloudName::Exoscale || workspace.state.embedded_cloud().exists());
    let mut findings = vec![
        finding("state", check_state(workspace)),
        finding("keyring", check_keyring(settings, workspace)),
        finding("credentials", credentials),
    ];
    if workspace.cloud == CloudName::Sim && !has_cloud {
        findings
            .push(finding("cloud", warn("the embedded cloud is not made yet", "it is made at first use")));
    }
    if !workspace.state.ledger().exists() {
        findings.push(finding("ledger", warn("there is none yet", "it is made at first use")));
        return (findings, None);
    }
    (findings, Some(DoctorRequest { skip_cloud: !has_cloud }))
}

fn check_state(workspace: &Workspace) -> Checked {
    let root = workspace.state.root();
    let marker = workspace.state.marker()?;
    if !root.exists() {
        return warn(format!("{} does not exist yet", root.display()), "it is made at first use");
    }
    tempfile::tempfile_in(root).doing("writing to", root.display())?;
    let cloud = marker.map_or_else(|| "no cloud yet".to_owned(), |marker| format!("cloud {}", marker.cloud));
    fine(format!("{}, {cloud}", root.display()))
}

fn check_keyring(settings: &Settings, workspace: &Workspace) -> Checked {
    let path = workspace.state.keyring();
    if settings.root_secret.is_none() && !path.exists() {
        return match workspace.state.ledger().exists() {
            true => keys::keyring(settings, &workspace.state, false).map(|_| (String::new(), None)),
            false => warn("there is none yet", "it is made at first use; back it up, it is not in exports"),
        };
    }
    keys::keyring(settings, &workspace.state, false)?;
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(&path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        if mode & 0o077 != 0 {
            return warn(format!("{} can be read by others", path.display()), "chmod 600 it");
        }
    }
    fine(if settings.root_secret.is_some() {
        "EXOKIT_ROOT_SECRET".to_owned()
    } else {
        path.display().to_string()
    })
}

fn check_credentials(settings: &Settings, workspace: &Workspace) -> Checked {
    match workspace.cloud {
        CloudName::Sim => fine("the embedded cloud has its own"),
        CloudName::Exoscale => fine(settings.account()?.origin),
    }
}
