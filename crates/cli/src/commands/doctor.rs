//! `exokit doctor`: is everything as it should be?

use std::time::Duration;

use exokit_ledger::Ledger as _;
use exokit_text::format::table;
use jiff::SignedDuration;
use serde::Serialize;

use crate::args::CloudName;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::keys;
use crate::session::{Reach, Session, open_ledger, price_list, templates};
use crate::settings::{Place, Settings};

/// A list of prices that is older is worth a word.
const PRICES_DAYS_MAX: i32 = 90;

/// Clocks that are further apart make signatures fail.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(5);

/// Longest wait for the cloud's answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    what: String,
    hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

pub(crate) async fn run(settings: &Settings) -> Result<Exit, CliError> {
    let mut findings =
        vec![from("templates", check_templates(settings)), from("prices", check_prices(settings))];
    match settings.place() {
        Err(error) => findings.push(from("cloud", Err(error))),
        Ok(place) => {
            findings.push(from("state", check_state(place)));
            findings.push(from("ledger", check_ledger(place).await));
            findings.push(from("keyring", check_keyring(settings, place)));
            findings.push(from("approvals", check_approvals(settings, place).await));
            findings.push(from("credentials", check_credentials(settings, place)));
            findings.extend(check_cloud(settings, place).await);
        }
    }
    settings.output.data(&findings, || {
        let word = |status| match status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let row =
            |f: &Finding| vec![f.check.to_owned(), word(f.status).to_owned(), f.what.clone(), f.hint.clone()];
        let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
        table(&["CHECK", "STATE", "FOUND", "WHAT TO DO"], &rows)
    })?;
    Ok(match findings.iter().any(|finding| finding.status == Status::Fail) {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

/// Good news, or a warning with what to do about it.
type Checked = Result<(String, Option<String>), CliError>;

fn fine(what: impl ToString) -> Checked {
    Ok((what.to_string(), None))
}

fn warn(what: impl ToString, hint: impl ToString) -> Checked {
    Ok((what.to_string(), Some(hint.to_string())))
}

fn from(check: &'static str, checked: Checked) -> Finding {
    match checked {
        Ok((what, None)) => Finding { check, status: Status::Ok, what, hint: String::new() },
        Ok((what, Some(hint))) => Finding { check, status: Status::Warn, what, hint },
        Err(error) => {
            let what = format!("{} {}: {}", error.doing, error.on, error.why);
            Finding { check, status: Status::Fail, what, hint: error.hint }
        }
    }
}

fn check_templates(settings: &Settings) -> Checked {
    let set = templates(settings)?;
    let names: Vec<String> = set.iter().map(|template| template.id.to_string()).collect();
    fine(names.join(", "))
}

fn check_prices(settings: &Settings) -> Checked {
    let prices = price_list(settings)?;
    let what = format!("{} prices of {} in {}", prices.hourly.len(), prices.date, prices.currency);
    let clock = exokit_cloud::clock::SystemClock;
    let today = exokit_cloud::clock::Clock::now(&clock).to_zoned(jiff::tz::TimeZone::UTC).date();
    let age = prices.date.parse::<jiff::civil::Date>().ok().and_then(|date| date.until(today).ok());
    match age.is_some_and(|age| age.get_days() > PRICES_DAYS_MAX) {
        true => warn(what, "they are old: exokit prices update"),
        false => fine(what),
    }
}

fn check_state(place: &Place) -> Checked {
    let root = place.state.root();
    let marker = place.state.marker()?;
    if !root.exists() {
        return warn(format!("{} does not exist yet", root.display()), "it is made at first use");
    }
    tempfile::tempfile_in(root).doing("writing to", root.display())?;
    let cloud = marker.map_or_else(|| "no cloud yet".to_owned(), |marker| format!("cloud {}", marker.cloud));
    fine(format!("{}, {cloud}", root.display()))
}

async fn check_ledger(place: &Place) -> Checked {
    let path = place.state.ledger();
    if !path.exists() {
        return warn("there is none yet", "it is made at first use");
    }
    let ledger = open_ledger(&place.state)?;
    let audit = ledger.audit(None).await.doing("auditing", path.display())?;
    fine(format!("{} records, the chain is whole", audit.head.seq))
}

fn check_keyring(settings: &Settings, place: &Place) -> Checked {
    let path = place.state.keyring();
    if settings.root_secret.is_none() && !path.exists() {
        return match place.state.ledger().exists() {
            true => keys::keyring(settings, &place.state, false).map(|_| (String::new(), None)),
            false => warn("there is none yet", "it is made at first use; back it up, it is not in exports"),
        };
    }
    keys::keyring(settings, &place.state, false)?;
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

async fn check_approvals(settings: &Settings, place: &Place) -> Checked {
    if keys::pinned_root(&place.state)?.is_none() || !place.state.ledger().exists() {
        return warn("no root key is pinned: only plans of level 1 can run", "exokit approver init");
    }
    let session = Session::open(settings, Reach::Ledger).await?;
    let roster = session.engine.roster().await.doing("reading", "the roster")?;
    let able = |person: &&exokit_model::approval::Person| {
        person.agent_of.is_none() && person.keys.iter().any(|key| key.revoked_at.is_none())
    };
    let count = roster.persons.iter().filter(able).count();
    let what =
        format!("roster version {}, {count} persons can vote, you are {}", roster.version, settings.person);
    match (count, roster.person(&settings.person)) {
        (0..2, _) => warn(what, "level 3 needs two persons: exokit approver add"),
        (_, None) => warn(what, format!("you are not in it: exokit approver add {}", settings.person)),
        _ => fine(what),
    }
}

fn check_credentials(settings: &Settings, place: &Place) -> Checked {
    match place.cloud {
        CloudName::Sim => fine("the embedded cloud has its own"),
        CloudName::Exoscale => fine(settings.account()?.origin),
    }
}

/// Whether the cloud answers, accepts the key, and tells the same time.
async fn check_cloud(settings: &Settings, place: &Place) -> Vec<Finding> {
    // Looking must not make anything.
    if place.cloud == CloudName::Sim && !place.state.embedded_cloud().exists() {
        return vec![from("cloud", warn("the embedded cloud is not made yet", "it is made at first use"))];
    }
    let session = match Session::open(settings, Reach::Cloud).await {
        Ok(session) => session,
        Err(error) => return vec![from("cloud", Err(error))],
    };
    let asked = async {
        let zones = session.engine.zones(&session.zone).await.doing("asking", "for the zones")?;
        let catalog = session.engine.catalog(&session.zone).await.doing("asking", "with the key")?;
        fine(format!(
            "{} answers: {} zones, {} machine types, Kubernetes {}",
            session.zone,
            zones.len(),
            catalog.instance_types.len(),
            catalog.sks_versions.first().map_or("?", String::as_str)
        ))
    };
    let answer = match tokio::time::timeout(ANSWER_MAX, asked).await {
        Ok(answer) => answer,
        Err(late) => {
            Err(CliError::new("network", "asking", "the cloud", late, "check the network and the endpoint"))
        }
    };
    vec![from("cloud", answer), from("clock", check_clock(&session))]
}

fn check_clock(session: &Session) -> Checked {
    let Some(skew) = session.engine.parts().client.skew() else {
        return warn("not measured", "the cloud gave no date");
    };
    let what = format!("the cloud's clock is {:.1} s from this one", skew.ahead.as_secs_f64());
    match skew.ahead.abs() > SKEW_MAX {
        true => warn(what, "set this host's clock; signatures depend on it"),
        false => fine(what),
    }
}
