//! The keys that templates and run files share: everything about an
//! environment except whose it is.
//!
//! What the earlier kit got wrong is corrected here and reported, each at the
//! place where it is read.

use std::collections::BTreeMap;

use exokit_model::ids::{EnvironmentName, TemplateId};
use exokit_model::spec::{
    AtExpiry, AutoscalingSpec, BlockStorageSpec, BucketAcl, BucketSpec, ClusterSpec, Cni, DatabaseEngine,
    DatabaseSpec, EnvironmentClass, EnvironmentSpec, IngressSpec, NodesSpec, Quantities, ResourcesSpec,
    SksLevel, WorkloadSpec,
};

use crate::error::DecodeError;
use crate::fields::{At, Fields};
use crate::known::{
    ADDON_CCM, ADDON_CSI, ADDON_METRICS, ADDONS, SIZE_MIN, SIZES_TOO_SMALL, STORAGE_CLASSES, ZONES,
};
use crate::values;

/// The keys that templates and run files share.
pub(crate) const KEYS: [&str; 23] = [
    "exoscale_zone",
    "sks_level",
    "sks_cni",
    "sks_addons",
    "node_type_family",
    "node_type_size",
    "node_count",
    "node_disk_gb",
    "node_labels",
    "k8s_namespace",
    "k8s_replicas",
    "k8s_port",
    "k8s_service_port",
    "k8s_nodeport",
    "load_balancer",
    "ingress",
    "object_storage",
    "block_storage",
    "database",
    "autoscaling",
    "resources",
    "monitoring",
    "pod_disruption_budget",
];

/// The zone of a run file that names none.
const DEFAULT_ZONE: &str = "ch-dk-2";

/// Most nodes of one environment; a typing error must not order a thousand.
pub(crate) const NODES_MAX: u32 = 100;
/// Smallest and largest local disk of a node in GiB.
pub(crate) const DISK_GB: (u32, u32) = (20, 51_200);
/// Most replicas of the workload.
pub(crate) const REPLICAS_MAX: u32 = 1_000;
/// Largest volume in GiB.
pub(crate) const BLOCK_GB_MAX: u32 = 10_000;
/// Longest suffix of a bucket name.
const BUCKET_SUFFIX_CHARS_MAX: usize = 11;

/// Whose environment it is and what it runs: what the shared keys do not say.
pub(crate) struct Identity {
    pub(crate) environment: EnvironmentName,
    pub(crate) class: EnvironmentClass,
    pub(crate) template: TemplateId,
    pub(crate) service: String,
    pub(crate) image: String,
}

/// What the node labels say beyond being labels.
#[derive(Default)]
struct Labels {
    labels: BTreeMap<String, String>,
    agents: Vec<String>,
    hardened: bool,
}

/// Decodes the shared keys.
pub(crate) fn decode(root: &Fields<'_>, identity: Identity) -> Result<EnvironmentSpec, DecodeError> {
    let Identity { environment, class, template, service, image } = identity;
    let zone = root.text_or("exoscale_zone", DEFAULT_ZONE)?;
    zone.word(&ZONES)?;
    let replicas = values::within(&root.whole_or("k8s_replicas", 1)?, 1, REPLICAS_MAX)?;
    let autoscaling = autoscaling(root, replicas)?;
    let block_storage = block_storage(root)?;
    let metrics = metrics_server(root)? || autoscaling.is_some();
    let cluster = cluster(root, block_storage.is_some(), metrics)?;
    let labels = labels(root)?;
    let port = values::port(&root.whole_or("k8s_port", 5000)?, 1, u16::MAX)?;
    let service_port = root.whole_or("k8s_service_port", u32::from(port))?;
    let namespace = root.text_or("k8s_namespace", &format!("exo-{environment}"))?;
    Ok(EnvironmentSpec {
        project: environment.to_string(),
        environment,
        class,
        template,
        zone: zone.id()?,
        cluster,
        nodes: nodes(root, labels.labels)?,
        // What matters is protected from termination unless the file says otherwise.
        database: database(root, class == EnvironmentClass::Production)?,
        bucket: bucket(root)?,
        block_storage,
        workload: WorkloadSpec {
            namespace: values::namespace(&namespace)?,
            service,
            image,
            registry_login: None,
            replicas,
            port,
            service_port: values::port(&service_port, 1, u16::MAX)?,
            node_port: values::port(&root.whole_or("k8s_nodeport", 30_001)?, 30_000, 32_767)?,
            resources: resources(root)?,
            autoscaling,
            min_available: min_available(root)?,
            load_balancer: load_balancer(root)?,
            ingress: ingress(root)?,
        },
        hardened: labels.hardened,
        observability: false,
        agents: labels.agents,
        ttl_seconds: None,
        keep_alive_seconds: None,
        at_expiry: AtExpiry::Ask,
    })
}

