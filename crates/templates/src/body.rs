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
use crate::fields::{At, Decoder, Fields};
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
const REPLICAS_MAX: u32 = 1_000;
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
pub(crate) fn decode<'n>(
    decoder: &mut Decoder<'n>,
    root: &Fields<'n>,
    identity: Identity,
) -> Result<EnvironmentSpec, DecodeError> {
    let Identity { environment, class, template, service, image } = identity;
    let zone = root.text_or("exoscale_zone", DEFAULT_ZONE)?;
    zone.word(&ZONES)?;
    let replicas = values::within(&root.whole_or("k8s_replicas", 1)?, 1, REPLICAS_MAX)?;
    let autoscaling = autoscaling(decoder, root, replicas)?;
    let block_storage = block_storage(decoder, root)?;
    let metrics = metrics_server(decoder, root)? || autoscaling.is_some();
    let cluster = cluster(decoder, root, block_storage.is_some(), metrics)?;
    let labels = labels(decoder, root)?;
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
        nodes: nodes(decoder, root, labels.labels)?,
        // What matters is protected from termination unless the file says otherwise.
        database: database(decoder, root, class == EnvironmentClass::Production)?,
        bucket: bucket(decoder, root)?,
        block_storage,
        workload: WorkloadSpec {
            namespace: values::dns_label(&namespace)?,
            service,
            image,
            replicas,
            port,
            service_port: values::port(&service_port, 1, u16::MAX)?,
            node_port: values::port(&root.whole_or("k8s_nodeport", 30_001)?, 30_000, 32_767)?,
            resources: resources(decoder, root)?,
            autoscaling,
            min_available: min_available(decoder, root)?,
            load_balancer: load_balancer(decoder, root)?,
            ingress: ingress(decoder, root)?,
        },
        hardened: labels.hardened,
        observability: false,
        agents: labels.agents,
        ttl_seconds: None,
        keep_alive_seconds: None,
        at_expiry: AtExpiry::Ask,
    })
}

/// A section that is there and not switched off. One that does not say
/// whether it is enabled is: to leave out what was asked for is worse than to
/// show it in a plan.
fn enabled<'n>(
    decoder: &mut Decoder<'n>,
    root: &Fields<'n>,
    key: &str,
    known: &[&'static str],
) -> Result<Option<Fields<'n>>, DecodeError> {
    let Some(section) = root.section(decoder, key, known)? else {
        return Ok(None);
    };
    Ok(section.flag_or("enabled", true)?.then_some(section))
}

fn cluster<'n>(
    decoder: &mut Decoder<'n>,
    root: &Fields<'n>,
    block_storage: bool,
    metrics: bool,
) -> Result<ClusterSpec, DecodeError> {
    let level = match root.text_or("sks_level", "starter")?.word(&["starter", "pro"])? {
        "pro" => SksLevel::Pro,
        _ => SksLevel::Starter,
    };
    let cni = match root.text_or("sks_cni", "calico")?.word(&["calico", "cilium"])? {
        "cilium" => Cni::Cilium,
        _ => Cni::Calico,
    };
    let listed = match root.texts("sks_addons")? {
        Some(listed) => listed,
        None => root.absent("sks_addons", Vec::new()),
    };
    let mut addons: Vec<String> = Vec::new();
    for addon in &listed.value {
        addons.push(addon.word(&ADDONS)?.to_owned());
    }
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
            decoder.correct(&listed, &before, &addons.join(", "), &why)?;
        }
    }
    addons.sort();
    addons.dedup();
    Ok(ClusterSpec { level, cni, addons, version: None })
}

fn nodes(
    decoder: &mut Decoder<'_>,
    root: &Fields<'_>,
    labels: BTreeMap<String, String>,
) -> Result<NodesSpec, DecodeError> {
    let family = values::family(&root.text_or("node_type_family", "standard")?)?;
    let mut size = root.text_or("node_type_size", SIZE_MIN)?;
    if family == "standard" && SIZES_TOO_SMALL.contains(&size.value.as_str()) {
        let why = "the cloud refuses micro and tiny for nodes; small is the smallest";
        decoder.correct(&size, &size.value, SIZE_MIN, why)?;
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

fn labels<'n>(decoder: &mut Decoder<'n>, root: &Fields<'n>) -> Result<Labels, DecodeError> {
    let mut found = Labels::default();
    let Some(section) = enabled(decoder, root, "node_labels", &["enabled", "labels"])? else {
        return Ok(found);
    };
    for (key, value) in section.pairs("labels")? {
        let name = values::label_key(&key)?;
        if values::is_reserved_label(&name) {
            let why = "the cloud refuses labels of the kubernetes.io namespaces on nodes; \
                       exokit sets managed-by on what it makes inside the cluster";
            decoder.correct(&value, &value.value, "left out", why)?;
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
            decoder.correct(&value, &value.value, &fixed, why)?;
        }
        found.labels.insert(name, fixed);
    }
    Ok(found)
}

fn load_balancer<'n>(decoder: &mut Decoder<'n>, root: &Fields<'n>) -> Result<bool, DecodeError> {
    let Some(section) = enabled(decoder, root, "load_balancer", &["enabled", "type"])? else {
        return Ok(false);
    };
    section.text_or("type", "nlb")?.word(&["nlb"])?;
    Ok(true)
}

