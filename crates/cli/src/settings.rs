//! Flags, environment and files, resolved once. Nothing else in this program
//! reads the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use exokit_cloud::config::{self, AccountText, CloudConfig, ConfigError};
use exokit_model::ids::PersonId;
use exokit_sim::Speed;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::args::{CloudName, GlobalArgs};
use crate::error::{CliError, Doing as _};
use crate::output::Output;
use crate::state_dir::{Marker, StateDir};

/// How fast the embedded cloud runs unless something else is said.
const SPEED_DEFAULT: &str = "20";

/// Everything that the commands need to know from outside. It has no debug
/// form: passphrase, root secret and the variables are in it.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) output: Output,
    pub(crate) person: PersonId,
    /// The cloud and the state directory; the error is for commands that need
    /// them.
    pub(crate) workspace: Result<Workspace, CliError>,
    pub(crate) passphrase: Option<Zeroizing<String>>,
    /// The engine's root secret in hexadecimal digits.
    pub(crate) root_secret: Option<Zeroizing<String>>,
    /// What `--state` says, as it stands.
    pub(crate) state_flag: Option<PathBuf>,
    /// What `--speed` or the variable says, as it stands.
    pub(crate) speed: Option<String>,
    /// The agent that is asked instead of working here.
    pub(crate) agent: Option<String>,
    /// Whether `--as` or EXOKIT_PERSON names the person.
    pub(crate) is_person_given: bool,
    pub(crate) program: PathBuf,
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    pub(crate) cloud: CloudName,
    pub(crate) state: StateDir,
    pub(crate) speed: Speed,
    /// Words for `speed`, as they were given.
    pub(crate) speed_text: String,
}

impl Settings {
    /// Resolves everything; what only some commands need is kept as an error
    /// for those.
    pub(crate) fn resolve(global: &GlobalArgs) -> Result<Self, CliError> {
        let variables = environment();
        let get = |name: &str| given(&variables, name);
        let colours = get("NO_COLOR").is_none() && get("TERM") != Some("dumb");
        let speed = global.speed.clone().or_else(|| get("EXOKIT_SIM_SPEED").map(str::to_owned));
        let state = global.state.clone().or_else(|| get("EXOKIT_STATE").map(PathBuf::from));
        let person = match (&global.person, get("EXOKIT_PERSON")) {
            (Some(person), _) => person.clone(),
            (None, Some(text)) => text.parse().doing("reading", "EXOKIT_PERSON")?,
            (None, None) => user(get("USER").or(get("LOGNAME")).or(get("USERNAME"))),
        };
        let workspace = workspace(global.cloud, state, speed.as_deref(), &variables);
        Ok(Self {
            output: Output::new(global.output, colours, global.quiet),
            person,
            workspace,
            passphrase: variables.get("EXOKIT_PASSPHRASE").cloned().map(Zeroizing::new),
            root_secret: get("EXOKIT_ROOT_SECRET").map(str::to_owned).map(Zeroizing::new),
            state_flag: global.state.clone(),
            speed,
            agent: global.agent.clone().or_else(|| get("EXOKIT_AGENT").map(str::to_owned)),
            is_person_given: global.person.is_some() || get("EXOKIT_PERSON").is_some(),
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("exokit")),
            variables,
        })
    }

    pub(crate) fn workspace(&self) -> Result<&Workspace, CliError> {
        self.workspace.as_ref().map_err(Clone::clone)
    }

    /// Variables that would lead a process that is started from here to
    /// another cloud.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = (&String, &String)> {
        let leads = |name: &str| {
            ["EXOKIT_", "EXOSCALE_", "EXO_API_", "CLOUDSTACK_"].iter().any(|p| name.starts_with(p))
        };
        self.variables.iter().filter(move |(name, _)| leads(name))
    }

    /// A variable that one part of the program needs; none when it is empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        given(&self.variables, name)
    }

    /// The same as a secret.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        self.variable(name).map(SecretString::from)
    }

    /// Credentials, zone and endpoints of the Exoscale account.
    pub(crate) fn account(&self) -> Result<CloudConfig, CliError> {
        credentials(&self.variables)?.ok_or_else(no_credentials)
    }
}

fn given<'v>(variables: &'v BTreeMap<String, String>, name: &str) -> Option<&'v str> {
    variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// The environment. Values that are not Unicode count as not set.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A person's id from the name of a user of this host, or else from the id under
/// which this process runs.
fn user(name: Option<&str>) -> PersonId {
    let slug: String = name
        .unwrap_or_default()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let slug: String = slug.trim_start_matches(|c: char| !c.is_ascii_lowercase()).chars().take(40).collect();
    #[expect(clippy::expect_used, reason = "`uid-` and a number are a valid id")]
    slug.trim_end_matches('-').parse().or_else(|_| user_id().parse()).expect("`uid-` and a number")
}

/// The user of this process, to whom a new file belongs.
#[cfg(unix)]
fn user_id() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let uid = tempfile::tempfile().and_then(|file| file.metadata()).map_or(0, |file| file.uid());
    format!("uid-{uid}")
}

/// Other systems always name the user.
#[cfg(not(unix))]
fn user_id() -> String {
    "uid-0".to_owned()
}

