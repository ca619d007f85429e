//! SKS clusters, their versions and kubeconfigs.

mod certificates;

use certificates::Authority;
pub(crate) use certificates::{Identity, Issued};

use super::{Handlers, get, list, quota, security_group};
use crate::codec::{base64, rfc3339};
use crate::rng::LOWER;
use crate::world::{Call, Change, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World};
use serde_json::{Map, Value, json};

const KIND: Kind = Kind::SksCluster;

pub(crate) const HANDLERS: Handlers = &[
    ("list-sks-cluster-versions", versions),
    ("create-sks-cluster", create),
    ("list-sks-clusters", |world, call| list(world, Some(&call.zone), KIND, "sks-clusters", value)),
    ("get-sks-cluster", |world, call| get(world, call, KIND, value)),
    ("update-sks-cluster", update),
    ("upgrade-sks-cluster", upgrade),
    ("upgrade-sks-cluster-service-level", upgrade_level),
    ("delete-sks-cluster", delete),
    ("generate-sks-cluster-kubeconfig", kubeconfig),
    ("get-sks-cluster-authority-cert", authority),
    ("list-sks-cluster-deprecated-resources", |world, call| get(world, call, KIND, |_, _| json!([]))),
    ("get-sks-cluster-inspection", |world, call| get(world, call, KIND, |_, _| json!({}))),
];

const CCM: &str = "exoscale-cloud-controller";
const CSI: &str = "exoscale-container-storage-interface";

fn versions(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(json!({"sks-cluster-versions": world.config.sks_versions}))
}

fn has_addon(doc: &Value, addon: &str) -> bool {
    doc.get("addons").and_then(Value::as_array).is_some_and(|list| list.iter().any(|a| a == addon))
}

fn check_addons(body: &Value) -> Result<(), Refusal> {
    for dependent in [CSI, "karpenter"] {
        if has_addon(body, dependent) && !has_addon(body, CCM) {
            return Err(Refusal::bad(format!("addon {dependent} needs {CCM}")));
        }
    }
    Ok(())
}

fn check_version(world: &World, version: &str) -> Result<(), Refusal> {
    if world.config.sks_versions.iter().any(|v| v == version) {
        return Ok(());
    }
    // The wording is not recorded anywhere: a guess.
    Err(Refusal::bad(format!("'version' has no such value as '{version}'")))
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    check_version(world, call.text("version"))?;
    check_addons(&call.body)?;
    quota::check(world, "sks-cluster", 1)?;
    let mut doc = call.body.clone();
    let fields = doc.as_object_mut().ok_or_else(|| Refusal::bad("not an object"))?;
    // Asked for, and never shown again.
    fields.remove("create-default-security-group");
    fields.remove("networking");
    hide_token(fields);
    fields.entry("auto-upgrade").or_insert(json!(false));
    fields.entry("addons").or_insert(json!([]));
    let cilium = call.text("cni") == "cilium";
    fields.entry("enable-kube-proxy").or_insert(json!(!cilium));
    fields.insert("state".to_owned(), json!("creating"));
    fields.insert("created-at".to_owned(), json!(rfc3339(world.now_ms())));
    let id = world.create(NewObject { kind: KIND, zone: Some(&call.zone), parent: None, doc });
    let endpoint = format!("{id}.sks-{}.exo.io", call.zone);
    world.set(KIND, &id, "endpoint", endpoint);
    let ca = world.ids.word(crate::rng::MIXED, 88);
    if let Some(cluster) = world.find_mut(KIND, &id) {
        cluster.hidden.insert("ca".to_owned(), ca);
    }
    if call.flag("create-default-security-group") == Some(true) {
        default_group(world, &id, cilium);
    }
    if has_addon(&call.body, CCM) && world.config.policies.ccm_keys {
        controller_key(world, &id);
    }
    PendingOperation::created(KIND, &id).then_state(KIND, &id, "running").answer()
}

/// The token of the audit log is for the cluster alone.
fn hide_token(fields: &mut Map<String, Value>) {
    if let Some(audit) = fields.get_mut("audit").and_then(Value::as_object_mut) {
        audit.remove("bearer-token");
        audit.entry("enabled").or_insert(json!(true));
    }
}

/// The group that lets nodes work with the chosen network plugin. Its name is
/// a guess, and so is that it opens no NodePorts.
fn default_group(world: &mut World, cluster: &str, cilium: bool) {
    let name = format!("sks-{cluster}");
    let group = security_group::new_group(world, &name, &json!("SKS default security group"));
    let peer = json!({"id": group, "name": name});
    let (port, description) = if cilium { (8472, "cilium") } else { (4789, "calico") };
    let rows = [("tcp", 10250, "kubelet"), ("udp", port, description)];
    let rules: Vec<Value> = rows
        .iter()
        .map(|(protocol, port, description)| {
            json!({
                "id": world.ids.uuid(), "flow-direction": "ingress", "protocol": protocol,
                "start-port": port, "end-port": port, "security-group": peer,
                "description": description,
            })
        })
        .collect();
    world.set(Kind::SecurityGroup, &group, "rules", rules);
    world.set(KIND, cluster, "default-security-group-id", group);
}