fn cluster(root: &Fields<'_>, block_storage: bool, metrics: bool) -> Result<ClusterSpec, DecodeError> {
    let levels = [("starter", SksLevel::Starter), ("pro", SksLevel::Pro)];
    let level = root.text_or("sks_level", "starter")?.choice(&levels)?;
    let cnis = [("calico", Cni::Calico), ("cilium", Cni::Cilium)];
    let cni = root.text_or("sks_cni", "calico")?.choice(&cnis)?;
    let listed = root.texts("sks_addons")?.unwrap_or_else(|| root.absent("sks_addons", Vec::new()));
    let words = listed.value.iter().map(|addon| addon.word(&ADDONS).map(str::to_owned));
    let mut addons: Vec<String> = words.collect::<Result<_, _>>()?;
    let needed = [
        (ADDON_CCM, true, "without it nodes never become ready"),
        (ADDON_CSI, block_storage, "it makes the block storage"),
        (ADDON_METRICS, metrics, "autoscaling and monitoring read it"),
    ];
    for (addon, _, why) in needed.into_iter().filter(|need| need.1) {
        if addons.iter().any(|known| known == addon) {
            continue;
        }
        let before = addons.join(", ");
        addons.push(addon.to_owned());
        // An absent list is a choice left to exokit, not a mistake.
        if root.has("sks_addons") {
            let why = format!("{addon} is added: {why}");
            root.correct(&listed, &before, &addons.join(", "), &why)?;
        }
    }
    addons.sort();
    addons.dedup();
    Ok(ClusterSpec { level, cni, addons, version: None })
}

fn nodes(root: &Fields<'_>, labels: BTreeMap<String, String>) -> Result<NodesSpec, DecodeError> {
    let family = values::family(&root.text_or("node_type_family", "standard")?)?;
    let mut size = root.text_or("node_type_size", SIZE_MIN)?;
    if family == "standard" && SIZES_TOO_SMALL.contains(&size.value.as_str()) {
        let why = "the cloud refuses micro and tiny for nodes; small is the smallest";
        root.correct(&size, &size.value, SIZE_MIN, why)?;
        size = size.with(SIZE_MIN.to_owned());
    }
    let disk = root.whole_or("node_disk_gb", 20)?;
    Ok(NodesSpec {
        size: values::size(&size, &family)?,
        family,
        count: values::within(&root.whole_or("node_count", 1)?, 1, NODES_MAX)?,
        disk_gb: values::within(&disk, DISK_GB.0, DISK_GB.1)?,
        labels,
    })
}

fn labels(root: &Fields<'_>) -> Result<Labels, DecodeError> {
    let mut found = Labels::default();
    let Some(section) = root.enabled("node_labels", &["enabled", "labels"])? else {
        return Ok(found);
    };
    for (key, value) in section.pairs("labels")? {
        let name = values::label_key(&key)?;
        if values::is_reserved_label(&name) {
            let why = "the cloud refuses labels of the kubernetes.io namespaces on nodes; \
                       exokit sets managed-by on what it makes inside the cluster";
            root.correct(&value, &value.value, "left out", why)?;
            continue;
        }
        match name.rsplit('/').next().unwrap_or_default() {
            "agent" | "agents" => {
                let agents = value.value.split(',').map(str::trim);
                found.agents = agents.filter(|a| !a.is_empty()).map(str::to_owned).collect();
            }
            "clearance" => found.hardened = value.value == "restricted",
            _ => {}
        }
        let fixed = values::label_value(&value.value);
        if fixed != value.value {
            let why = "a Kubernetes label holds at most 63 letters, digits, '-', '_' and '.'";
            root.correct(&value, &value.value, &fixed, why)?;
        }
        found.labels.insert(name, fixed);
    }
    Ok(found)
}

