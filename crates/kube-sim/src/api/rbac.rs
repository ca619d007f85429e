//! Who may do what.

use super::route::Target;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::settings::User;
use crate::value::{at, items, text};
use serde_json::Value;

/// The group whose members may do anything.
const MASTERS: &str = "system:masters";

/// What a request does, in the terms of RBAC.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// A path that is no resource; then only the verb counts beside it.
    pub(crate) path: &'a str,
}

impl Cluster {
    /// Refuses what the user may not do.
    pub(crate) fn authorize(&self, user: &User, verb: &str, target: &Target) -> Result<(), Refusal> {
        let info = target.kind.info();
        let access = Access {
            verb,
            group: info.group,
            resource: info.plural,
            subresource: target.subresource.as_deref().unwrap_or_default(),
            namespace: match target.kind {
                // A namespace lies within itself.
                Kind::Namespace => target.name(),
                _ => target.namespace.as_deref().unwrap_or_default(),
            },
            name: target.name(),
            path: "",
        };
        if self.is_allowed(user, &access) {
            return Ok(());
        }
        let resource = match access.subresource {
            "" => info.plural.to_owned(),
            subresource => format!("{}/{subresource}", info.plural),
        };
        let place = match access.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let why = format!(
            "User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {place}",
            user.name, info.group
        );
        Err(Refusal::forbidden(info, target.name(), &why))
    }

    /// Whether a user may do something.
    pub(crate) fn is_allowed(&self, user: &User, access: &Access<'_>) -> bool {
        user.groups.iter().any(|group| group == MASTERS)
            || self.rules_of(user, access.namespace).iter().any(|rule| permits(rule, access))
    }

    /// The rules of a user for the cluster and for one namespace.
    pub(crate) fn rules_of(&self, user: &User, namespace: &str) -> Vec<&Value> {
        let mut rules = Vec::new();
        for binding in
            self.store.all(Kind::ClusterRoleBinding).filter(|binding| is_subject(binding, user, ""))
        {
            rules.extend(self.rules_of_role(binding, ""));
        }
        if !namespace.is_empty() {
            let bindings = self.store.within(Kind::RoleBinding, namespace);
            for binding in bindings.filter(|binding| is_subject(binding, user, namespace)) {
                rules.extend(self.rules_of_role(binding, namespace));
            }
        }
        rules
    }

    fn rules_of_role(&self, binding: &Value, namespace: &str) -> &[Value] {
        let name = text(binding, "roleRef.name");
        let role = match text(binding, "roleRef.kind") {
            "ClusterRole" => self.store.get(Kind::ClusterRole, name),
            _ => self.store.get(Kind::Role, &crate::store::key(namespace, name)),
        };
        role.map_or(&[], |role| items(role, "rules"))
    }
}

fn is_subject(binding: &Value, user: &User, namespace: &str) -> bool {
    items(binding, "subjects").iter().any(|subject| {
        let name = text(subject, "name");
        match text(subject, "kind") {
            "User" => name == user.name,
            "Group" => name == "system:authenticated" || user.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                let space = match text(subject, "namespace") {
                    "" => namespace,
                    space => space,
                };
                user.name == format!("system:serviceaccount:{space}:{name}")
            }
            _ => false,
        }
    })
}

fn permits(rule: &Value, access: &Access<'_>) -> bool {
    let has = |field: &str, wanted: &str| items(rule, field).iter().any(|item| item == "*" || item == wanted);
    if !access.path.is_empty() {
        let is_path = items(rule, "nonResourceURLs").iter().filter_map(Value::as_str).any(|pattern| {
            pattern == access.path
                || pattern.strip_suffix('*').is_some_and(|start| access.path.starts_with(start))
        });
        return is_path && has("verbs", access.verb);
    }
    let resource = match access.subresource {
        "" => access.resource.to_owned(),
        subresource => format!("{}/{subresource}", access.resource),
    };
    let names = at(rule, "resourceNames").as_array().map_or(&[][..], Vec::as_slice);
    let is_name = names.is_empty() || names.iter().any(|name| name == access.name);
    let wildcard = format!("*/{}", access.subresource);
    let is_resource = has("resources", &resource)
        || (!access.subresource.is_empty() && items(rule, "resources").iter().any(|item| *item == wildcard));
    has("verbs", access.verb) && has("apiGroups", access.group) && is_resource && is_name
}