fn ingress<'n>(decoder: &mut Decoder<'n>, root: &Fields<'n>) -> Result<Option<IngressSpec>, DecodeError> {
    let known = ["enabled", "provider", "tls", "domain", "cert_email"];
    let Some(section) = enabled(decoder, root, "ingress", &known)? else {
        return Ok(None);
    };
    let domain = section.text("domain")?;
    let cert_email = section.text("cert_email")?;
    Ok(Some(IngressSpec {
        provider: values::dns_label(&section.text_or("provider", "nginx")?)?,
        tls: section.flag_or("tls", false)?,
        domain: domain.as_ref().map(values::host_name).transpose()?,
        cert_email: cert_email.as_ref().map(values::mail).transpose()?,
    }))
}

fn bucket<'n>(decoder: &mut Decoder<'n>, root: &Fields<'n>) -> Result<Option<BucketSpec>, DecodeError> {
    let known = ["enabled", "bucket_name", "acl"];
    let Some(section) = enabled(decoder, root, "object_storage", &known)? else {
        return Ok(None);
    };
    let name = section.need_text("bucket_name")?;
    let suffix = values::service_name(&name)?;
    if suffix.len() > BUCKET_SUFFIX_CHARS_MAX {
        let why = format!("{suffix:?} has {} characters", suffix.len());
        let hint = format!("use at most {BUCKET_SUFFIX_CHARS_MAX}; the environment's name is put before it");
        return Err(name.refuse(why, hint));
    }
    let acl = match section.text_or("acl", "private")?.word(&["private", "public-read"])? {
        "public-read" => BucketAcl::PublicRead,
        _ => BucketAcl::Private,
    };
    Ok(Some(BucketSpec { suffix, acl }))
}

fn block_storage<'n>(
    decoder: &mut Decoder<'n>,
    root: &Fields<'n>,
) -> Result<Option<BlockStorageSpec>, DecodeError> {
    let known = ["enabled", "storage_class", "size_gb", "access_mode", "mount_path"];
    let Some(section) = enabled(decoder, root, "block_storage", &known)? else {
        return Ok(None);
    };
    let usual = STORAGE_CLASSES[0];
    let mut class = section.text_or("storage_class", usual)?;
    if class.value == "exoscale-ssd" {
        let why = "the cloud never had a storage class of this name";
        decoder.correct(&class, &class.value, usual, why)?;
        class = class.with(usual.to_owned());
    }
    let mode = section.text_or("access_mode", "ReadWriteOnce")?;
    if ["ReadWriteMany", "ReadOnlyMany"].contains(&mode.value.as_str()) {
        let why = format!("{} needs a volume that several nodes mount", mode.value);
        let hint = "use ReadWriteOnce; block storage is attached to one node at a time";
        return Err(mode.refuse(why, hint));
    }
    let size = section.whole_or("size_gb", 10)?;
    Ok(Some(BlockStorageSpec {
        storage_class: class.word(&STORAGE_CLASSES)?.to_owned(),
        size_gb: values::within(&size, 1, BLOCK_GB_MAX)?,
        access_mode: mode.word(&["ReadWriteOnce", "ReadWriteOncePod"])?.to_owned(),
        mount_path: values::mount_path(&section.text_or("mount_path", "/data")?)?,
    }))
}