fn load_balancer(root: &Fields<'_>) -> Result<bool, DecodeError> {
    let Some(section) = root.enabled("load_balancer", &["enabled", "type"])? else {
        return Ok(false);
    };
    section.text_or("type", "nlb")?.word(&["nlb"])?;
    Ok(true)
}

/// The ingress controller that exokit brings along.
const INGRESS: &str = "traefik";

fn ingress(root: &Fields<'_>) -> Result<Option<IngressSpec>, DecodeError> {
    let known = ["enabled", "provider", "tls", "domain", "cert_email", "cert_issuer"];
    let Some(section) = root.enabled("ingress", &known)? else {
        return Ok(None);
    };
    let domain = section.text("domain")?;
    let cert_email = section.text("cert_email")?;
    let cert_issuer = section.text("cert_issuer")?;
    let tls = section.flag_or("tls", false)?;
    if let Some(issuer) = &cert_issuer {
        let why = "an issuer takes a domain and `tls: true`";
        issuer.ensure(domain.is_some() && tls, why, "add them, or leave it out")?;
    }
    let mut provider = section.text_or("provider", INGRESS)?;
    if provider.value == "nginx" {
        let why = "the community's ingress-nginx was retired in March 2026";
        root.correct(&provider, "nginx", INGRESS, why)?;
        provider = provider.with(INGRESS.to_owned());
    }
    Ok(Some(IngressSpec {
        provider: provider.word(&[INGRESS])?.to_owned(),
        tls,
        domain: domain.as_ref().map(values::host_name).transpose()?,
        cert_email: cert_email.as_ref().map(values::mail).transpose()?,
        cert_issuer: cert_issuer.as_ref().map(values::dns_label).transpose()?,
    }))
}

fn bucket(root: &Fields<'_>) -> Result<Option<BucketSpec>, DecodeError> {
    let known = ["enabled", "bucket_name", "acl"];
    let Some(section) = root.enabled("object_storage", &known)? else {
        return Ok(None);
    };
    let name = section.need_text("bucket_name")?;
    let suffix = values::service_name(&name)?;
    let why = format!("{suffix:?} has {} characters", suffix.len());
    let hint = format!("use at most {BUCKET_SUFFIX_CHARS_MAX}; the environment's name is put before it");
    name.ensure(suffix.len() <= BUCKET_SUFFIX_CHARS_MAX, why, hint)?;
    let acls = [("private", BucketAcl::Private), ("public-read", BucketAcl::PublicRead)];
    let acl = section.text_or("acl", "private")?.choice(&acls)?;
    Ok(Some(BucketSpec { suffix, acl }))
}

fn block_storage(root: &Fields<'_>) -> Result<Option<BlockStorageSpec>, DecodeError> {
    let known = ["enabled", "storage_class", "size_gb", "access_mode", "mount_path"];
    let Some(section) = root.enabled("block_storage", &known)? else {
        return Ok(None);
    };
    let usual = STORAGE_CLASSES[0];
    let mut class = section.text_or("storage_class", usual)?;
    if class.value == "exoscale-ssd" {
        let why = "the cloud never had a storage class of this name";
        root.correct(&class, &class.value, usual, why)?;
        class = class.with(usual.to_owned());
    }
    let mode = section.text_or("access_mode", "ReadWriteOnce")?;
    let shared = ["ReadWriteMany", "ReadOnlyMany"].contains(&mode.value.as_str());
    let why = format!("{} needs a volume that several nodes mount", mode.value);
    mode.ensure(!shared, why, "use ReadWriteOnce; block storage is attached to one node at a time")?;
    let size = section.whole_or("size_gb", 10)?;
    Ok(Some(BlockStorageSpec {
        storage_class: class.word(&STORAGE_CLASSES)?.to_owned(),
        size_gb: values::within(&size, 1, BLOCK_GB_MAX)?,
        access_mode: mode.word(&["ReadWriteOnce", "ReadWriteOncePod"])?.to_owned(),
        mount_path: values::mount_path(&section.text_or("mount_path", "/data")?)?,
    }))
}

