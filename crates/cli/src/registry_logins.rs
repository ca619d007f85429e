//! Logins to image registries, in files of the state directory: each the
//! `config.json` that `docker login` writes.

use std::collections::BTreeMap;
use std::path::Path;

use exokit_engine::registry_logins::{NoLogin, RegistryLogins};
use secrecy::SecretString;
use serde::Deserialize;

use crate::state_dir::{StateDir, read_optional};

/// The part of the file that holds logins.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

/// One login. It is only looked at for whether it is there.
#[derive(Deserialize)]
struct Login {
    auth: Option<SecretString>,
}

impl RegistryLogins for StateDir {
    fn read(&self, name: &str) -> Result<SecretString, NoLogin> {
        let path = self.registry_login(name);
        let text = read_optional(&path).map_err(|error| refused(&path, &error.text()))?;
        let text = text.map(SecretString::from).ok_or_else(|| refused(&path, &"the file does not exist"))?;
        check(&path, text)
    }
}

fn check(path: &Path, text: SecretString) -> Result<SecretString, NoLogin> {
    use secrecy::ExposeSecret as _;
    // The library's error could quote a part of it.
    let config: DockerConfig = serde_json::from_str(text.expose_secret())
        .map_err(|_| refused(path, &"it is not a Docker config"))?;
    let has_login = |login: &Login| login.auth.as_ref().is_some_and(|auth| !auth.expose_secret().is_empty());
    match config.auths.values().any(has_login) {
        true => Ok(text),
        // A credential helper keeps them elsewhere.
        false => Err(refused(path, &"it has no login with `auth`; a credential helper may store them")),
    }
}

fn refused(path: &Path, why: &dyn std::fmt::Display) -> NoLogin {
    let path = path.display();
    NoLogin {
        why: format!("{path}: {why}"),
        hint: format!(
            "on the engine's host: docker --config FOLDER login REGISTRY, then put FOLDER/config.json at {path}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_with_a_login_is_taken_and_no_error_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path().to_owned());
        let path = state.registry_login("corp");
        assert!(state.read("corp").unwrap_err().why.contains("does not exist"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (text, why) in [
            ("hunter2", "not a Docker config"),
            (r#"{"credsStore":"hunter2"}"#, "no login"),
            (r#"{"auths":{"r.example":{}}}"#, "no login"),
        ] {
            std::fs::write(&path, text).unwrap();
            let refused = state.read("corp").unwrap_err();
            assert!(refused.why.contains(why) && !format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
        std::fs::write(&path, r#"{"auths":{"r.example":{"auth":"aHVudGVyMg=="}}}"#).unwrap();
        assert!(state.read("corp").is_ok());
    }
}