fn database<'n>(
    decoder: &mut Decoder<'n>,
    root: &Fields<'n>,
    protect: bool,
) -> Result<Option<DatabaseSpec>, DecodeError> {
    let known = ["enabled", "type", "version", "plan", "termination_protection"];
    let Some(section) = enabled(decoder, root, "database", &known)? else {
        return Ok(None);
    };
    let kind = section.need_text("type")?;
    let mut version = section.text("version")?;
    let engine = match kind.value.as_str() {
        "pg" | "postgres" => DatabaseEngine::Pg,
        "valkey" => DatabaseEngine::Valkey,
        "redis" => {
            let why = "the cloud has replaced Redis by Valkey, which Redis clients can talk to";
            decoder.correct(&kind, "redis", "valkey", why)?;
            if let Some(old) = version.take() {
                let why = "it is a version of Redis; Valkey's default version is used";
                decoder.correct(&old, &old.value, "left out", why)?;
            }
            DatabaseEngine::Valkey
        }
        "mysql" => {
            let why = "mysql is refused: no template offers it".to_owned();
            return Err(kind.refuse(why, "use pg or valkey"));
        }
        _ => {
            kind.word(&["pg", "postgres", "valkey"])?;
            DatabaseEngine::Pg
        }
    };
    Ok(Some(DatabaseSpec {
        engine,
        version: version.as_ref().map(values::major_version).transpose()?,
        plan: values::plan(&section.text_or("plan", "startup-4")?)?,
        termination_protection: section.flag_or("termination_protection", protect)?,
    }))
}

fn autoscaling<'n>(
    decoder: &mut Decoder<'n>,
    root: &Fields<'n>,
    replicas: u32,
) -> Result<Option<AutoscalingSpec>, DecodeError> {
    let known = ["enabled", "min_replicas", "max_replicas", "cpu_target_percent", "memory_target_percent"];
    let Some(section) = enabled(decoder, root, "autoscaling", &known)? else {
        return Ok(None);
    };
    let most = section.whole_or("max_replicas", replicas)?;
    let min_replicas = section.whole_or("min_replicas", replicas)?;
    let min_replicas = values::within(&min_replicas, 1, REPLICAS_MAX)?;
    let max_replicas = values::within(&most, 1, REPLICAS_MAX)?;
    if max_replicas < min_replicas {
        let why = format!("{max_replicas} is less than min_replicas, {min_replicas}");
        return Err(most.refuse(why, "raise it, or lower min_replicas"));
    }
    Ok(Some(AutoscalingSpec {
        min_replicas,
        max_replicas,
        cpu_percent: values::within(&section.whole_or("cpu_target_percent", 70)?, 1, 100)?,
        memory_percent: values::within(&section.whole_or("memory_target_percent", 80)?, 1, 100)?,
    }))
}

fn resources<'n>(decoder: &mut Decoder<'n>, root: &Fields<'n>) -> Result<ResourcesSpec, DecodeError> {
    let section = root.section(decoder, "resources", &["requests", "limits"])?;
    let section = section.as_ref();
    let requests = amounts(decoder, root, section, "requests", ("100m", "128Mi"))?;
    let limits = amounts(decoder, root, section, "limits", ("500m", "512Mi"))?;
    for (limit, request, most) in [
        (&limits.cpu, requests.millicores, limits.millicores),
        (&limits.memory, requests.bytes, limits.bytes),
    ] {
        if request > most {
            let why = "the limit is below the request".to_owned();
            return Err(limit.refuse(why, "raise the limit or lower the request"));
        }
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

fn amounts<'n>(
    decoder: &mut Decoder<'n>,
    root: &Fields<'n>,
    section: Option<&Fields<'n>>,
    key: &str,
    default: (&str, &str),
) -> Result<Amounts, DecodeError> {
    let part = match section {
        Some(section) => section.section(decoder, key, &["cpu", "memory"])?,
        None => None,
    };
    // Without the part, its keys are missed where the part should be.
    let (cpu, memory) = match &part {
        Some(part) => (part.text_or("cpu", default.0)?, part.text_or("memory", default.1)?),
        None => {
            let root = section.unwrap_or(root);
            (
                root.text_or(&format!("{key}.cpu"), default.0)?,
                root.text_or(&format!("{key}.memory"), default.1)?,
            )
        }
    };
    let (cpu_text, millicores) = values::cpu(&cpu)?;
    let (memory_text, bytes) = values::memory(&memory)?;
    Ok(Amounts {
        cpu,
        memory,
        quantities: Quantities { cpu: cpu_text, memory: memory_text },
        millicores,
        bytes,
    })
}

fn metrics_server<'n>(decoder: &mut Decoder<'n>, root: &Fields<'n>) -> Result<bool, DecodeError> {
    match root.section(decoder, "monitoring", &["metrics_server"])? {
        Some(section) => section.flag_or("metrics_server", true),
        None => Ok(!root.has("sks_addons")),
    }
}

fn min_available<'n>(decoder: &mut Decoder<'n>, root: &Fields<'n>) -> Result<Option<u32>, DecodeError> {
    let known = ["enabled", "min_available"];
    let Some(section) = enabled(decoder, root, "pod_disruption_budget", &known)? else {
        return Ok(None);
    };
    let least = section.whole_or("min_available", 1)?;
    values::within(&least, 1, REPLICAS_MAX).map(Some)
}
