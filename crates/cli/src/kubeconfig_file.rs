//! A kubeconfig: made from credentials that were checked, and put into a file
//! beside what is there.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use exokit_model::access::{ClusterCredentials, ClusterRole};
use exokit_model::ids::EnvironmentName;
use serde_json::{Map, Value, json};

use crate::error::CliError;
use crate::state_dir::{read_optional, replace};

/// The version of credentials that kubectl takes from a plugin since 1.11.
const EXEC_VERSION: &str = "client.authentication.k8s.io/v1beta1";

/// By what kubectl identifies itself.
pub(crate) enum Login {
    /// The certificate and key of the credentials.
    Certificate,
    /// This command, which prints them.
    Command(Vec<String>),
}

/// The kubeconfig of one environment.
pub(crate) fn kubeconfig(
    environment: &EnvironmentName,
    role: ClusterRole,
    credentials: &ClusterCredentials,
    login: &Login,
) -> Value {
    let name = format!("exokit-{environment}");
    let user = format!("{name}-{role}");
    let data = |pem: &str| BASE64.encode(pem.as_bytes());
    let mut cluster = json!({
        "server": credentials.server,
        "certificate-authority-data": data(&credentials.certificate_authority),
    });
    if let Some(host) = &credentials.tls_server_name {
        cluster["tls-server-name"] = json!(host);
    }
    let identity = match login {
        Login::Certificate => json!({
            "client-certificate-data": data(&credentials.client_certificate),
            "client-key-data": data(&credentials.client_key),
        }),
        Login::Command(command) => json!({ "exec": {
            "apiVersion": EXEC_VERSION,
            "command": command.first(),
            "args": command.get(1..).unwrap_or_default(),
            "interactiveMode": "Never",
            "provideClusterInfo": false,
        }}),
    };
    let context = json!({ "cluster": name, "user": user, "namespace": credentials.namespace });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": name, "cluster": cluster }],
        "users": [{ "name": user, "user": identity }],
        "contexts": [{ "name": name, "context": context }],
        "current-context": name,
    })
}

/// A credential as kubectl takes it from a plugin.
pub(crate) fn exec_credential(credentials: &ClusterCredentials, expires_at: Option<String>) -> Value {
    json!({
        "apiVersion": EXEC_VERSION,
        "kind": "ExecCredential",
        "status": {
            "expirationTimestamp": expires_at,
            "clientCertificateData": credentials.client_certificate,
            "clientKeyData": credentials.client_key,
        },
    })
}

/// A kubeconfig as YAML. Certificates stand on one line, as kubectl writes them.
pub(crate) fn yaml(config: &Value) -> Result<String, CliError> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(config, options).map_err(|error| {
        CliError::new("encoding", "writing", "the kubeconfig", error, crate::error::OUR_MISTAKE)
    })
}

/// The user's kubeconfig: the first file of KUBECONFIG, or that of the home folder.
pub(crate) fn default_file(variable: Option<&str>, home: Option<&str>) -> Result<PathBuf, CliError> {
    let first =
        variable.and_then(|files| std::env::split_paths(files).find(|path| !path.as_os_str().is_empty()));
    let at_home = || home.map(|home| Path::new(home).join(".kube").join("config"));
    first
        .or_else(at_home)
        .ok_or_else(|| CliError::usage("neither KUBECONFIG nor HOME is set", "name the file with --file"))
}

/// Puts a kubeconfig into a file. Entries of the same names are replaced, all
/// others stay; a file that is no kubeconfig stays as it is.
pub(crate) fn merge(path: &Path, config: &Value) -> Result<(), CliError> {
    // A link stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let before = read_optional(&path)?.filter(|text| !text.trim().is_empty());
    let merged = match before {
        None => config.clone(),
        Some(text) => merged(&path, &text, config)?,
    };
    replace(&path, yaml(&merged)?.as_bytes())
}

fn merged(path: &Path, text: &str, config: &Value) -> Result<Value, CliError> {
    let refused = |why: String| {
        let hint = "mend it, or name another file with --file; nothing was changed";
        CliError::new("kubeconfig", "reading", path.display(), why, hint)
    };
    let mut into: Map<String, Value> =
        serde_saphyr::from_str(text).map_err(|error| refused(error.to_string()))?;
    for list in ["clusters", "users", "contexts"] {
        let added = config[list].as_array().into_iter().flatten();
        let there = into.entry(list).or_insert(Value::Null);
        if there.is_null() {
            *there = json!([]);
        }
        let there = there.as_array_mut().ok_or_else(|| refused(format!("{list} is not a list")))?;
        for entry in added {
            there.retain(|old| old["name"] != entry["name"]);
            there.push(entry.clone());
        }
    }
    for field in ["apiVersion", "kind", "current-context"] {
        into.insert(field.to_owned(), config[field].clone());
    }
    Ok(Value::Object(into))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server: &str) -> Value {
        let credentials = ClusterCredentials {
            server: server.to_owned(),
            tls_server_name: None,
            certificate_authority: "CA".to_owned(),
            client_certificate: "CERT".to_owned(),
            client_key: "KEY".to_owned(),
            namespace: "exo-stargate-test".to_owned(),
        };
        kubeconfig(&"first".parse().unwrap(), ClusterRole::Viewer, &credentials, &Login::Certificate)
    }

    #[test]
    fn a_merge_keeps_what_is_there_and_replaces_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("config");
        merge(&path, &config("https://old")).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text = text.replace("exokit-first", "mine");
        std::fs::write(&path, format!("{text}preferences: {{}}\n")).unwrap();
        merge(&path, &config("https://one")).unwrap();
        merge(&path, &config("https://two")).unwrap();
        let merged: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let names: Vec<&Value> =
            merged["clusters"].as_array().unwrap().iter().map(|cluster| &cluster["name"]).collect();
        assert_eq!(names, ["mine", "exokit-first"]);
        assert_eq!(merged["clusters"][0]["cluster"]["server"], "https://old");
        assert_eq!(merged["clusters"][1]["cluster"]["server"], "https://two");
        assert_eq!(merged["users"].as_array().unwrap().len(), 2);
        assert_eq!(merged["current-context"], "exokit-first");
        assert_eq!(merged["preferences"], json!({}));
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for text in ["clusters: 7\n", "just text\n", "[1, 2]\n", "a: [\n"] {
            std::fs::write(&path, text).unwrap();
            let error = merge(&path, &config("https://one")).unwrap_err();
            assert!(error.hint.contains("nothing was changed"), "{error:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn the_first_file_of_the_variable_is_taken() {
        let file = |variable, home| default_file(variable, home).map_err(|error| error.why);
        assert_eq!(file(Some(":/a:/b"), Some("/home/kim")), Ok("/a".into()));
        assert_eq!(file(None, Some("/home/kim")), Ok("/home/kim/.kube/config".into()));
        assert!(file(None, None).unwrap_err().contains("HOME"));
    }
}