fn database(root: &Fields<'_>, protect: bool) -> Result<Option<DatabaseSpec>, DecodeError> {
    let known = ["enabled", "type", "version", "plan", "termination_protection"];
    let Some(section) = root.enabled("database", &known)? else {
        return Ok(None);
    };
    let kind = section.need_text("type")?;
    let mut version = section.text("version")?;
    let engine = match kind.value.as_str() {
        "redis" => {
            let why = "the cloud has replaced Redis by Valkey, which Redis clients can talk to";
            root.correct(&kind, "redis", "valkey", why)?;
            if let Some(old) = version.take() {
                let why = "it is a version of Redis; Valkey's default version is used";
                root.correct(&old, &old.value, "left out", why)?;
            }
            DatabaseEngine::Valkey
        }
        "mysql" => return Err(kind.refuse("mysql is refused: no template offers it", "use pg or valkey")),
        _ => kind.choice(&[
            ("pg", DatabaseEngine::Pg),
            ("postgres", DatabaseEngine::Pg),
            ("valkey", DatabaseEngine::Valkey),
        ])?,
    };
    Ok(Some(DatabaseSpec {
        engine,
        version: version.as_ref().map(values::major_version).transpose()?,
        plan: values::plan(&section.text_or("plan", "startup-4")?)?,
        termination_protection: section.flag_or("termination_protection", protect)?,
    }))
}

fn autoscaling(root: &Fields<'_>, replicas: u32) -> Result<Option<AutoscalingSpec>, DecodeError> {
    let known = ["enabled", "min_replicas", "max_replicas", "cpu_target_percent", "memory_target_percent"];
    let Some(section) = root.enabled("autoscaling", &known)? else {
        return Ok(None);
    };
    let most = section.whole_or("max_replicas", replicas)?;
    let min_replicas = section.whole_or("min_replicas", replicas)?;
    let min_replicas = values::within(&min_replicas, 1, REPLICAS_MAX)?;
    let max_replicas = values::within(&most, 1, REPLICAS_MAX)?;
    let why = format!("{max_replicas} is less than min_replicas, {min_replicas}");
    most.ensure(max_replicas >= min_replicas, why, "raise it, or lower min_replicas")?;
    Ok(Some(AutoscalingSpec {
        min_replicas,
        max_replicas,
        cpu_percent: values::within(&section.whole_or("cpu_target_percent", 70)?, 1, 100)?,
        memory_percent: values::within(&section.whole_or("memory_target_percent", 80)?, 1, 100)?,
    }))
}

fn resources(root: &Fields<'_>) -> Result<ResourcesSpec, DecodeError> {
    let section = root.section_or_empty("resources", &["requests", "limits"])?;
    let requests = amounts(&section, "requests", ("100m", "128Mi"))?;
    let limits = amounts(&section, "limits", ("500m", "512Mi"))?;
    for (limit, request, most) in [
        (&limits.cpu, requests.millicores, limits.millicores),
        (&limits.memory, requests.bytes, limits.bytes),
    ] {
        let (why, hint) = ("the limit is below the request", "raise the limit or lower the request");
        limit.ensure(request <= most, why, hint)?;
    }
    Ok(ResourcesSpec { requests: requests.quantities, limits: limits.quantities })
}

/// CPU and memory, where they stand and what they come to.
struct Amounts {
    cpu: At<String>,
    memory: At<String>,
    quantities: Quantities,
    millicores: u64,
    bytes: u64,
}

fn amounts(section: &Fields<'_>, key: &str, default: (&str, &str)) -> Result<Amounts, DecodeError> {
    let part = section.section_or_empty(key, &["cpu", "memory"])?;
    let cpu = part.text_or("cpu", default.0)?;
    let memory = part.text_or("memory", default.1)?;
    let (cpu_text, millicores) = values::cpu(&cpu)?;
    let (memory_text, bytes) = values::memory(&memory)?;
    let quantities = Quantities { cpu: cpu_text, memory: memory_text };
    Ok(Amounts { cpu, memory, quantities, millicores, bytes })
}

fn metrics_server(root: &Fields<'_>) -> Result<bool, DecodeError> {
    match root.section("monitoring", &["metrics_server"])? {
        Some(section) => section.flag_or("metrics_server", true),
        None => Ok(!root.has("sks_addons")),
    }
}

fn min_available(root: &Fields<'_>) -> Result<Option<u32>, DecodeError> {
    let known = ["enabled", "min_available"];
    let Some(section) = root.enabled("pod_disruption_budget", &known)? else {
        return Ok(None);
    };
    let least = section.whole_or("min_available", 1)?;
    values::within(&least, 1, REPLICAS_MAX).map(Some)
}