/// The controller addon's own API key: visible in the account, its secret
/// known to nobody outside.
fn controller_key(world: &mut World, cluster: &str) {
    let key = format!("EXO{}", world.ids.word("0123456789abcdef", 24));
    let role = super::iam::owner_role(world);
    let doc = json!({"name": format!("sks-ccm-{cluster}"), "key": key, "role-id": role});
    world.create_as(&key, NewObject { kind: Kind::ApiKey, zone: None, parent: Some(cluster), doc });
}

fn value(world: &mut World, cluster: &Object) -> Value {
    let mut doc = cluster.value();
    let pools = world.listed(Kind::SksNodepool, cluster.zone.as_deref());
    let pools: Vec<Value> =
        pools.iter().filter(|pool| pool.parent.as_deref() == Some(&cluster.id)).map(Object::value).collect();
    doc["nodepools"] = Value::Array(pools);
    doc
}

fn settled(world: &World, call: &Call) -> Result<String, Refusal> {
    let cluster = world.get(KIND, call.param("id"), &call.zone)?;
    match cluster.state() {
        "running" | "error" => Ok(cluster.id.clone()),
        state => Err(Refusal::conflict(format!("cluster is {state}"))),
    }
}

fn update(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = settled(world, call)?;
    let old = world.get(KIND, &id, &call.zone)?.value();
    if call.body.get("addons").is_some() {
        check_addons(&call.body)?;
        if has_addon(&old, CSI) && !has_addon(&call.body, CSI) {
            return Err(Refusal::bad(format!("addon {CSI} cannot be removed")));
        }
    }
    let mut fields = call.body.as_object().cloned().unwrap_or_default();
    hide_token(&mut fields);
    world.set_all(KIND, &id, &fields.into());
    world.set(KIND, &id, "state", "updating");
    if world.config.policies.update_sks_cluster_never_finishes {
        // The resource settles all the same; only its operation does not.
        let delay = world.delay("update-sks-cluster");
        world.schedule(delay, Change::state(KIND, &id, "running"));
        return PendingOperation::updated(KIND, &id).for_ever().answer();
    }
    PendingOperation::updated(KIND, &id).then_state(KIND, &id, "running").answer()
}

fn upgrade(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    check_version(world, call.text("version"))?;
    let id = settled(world, call)?;
    world.set(KIND, &id, "state", "upgrading");
    PendingOperation::updated(KIND, &id)
        .then(Change::set(KIND, &id, "version", json!(call.text("version"))))
        .then_state(KIND, &id, "running")
        .answer()
}

fn upgrade_level(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = settled(world, call)?;
    if world.get(KIND, &id, &call.zone)?.text("level") != "starter" {
        return Err(Refusal::bad("only starter can be upgraded"));
    }
    world.set(KIND, &id, "state", "upgrading");
    world.set(KIND, &id, "level", "pro");
    PendingOperation::updated(KIND, &id).then_state(KIND, &id, "running").answer()
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = world.get(KIND, call.param("id"), &call.zone)?.id.clone();
    if !world.children(Kind::SksNodepool, &id).is_empty() {
        return Err(Refusal::bad("cluster has nodepools"));
    }
    world.set(KIND, &id, "state", "deleting");
    PendingOperation::deleted(KIND, &id).answer()
}

pub(crate) fn before_removal(world: &mut World, id: &str) {
    world.close_cluster(id);
    for kind in [Kind::SksNodepool, Kind::ApiKey] {
        let children: Vec<String> = world.children(kind, id).iter().map(|child| child.id.clone()).collect();
        for child in children {
            world.remove(kind, &child, 0);
        }
    }
}

/// The authorities of a cluster that a client can ask for. Whether they are
/// really different ones is not recorded anywhere: a guess.
const AUTHORITIES: [&str; 3] = [API_SERVER, "aggregation", "kubelet"];

/// The authority of the API server and of its clients.
const API_SERVER: &str = "control-plane";

fn authority_of(cluster: &Object, name: &str) -> Result<Authority, Refusal> {
    let seed = format!("{name} {}", cluster.hidden["ca"]);
    Authority::new(&seed, cluster.created_ms).map_err(|error| Refusal::bad(error.to_string()))
}

/// A number that is this cluster's alone.
pub(crate) fn seed(cluster: &Object) -> u64 {
    let digits = cluster.hidden.get("ca").map_or("", String::as_str).bytes();
    digits.fold(0, |seed: u64, digit| seed.wrapping_mul(31).wrapping_add(u64::from(digit)))
}

