//! Service accounts of pods, and their rights in the namespace.

use exokit_model::kind::Kind;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use crate::app::App;
use crate::builder::Builder;
use crate::labels::metadata;

/// API group, resources and verbs.
pub(crate) type Right = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Verbs that read and watch objects.
pub(crate) const READ: &[&str] = &["get", "list", "watch"];

/// Adds the service account of an app that does not use the API server.
pub(crate) fn add(builder: &mut Builder<'_>, app: App) {
    add_account(builder, app, false);
}

/// Adds the service account of an app that uses the API server, and its rights.
pub(crate) fn add_with_rights(builder: &mut Builder<'_>, app: App, rights: &[Right]) {
    add_account(builder, app, true);
    let name = app.name(builder.spec);
    let role_key = format!("{}-role", app.key());
    let account_key = account_key(app);
    let rules = rights.iter().map(rule).collect();
    let role = Role { metadata: metadata(builder.spec, app, &name), rules: Some(rules) };
    builder.add(&role_key, Kind::Role, &role, &[]);
    let binding = RoleBinding {
        metadata: metadata(builder.spec, app, &name),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name,
            namespace: Some(builder.spec.workload.namespace.clone()),
            api_group: None,
        }]),
    };
    let key = format!("{}-role-binding", app.key());
    builder.add(&key, Kind::RoleBinding, &binding, &[&role_key, &account_key]);
}

fn add_account(builder: &mut Builder<'_>, app: App, token: bool) {
    let account = ServiceAccount {
        metadata: metadata(builder.spec, app, &app.name(builder.spec)),
        automount_service_account_token: Some(token),
        ..ServiceAccount::default()
    };
    builder.add(&account_key(app), Kind::ServiceAccount, &account, &[]);
}

fn account_key(app: App) -> String {
    format!("{}-account", app.key())
}

fn rule(right: &Right) -> PolicyRule {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![right.0.to_owned()]),
        resources: Some(list(right.1)),
        verbs: list(right.2),
        ..PolicyRule::default()
    }
}
