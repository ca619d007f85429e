//! Pod Security: the levels `baseline` and `restricted`.

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::selector::label;
use crate::value::{at, flag, items, name, namespace, number, text};
use serde_json::Value;

const PREFIX: &str = "pod-security.kubernetes.io";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// What a level forbids: reason and detail.
type Violation = (&'static str, String);

impl Cluster {
    /// Refuses pods that violate the enforced level of their namespace; returns
    /// the warnings of pods and workloads.
    pub(crate) fn check_pod_security(&self, kind: Kind, object: &Value) -> Result<Vec<String>, Refusal> {
        let spec = match kind {
            Kind::Pod => at(object, "spec"),
            Kind::Deployment | Kind::ReplicaSet | Kind::DaemonSet | Kind::StatefulSet => {
                at(object, "spec.template.spec")
            }
            _ => return Ok(Vec::new()),
        };
        let Some(space) = self.store.get(Kind::Namespace, namespace(object)) else {
            return Ok(Vec::new());
        };
        let level_of = |mode: &str| label(space, &format!("{PREFIX}/{mode}")).map(parse_level);
        let version_of = |mode: &str| label(space, &format!("{PREFIX}/{mode}-version")).unwrap_or("latest");
        let enforced = level_of("enforce").unwrap_or(Level::Privileged);
        if kind == Kind::Pod {
            let violations = violations(enforced, spec);
            if !violations.is_empty() {
                let policy = format!("{}:{}", level_name(enforced), version_of("enforce"));
                let why = format!("violates PodSecurity \"{policy}\": {}", joined(&violations));
                return Err(Refusal::forbidden(kind.info(), name(object), &why));
            }
        }
        let (warned, mode) = match level_of("warn") {
            Some(level) => (level, "warn"),
            None => (enforced, "enforce"),
        };
        let violations = violations(warned, spec);
        if violations.is_empty() {
            return Ok(Vec::new());
        }
        let policy = format!("{}:{}", level_name(warned), version_of(mode));
        Ok(vec![format!("would violate PodSecurity \"{policy}\": {}", joined(&violations))])
    }
}

fn parse_level(text: &str) -> Level {
    match text {
        "restricted" => Level::Restricted,
        "baseline" => Level::Baseline,
        _ => Level::Privileged,
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Privileged => "privileged",
        Level::Baseline => "baseline",
        Level::Restricted => "restricted",
    }
}

fn joined(violations: &[Violation]) -> String {
    let parts: Vec<String> = violations
        .iter()
        .map(|(reason, detail)| match detail.is_empty() {
            true => (*reason).to_owned(),
            false => format!("{reason} ({detail})"),
        })
        .collect();
    parts.join(", ")
}

fn violations(level: Level, spec: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    if level >= Level::Baseline {
        baseline(spec, level, &mut found);
    }
    if level >= Level::Restricted {
        restricted(spec, &mut found);
    }
    found.sort_by_key(|(reason, _)| ORDER.iter().position(|known| known == reason));
    found
}

/// The order in which the checks report.
const ORDER: [&str; 12] = [
    "allowPrivilegeEscalation != false",
    "non-default capabilities",
    "unrestricted capabilities",
    "host namespaces",
    "hostPath volumes",
    "hostPort",
    "privileged",
    "restricted volume types",
    "runAsNonRoot != true",
    "runAsUser=0",
    "seccompProfile",
    "procMount",
];

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|field| items(spec, field))
}

/// The quoted names of the containers that fail a test, with the noun.
fn failing(spec: &Value, fails: impl Fn(&Value) -> bool) -> Option<String> {
    let names: Vec<&str> = containers(spec)
        .filter(|container| fails(container))
        .map(|container| text(container, "name"))
        .collect();
    quoted("container", "containers", &names)
}

fn quoted(one: &str, many: &str, names: &[&str]) -> Option<String> {
    let noun = if names.len() == 1 { one } else { many };
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    (!names.is_empty()).then(|| format!("{noun} {}", names.join(", ")))
}

fn added(container: &Value) -> impl Iterator<Item = &str> {
    items(container, "securityContext.capabilities.add").iter().filter_map(Value::as_str)
}

fn list_added(spec: &Value, allowed: &[&str]) -> Option<String> {
    let who = failing(spec, |container| added(container).any(|capability| !allowed.contains(&capability)))?;
    let mut bad: Vec<&str> = containers(spec).flat_map(added).filter(|c| !allowed.contains(c)).collect();
    bad.sort_unstable();
    bad.dedup();
    let bad: Vec<String> = bad.iter().map(|capability| format!("{capability:?}")).collect();
    Some(format!("{who} must not include {} in securityContext.capabilities.add", bad.join(", ")))
}