fn workspace(
    flag: Option<CloudName>,
    state: Option<PathBuf>,
    speed: Option<&str>,
    variables: &BTreeMap<String, String>,
) -> Result<Workspace, CliError> {
    let given = state.map(StateDir::new);
    let marker = given.as_ref().map(StateDir::marker).transpose()?.flatten();
    let cloud = choose(flag, marker.as_ref(), variables)?;
    let state = match given {
        Some(state) => state,
        None => default_state(&data_folder(variables)?, cloud),
    };
    let marker = match marker {
        Some(marker) => Some(marker),
        None => state.marker()?,
    };
    if let Some(marker) = marker.as_ref().filter(|marker| marker.cloud != cloud.as_str()) {
        let why = format!("it belongs to --cloud {}, not to --cloud {}", marker.cloud, cloud.as_str());
        let hint = "use another directory with --state: a ledger that is held against another cloud would take everything for gone";
        let (doing, on) = ("using the state directory", state.root().display());
        return Err(CliError::unusable("other-cloud", doing, on, why, hint));
    }
    let remembered = marker.and_then(|marker| marker.speed);
    let speed_text = speed.map(str::to_owned).or(remembered).unwrap_or_else(|| SPEED_DEFAULT.to_owned());
    Ok(Workspace { cloud, state, speed: parse_speed(&speed_text)?, speed_text })
}

pub(crate) fn parse_speed(text: &str) -> Result<Speed, CliError> {
    text.parse().map_err(|why| {
        let hint = "1 is real time, 20 is twenty times as fast, max leaves all waiting out";
        CliError::unusable("usage", "reading", "--speed", why, hint)
    })
}

/// The cloud: by flag, by variable, by what the given directory remembers,
/// because there are credentials, or because there is exactly one default state
/// directory.
fn choose(
    flag: Option<CloudName>,
    marker: Option<&Marker>,
    variables: &BTreeMap<String, String>,
) -> Result<CloudName, CliError> {
    let variable = variables.get("EXOKIT_CLOUD").map(String::as_str).filter(|value| !value.is_empty());
    let named = |name: &str, from: &str| {
        CloudName::from_str(name, false).map_err(|_| {
            let why = format!("{name:?} is not a cloud");
            CliError::unusable("usage", "reading", from, why, "use sim or exoscale")
        })
    };
    match (flag, variable, marker) {
        (Some(flag), _, _) => Ok(flag),
        (None, Some(name), _) => named(name, "EXOKIT_CLOUD"),
        (None, None, Some(marker)) => named(&marker.cloud, "the state directory"),
        (None, None, None) => match credentials(variables)? {
            Some(_) => Ok(CloudName::Exoscale),
            None => only_used(variables).ok_or_else(no_credentials),
        },
    }
}

/// The cloud of the only default state directory that was used before.
fn only_used(variables: &BTreeMap<String, String>) -> Option<CloudName> {
    let folder = data_folder(variables).ok()?;
    let is_used = |cloud: &CloudName| {
        let marker = default_state(&folder, *cloud).marker();
        marker.is_ok_and(|marker| marker.is_some_and(|marker| marker.cloud == cloud.as_str()))
    };
    let mut used = CloudName::value_variants().iter().copied().filter(is_used);
    used.next().filter(|_| used.next().is_none())
}

fn default_state(data_folder: &Path, cloud: CloudName) -> StateDir {
    StateDir::new(data_folder.join("exokit").join(cloud.as_str()))
}

/// The Exoscale account; none when there are no credentials.
fn credentials(variables: &BTreeMap<String, String>) -> Result<Option<CloudConfig>, CliError> {
    let file = account_file(variables);
    let text = file.as_ref().map(|path| crate::state_dir::read(path)).transpose()?;
    let path = file.map(|path| path.display().to_string()).unwrap_or_default();
    let text = text.as_ref().map(|text| AccountText { path: &path, text });
    match config::resolve(variables, text) {
        Err(ConfigError::NoCredentials) => Ok(None),
        account => account.map(Some).doing("choosing the cloud", ""),
    }
}

fn no_credentials() -> CliError {
    let hint = "for Exoscale set EXOSCALE_API_KEY and EXOSCALE_API_SECRET (or run `exo config`); to try it \
                out add `--cloud sim` (or set EXOKIT_CLOUD=sim) for the embedded simulated cloud";
    let why = "no cloud is chosen and no Exoscale credentials were found";
    CliError::unusable("credentials", "choosing the cloud", "", why, hint)
}

/// Where the exo CLI looks for its file, in its order.
fn account_file(variables: &BTreeMap<String, String>) -> Option<PathBuf> {
    let get = |name: &str| variables.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = get("EXOSCALE_CONFIG") {
        return Some(path);
    }
    let home = get("HOME");
    let config = get("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let folders = [
        config.map(|folder| folder.join("exoscale")),
        home.as_ref().map(|home| home.join(".exoscale")),
        home,
        Some(PathBuf::from(".")),
    ];
    folders.into_iter().flatten().map(|folder| folder.join("exoscale.toml")).find(|path| path.is_file())
}

fn data_folder(variables: &BTreeMap<String, String>) -> Result<PathBuf, CliError> {
    let get = |name: &str| {
        variables.get(name).map(Path::new).filter(|path| path.is_absolute()).map(Path::to_path_buf)
    };
    get("XDG_DATA_HOME").or_else(|| get("HOME").map(|home| home.join(".local/share"))).ok_or_else(|| {
        let hint = "say where with --state or EXOKIT_STATE";
        CliError::unusable(
            "state",
            "finding the state directory",
            "",
            "neither XDG_DATA_HOME nor HOME is set",
            hint,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_become_person_ids() {
        for (name, id) in [("Alex.Meier", "alex-meier"), ("7up", "up"), ("x-", "x")] {
            assert_eq!(user(Some(name)).as_str(), id);
        }
        for name in [None, Some(""), Some("--"), Some("42")] {
            assert_eq!(user(name).as_str(), user_id());
        }
    }

    #[test]
    fn without_flag_and_credentials_the_error_names_both_ways_on() {
        let error = workspace(None, None, None, &BTreeMap::new()).unwrap_err();
        assert!(error.hint.contains("EXOSCALE_API_KEY") && error.hint.contains("--cloud sim"), "{error:?}");
    }
}
