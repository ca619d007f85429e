//! Secrets with the credentials of the database and of the bucket, and with the
//! login to the registry of the image.

use std::collections::BTreeMap;

use exokit_model::kind::Kind;
use exokit_model::secret_slot::{SecretSlot, SecretValue};
use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{EnvVar, Secret};
use serde_json::Value;

use crate::builder::{Builder, describe, node_key};
use crate::labels::shared_metadata;
use crate::object::WorkloadObject;
use crate::pod::{secret_variable, variable};

/// Key of the secret with the credentials of the database.
pub(crate) const DATABASE_SECRET: &str = "database-secret";
/// Key of the secret with the credentials of the bucket.
pub(crate) const BUCKET_SECRET: &str = "bucket-secret";

/// Key of the secret with the login to the registry of the image.
const LOGIN_SECRET: &str = "registry-login";

/// Names of the secrets in the cluster.
const LOGIN_NAME: &str = "registry-login";
const DATABASE_NAME: &str = "db-credentials";
const BUCKET_NAME: &str = "sos-credentials";

/// Keys of the cloud nodes that hold the values.
const DATABASE_NODE: &str = "database";
const BUCKET_NODE: &str = "bucket";
const BUCKET_KEY_NODE: &str = "bucket-key";

/// Adds a secret for the database, one for the bucket and one for the login,
/// where they exist.
pub(crate) fn add(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    if spec.database.is_some() {
        let slots = [
            ("uri", DATABASE_NODE, SecretValue::DatabaseUri),
            ("username", DATABASE_NODE, SecretValue::DatabaseUser),
            ("password", DATABASE_NODE, SecretValue::DatabasePassword),
        ];
        let secret = secret(spec, DATABASE_NAME, BTreeMap::new());
        let object = describe(DATABASE_SECRET, Kind::Secret, &secret, &[]);
        builder.push(with_slots(object, &slots, vec![DATABASE_NODE]));
    }
    if spec.bucket.is_some() {
        let slots = [
            ("bucket", BUCKET_NODE, SecretValue::BucketName),
            ("access-key", BUCKET_KEY_NODE, SecretValue::AccessKey),
            ("secret-key", BUCKET_KEY_NODE, SecretValue::SecretKey),
        ];
        let known = BTreeMap::from([("endpoint".to_owned(), ByteString(endpoint(spec).into_bytes()))]);
        let secret = secret(spec, BUCKET_NAME, known);
        let object = describe(BUCKET_SECRET, Kind::Secret, &secret, &[]);
        builder.push(with_slots(object, &slots, vec![BUCKET_NODE, BUCKET_KEY_NODE]));
    }
    if spec.workload.registry_login.is_some() {
        let slots = [(".dockerconfigjson", LOGIN_SECRET, SecretValue::RegistryLogin)];
        let type_ = Some("kubernetes.io/dockerconfigjson".to_owned());
        let secret = Secret { type_, ..secret(spec, LOGIN_NAME, BTreeMap::new()) };
        let object = describe(LOGIN_SECRET, Kind::Secret, &secret, &[]);
        builder.push(with_slots(object, &slots, Vec::new()));
    }
}

/// Keys of the secrets that the workload uses.
pub(crate) fn used(spec: &EnvironmentSpec) -> Vec<&'static str> {
    let database = spec.database.is_some().then_some(DATABASE_SECRET);
    let bucket = spec.bucket.is_some().then_some(BUCKET_SECRET);
    let login = spec.workload.registry_login.is_some().then_some(LOGIN_SECRET);
    database.into_iter().chain(bucket).chain(login).collect()
}

/// The secret that the workload's image is pulled with, if it takes one.
pub(crate) fn pulled_with(spec: &EnvironmentSpec) -> Option<&'static str> {
    spec.workload.registry_login.is_some().then_some(LOGIN_NAME)
}

/// Environment variables with the credentials, under the names that database
/// and S3 clients read.
///
/// `envFrom` would turn the keys of the secrets into variable names such as
/// `access-key`, which shells cannot read.
pub(crate) fn variables(spec: &EnvironmentSpec) -> Vec<EnvVar> {
    let mut variables = Vec::new();
    if spec.database.is_some() {
        let names =
            [("DATABASE_URL", "uri"), ("DATABASE_USER", "username"), ("DATABASE_PASSWORD", "password")];
        variables.extend(names.map(|(name, key)| secret_variable(name, DATABASE_NAME, key)));
    }
    if spec.bucket.is_some() {
        let names = [
            ("AWS_ACCESS_KEY_ID", "access-key"),
            ("AWS_SECRET_ACCESS_KEY", "secret-key"),
            ("AWS_ENDPOINT_URL_S3", "endpoint"),
            ("BUCKET_NAME", "bucket"),
        ];
        variables.extend(names.map(|(name, key)| secret_variable(name, BUCKET_NAME, key)));
        variables.push(variable("AWS_REGION", spec.zone.as_str()));
    }
    variables
}

/// Endpoint of the zone's object storage.
fn endpoint(spec: &EnvironmentSpec) -> String {
    format!("https://sos-{}.exo.io", spec.zone)
}

fn secret(spec: &EnvironmentSpec, name: &str, known: BTreeMap<String, ByteString>) -> Secret {
    Secret {
        metadata: shared_metadata(spec, name),
        type_: Some("Opaque".to_owned()),
        data: Some(known),
        ..Secret::default()
    }
}

/// Puts a null and a slot at each key.
fn with_slots(
    mut object: WorkloadObject,
    slots: &[(&str, &str, SecretValue)],
    cloud_nodes: Vec<&'static str>,
) -> WorkloadObject {
    for (key, node, value) in slots {
        object.body["data"][*key] = Value::Null;
        let slot = SecretSlot { node: node_key(node), value: *value };
        object.secrets.insert(format!("/data/{key}"), slot);
    }
    WorkloadObject { cloud_nodes, ..object }
}