/// Whose a client certificate is, if the cluster's authority signed it.
pub(crate) fn identify(cluster: &Object, pem: &str) -> Option<Identity> {
    authority_of(cluster, API_SERVER).ok()?.identify(pem)
}

/// Certificate and key of a cluster's API server, for as long as its authority
/// is valid.
pub(crate) fn server_identity(cluster: &Object) -> Option<Issued> {
    let seed = format!("server {}", cluster.hidden.get("ca")?);
    let valid = [cluster.created_ms, cluster.created_ms + certificates::AUTHORITY_MS];
    authority_of(cluster, API_SERVER).ok()?.issue_server(&seed, cluster.text("endpoint"), valid).ok()
}

/// The certificates with which a real control plane of a cluster runs.
pub(crate) struct ControlPlaneIdentities {
    /// The certificate of the authority, in PEM.
    pub(crate) authority: String,
    /// The host name of the API server.
    pub(crate) host: String,
    pub(crate) server: Issued,
    /// An administrator, for the actors outside the control plane.
    pub(crate) admin: Issued,
    pub(crate) controller_manager: Issued,
    pub(crate) scheduler: Issued,
}

/// Certificates and keys for the programs of a cluster's control plane.
pub(crate) fn control_plane_identities(cluster: &Object) -> Option<ControlPlaneIdentities> {
    let authority = authority_of(cluster, API_SERVER).ok()?;
    let ca = cluster.hidden.get("ca")?;
    let valid = [cluster.created_ms, cluster.created_ms + certificates::AUTHORITY_MS];
    let client =
        |user: &str, groups: &[&str]| authority.issue(&format!("{user} {ca}"), user, groups, valid).ok();
    Some(ControlPlaneIdentities {
        authority: authority.pem().ok()?,
        host: cluster.text("endpoint").to_owned(),
        server: server_identity(cluster)?,
        admin: client("exokit-sim", &["system:masters"])?,
        controller_manager: client("system:kube-controller-manager", &[])?,
        scheduler: client("system:kube-scheduler", &[])?,
    })
}

/// Life of a kubeconfig in seconds where the request does not say: 30 days.
const KUBECONFIG_SECONDS: i64 = 30 * 86_400;

fn kubeconfig(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let cluster = world.get(KIND, call.param("id"), &call.zone)?;
    // Which name the real ones have for the cluster is not recorded: a guess.
    let (name, user) = (cluster.id.clone(), call.text("user"));
    // A server on the loopback interface is told by the name in its certificate.
    let (server, tls_name) = match &world.config.endpoints {
        Some(urls) => (urls.kubernetes.clone(), Some(cluster.text("endpoint").to_owned())),
        None => (format!("https://{}:443", cluster.text("endpoint")), None),
    };
    let tls_name = tls_name.map(|name| format!("    tls-server-name: {}\n", json!(name))).unwrap_or_default();
    let authority = authority_of(cluster, API_SERVER)?;
    let out_of_range = || Refusal::bad("'ttl' is out of range");
    let seconds = match call.body.get("ttl") {
        None => KUBECONFIG_SECONDS,
        Some(ttl) => ttl.as_i64().filter(|seconds| *seconds > 0).ok_or_else(out_of_range)?,
    };
    let groups: Vec<&str> =
        call.body["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let now = world.now_ms();
    let until = seconds.checked_mul(1000).and_then(|ms| now.checked_add(ms)).ok_or_else(out_of_range)?;
    let seed = format!("client {}", world.ids.word(LOWER, 32));
    let client = authority.issue(&seed, user, &groups, [now, until]).map_err(|_| out_of_range())?;
    // JSON strings are YAML strings, so no name can break out of its field.
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster:\n    \
         certificate-authority-data: {ca}\n    server: {server}\n{tls_name}contexts:\n- name: {name}\n  \
         context:\n    cluster: {name}\n    user: {user}\ncurrent-context: {name}\nusers:\n\
         - name: {user}\n  user:\n    client-certificate-data: {certificate}\n    \
         client-key-data: {key}\n",
        name = json!(name),
        server = json!(server),
        user = json!(user),
        ca = encoded(&authority)?,
        certificate = base64(client.certificate.as_bytes()),
        key = base64(client.key.as_bytes()),
    );
    let kubeconfig = base64(text.as_bytes());
    HandlerReply::read(json!({"kubeconfig": kubeconfig}))
}

fn authority(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    if !AUTHORITIES.contains(&call.param("authority")) {
        return Err(Refusal::bad("no such authority"));
    }
    let cluster = world.get(KIND, call.param("id"), &call.zone)?;
    let authority = authority_of(cluster, call.param("authority"))?;
    HandlerReply::read(json!({"cacert": encoded(&authority)?}))
}

/// The certificate of an authority as the API shows it: PEM in base64.
fn encoded(authority: &Authority) -> Result<String, Refusal> {
    let pem = authority.pem().map_err(|error| Refusal::bad(error.to_string()))?;
    Ok(base64(pem.as_bytes()))
}