fn baseline(spec: &Value, level: Level, found: &mut Vec<Violation>) {
    const ALLOWED: [&str; 14] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
        "",
    ];
    if level == Level::Baseline
        && let Some(detail) = list_added(spec, &ALLOWED)
    {
        found.push(("non-default capabilities", detail));
    }
    let spaces: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|field| flag(spec, field))
        .map(|field| format!("{field}=true"))
        .collect();
    if !spaces.is_empty() {
        found.push(("host namespaces", spaces.join(", ")));
    }
    let is_host_path = |volume: &&Value| !at(volume, "hostPath").is_null();
    let paths: Vec<&str> =
        items(spec, "volumes").iter().filter(is_host_path).map(|v| text(v, "name")).collect();
    if let Some(detail) = quoted("volume", "volumes", &paths).filter(|_| level == Level::Baseline) {
        found.push(("hostPath volumes", detail));
    }
    let host_ports = |container: &Value| {
        items(container, "ports")
            .iter()
            .map(|port| number(port, "hostPort"))
            .filter(|p| *p != 0)
            .collect::<Vec<_>>()
    };
    if let Some(who) = failing(spec, |container| !host_ports(container).is_empty()) {
        let mut ports: Vec<String> =
            containers(spec).flat_map(host_ports).map(|port| port.to_string()).collect();
        ports.sort();
        ports.dedup();
        let (verb, noun) = (
            if who.starts_with("containers") { "use" } else { "uses" },
            if ports.len() == 1 { "hostPort" } else { "hostPorts" },
        );
        found.push(("hostPort", format!("{who} {verb} {noun} {}", ports.join(", "))));
    }
    if let Some(who) = failing(spec, |container| flag(container, "securityContext.privileged")) {
        found.push(("privileged", format!("{who} must not set securityContext.privileged=true")));
    }
    let is_unconfined = |holder: &Value| text(holder, "securityContext.seccompProfile.type") == "Unconfined";
    if level == Level::Baseline && (is_unconfined(spec) || containers(spec).any(is_unconfined)) {
        let who = setters(spec, is_unconfined);
        let detail = format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\"");
        found.push(("seccompProfile", detail));
    }
}

/// The pod and the containers that set something wrong themselves.
fn setters(spec: &Value, is_wrong: impl Fn(&Value) -> bool) -> String {
    let mut who: Vec<String> = Vec::new();
    if is_wrong(spec) {
        who.push("pod".to_owned());
    }
    who.extend(failing(spec, is_wrong));
    who.join(" and ")
}

fn restricted(spec: &Value, found: &mut Vec<Violation>) {
    if let Some(who) =
        failing(spec, |container| at(container, "securityContext.allowPrivilegeEscalation") != false)
    {
        let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
        found.push(("allowPrivilegeEscalation != false", detail));
    }
    let mut details = Vec::new();
    let drops_all = |container: &Value| {
        items(container, "securityContext.capabilities.drop").iter().any(|capability| capability == "ALL")
    };
    if let Some(who) = failing(spec, |container| !drops_all(container)) {
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    details.extend(list_added(spec, &["NET_BIND_SERVICE"]));
    if !details.is_empty() {
        found.push(("unrestricted capabilities", details.join("; ")));
    }
    restricted_volumes(spec, found);
    restricted_user(spec, found);
    restricted_seccomp(spec, found);
}

fn restricted_volumes(spec: &Value, found: &mut Vec<Violation>) {
    const ALLOWED: [&str; 9] = [
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let bad_type = |volume: &Value| {
        let fields = volume.as_object()?.keys();
        fields.map(String::as_str).find(|field| !ALLOWED.contains(field)).map(str::to_owned)
    };
    let bad: Vec<&Value> =
        items(spec, "volumes").iter().filter(|volume| bad_type(volume).is_some()).collect();
    let names: Vec<&str> = bad.iter().map(|volume| text(volume, "name")).collect();
    if let Some(who) = quoted("volume", "volumes", &names) {
        let mut types: Vec<String> = bad.iter().filter_map(|volume| bad_type(volume)).collect();
        types.sort();
        types.dedup();
        let verb = if bad.len() == 1 { "uses" } else { "use" };
        let noun = if types.len() == 1 { "restricted volume type" } else { "restricted volume types" };
        let types: Vec<String> = types.iter().map(|kind| format!("{kind:?}")).collect();
        found.push(("restricted volume types", format!("{who} {verb} {noun} {}", types.join(", "))));
    }
}

fn restricted_user(spec: &Value, found: &mut Vec<Violation>) {
    const FIELD: &str = "securityContext.runAsNonRoot";
    let is_root = |holder: &Value| at(holder, FIELD) == false;
    let is_unset = |container: &Value| at(container, FIELD).is_null() && at(spec, FIELD) != true;
    if (is_root(spec) && containers(spec).any(|c| at(c, FIELD) != true)) || containers(spec).any(is_root) {
        let who = setters(spec, is_root);
        found
            .push(("runAsNonRoot != true", format!("{who} must not set securityContext.runAsNonRoot=false")));
    } else if let Some(who) = failing(spec, is_unset) {
        let detail = format!("pod or {who} must set securityContext.runAsNonRoot=true");
        found.push(("runAsNonRoot != true", detail));
    }
    let is_zero = |holder: &Value| at(holder, "securityContext.runAsUser") == 0;
    if is_zero(spec) || containers(spec).any(is_zero) {
        found.push(("runAsUser=0", format!("{} must not set runAsUser=0", setters(spec, is_zero))));
    }
}

fn restricted_seccomp(spec: &Value, found: &mut Vec<Violation>) {
    const FIELD: &str = "securityContext.seccompProfile.type";
    let is_good = |holder: &Value| ["RuntimeDefault", "Localhost"].contains(&text(holder, FIELD));
    let is_bad = |holder: &Value| !text(holder, FIELD).is_empty() && !is_good(holder);
    let is_unset = |container: &Value| text(container, FIELD).is_empty() && !is_good(spec);
    if is_bad(spec) || containers(spec).any(is_bad) {
        let who = setters(spec, is_bad);
        let detail = format!("{who} must not set securityContext.seccompProfile.type to \"Unconfined\"");
        found.push(("seccompProfile", detail));
    } else if let Some(who) = failing(spec, is_unset) {
        let detail = format!(
            "pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
        );
        found.push(("seccompProfile", detail));
    }
}
