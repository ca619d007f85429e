//! A template: a named, complete description of a sort of environment.

use std::collections::BTreeMap;

use exokit_model::candidate::{Candidate, NodeShape};
use exokit_model::canonical::{Digest, to_canonical_bytes};
use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::{EnvironmentName, InvalidId, TemplateId, Zone};
use exokit_model::spec::{EnvironmentClass, EnvironmentSpec, SksLevel, WorkloadSpec};
use exokit_model::text::is_hazardous;
use jiff::civil::Date;
use serde::Serialize;

use crate::body::{self, DISK_GB, Identity, NODES_MAX};
use crate::error::{DecodeError, SourceLocation};
use crate::fields::{Decoder, Fields, Mode};
use crate::known::{ZONES, node_shape, sizes};
use crate::values;
use crate::yaml;

/// Keys of the section `template`.
const HEADER_KEYS: [&str; 8] = ["id", "name", "summary", "level", "role", "agents", "observability", "image"];

/// Domain of template digests.
const DIGEST_DOMAIN: &str = "exokit-template/v1";

/// Labels that every environment's nodes carry.
pub(crate) const LABEL_PROJECT: &str = "stargate.io/project";
/// Role of the nodes.
pub(crate) const LABEL_ROLE: &str = "stargate.io/role";
/// Zone of the nodes.
pub(crate) const LABEL_ZONE: &str = "stargate.io/zone";
/// Template, as in `T3-persistent-store`.
pub(crate) const LABEL_TEMPLATE: &str = "stargate.io/template";

/// A template. Its serialized form is what its digest covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// Its name, such as `persistent-store`.
    pub name: String,
    /// What it is for, in one sentence.
    pub summary: String,
    /// Default approval level.
    pub level: ApprovalLevel,
    /// Role of its nodes, for the label `stargate.io/role`.
    pub role: String,
    /// What it builds, before it has a name.
    spec: EnvironmentSpec,
    #[serde(skip)]
    node: NodeShape,
    #[serde(skip)]
    digest: Digest,
}

/// What may be chosen when an environment is made from a template. What is
/// none stays as in the template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstantiateOptions {
    /// Today, for the default name.
    pub date: Date,
    /// Name; by default `stargate-tN-YYYYMMDD`.
    pub environment: Option<EnvironmentName>,
    /// Project name for display; by default the environment's name.
    pub project: Option<String>,
    /// How much it matters.
    pub class: EnvironmentClass,
    /// Zone.
    pub zone: Option<Zone>,
    /// Seconds after which it expires.
    pub ttl_seconds: Option<u64>,
    /// Level of the control plane.
    pub cluster_level: Option<SksLevel>,
    /// Kubernetes version.
    pub kubernetes_version: Option<String>,
    /// Number of nodes.
    pub node_count: Option<u32>,
    /// Size of the nodes.
    pub node_size: Option<String>,
    /// Local disk of each node in GiB.
    pub node_disk_gb: Option<u32>,
    /// Plan of the database.
    pub database_plan: Option<String>,
    /// Size of the block storage in GiB.
    pub block_storage_gb: Option<u32>,
    /// Container image of the workload.
    pub image: Option<String>,
    /// Name of the login to the registry of the image.
    pub registry_login: Option<String>,
    /// Host name of the ingress.
    pub domain: Option<String>,
    /// Mail address for certificates.
    pub cert_email: Option<String>,
    /// A `ClusterIssuer` of cert-manager for the certificate.
    pub cert_issuer: Option<String>,
    /// Port of the workload's container.
    pub port: Option<u16>,
    /// Replicas of the workload; where it scales, the least.
    pub replicas: Option<u32>,
}

impl InstantiateOptions {
    /// Nothing chosen.
    #[must_use]
    pub fn new(date: Date) -> Self {
        Self { date, ..Self::default() }
    }
}

/// Why a template cannot be made with the chosen options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct InstantiateError {
    why: String,
    hint: String,
}

impl InstantiateError {
    /// An option with a value that is refused.
    fn refused(option: &str, why: &str, hint: impl Into<String>) -> Self {
        Self { why: format!("{option}: {why}"), hint: hint.into() }
    }

    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is not well formed, lacks a key, has an unknown one, or needs
    /// correction.
    pub fn decode(file: &str, text: &str) -> Result<Self, DecodeError> {
        let node = yaml::parse(file, text)?;
        let decoder = Decoder::new(file, text, Mode::Template);
        let mut known = vec!["template", "service_name"];
        known.extend(body::KEYS);
        let root = decoder.open(&node, "", &known)?;
        let Some(header) = root.section("template", &HEADER_KEYS)? else {
            return Err(root.absent("template", ()).missing());
        };
        build(&root, &header)
    }

    /// `T3-persistent-store`, as in the label of the nodes.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}-{}", self.id, self.name)
    }

    /// Digest over everything that the template says.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it builds by default, under a name that stands for none.
    #[must_use]
    pub fn defaults(&self) -> &EnvironmentSpec {
        &self.spec
    }

    /// The template as the selector sees it.
    #[must_use]
    pub fn candidate(&self) -> Candidate {
        Candidate {
            id: self.id,
            name: self.name.clone(),
            level: self.level,
            node: self.node,
            zones: ZONES.iter().filter_map(|zone| zone.parse().ok()).collect(),
            spec: self.spec.clone(),
        }
    }

    /// The environment that it makes with `options`.
    ///
    /// # Errors
    /// When the default name cannot be made, when an option is for a part that
    /// the template does not have, or when its value is refused.
    pub fn instantiate(&self, options: &InstantiateOptions) -> Result<EnvironmentSpec, InstantiateError> {
        let mut spec = self.spec.clone();
        spec.environment = match &options.environment {
            Some(name) => name.clone(),
            None => default_name(self.id, options.date)?,
        };
        spec.project = match &options.project {
            Some(project) => display_name(project)?,
            None => spec.environment.to_string(),
        };
        spec.class = options.class;
        spec.ttl_seconds = options.ttl_seconds;
        if let Some(zone) = &options.zone {
            spec.zone = zone.clone();
        }
        if let Some(level) = options.cluster_level {
            spec.cluster.level = level;
        }
        if options.kubernetes_version.is_some() {
            spec.cluster.version.clone_from(&options.kubernetes_version);
        }
        override_nodes(&mut spec, options)?;
        override_data(&mut spec, options)?;
        override_workload(&mut spec, options)?;
        let own = self.own_labels(&spec);
        spec.nodes.labels.extend(own);
        Ok(spec)
    }

    /// The labels that every environment's nodes carry.
    pub(crate) fn own_labels(&self, spec: &EnvironmentSpec) -> BTreeMap<String, String> {
        [
            (LABEL_PROJECT, values::label_value(&spec.project)),
            (LABEL_ROLE, self.role.clone()),
            (LABEL_ZONE, spec.zone.to_string()),
            (LABEL_TEMPLATE, self.label()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

/// Text that is shown to people: one line, nothing hidden.
fn display_name(text: &str) -> Result<String, InstantiateError> {
    let good = !text.trim().is_empty() && text.chars().count() <= 100 && !text.chars().any(is_hazardous);
    if good {
        return Ok(text.to_owned());
    }
    let why = format!("{:?} is not a name to display", yaml::shorten(text));
    Err(InstantiateError::refused("project", &why, "use one line of 1 to 100 visible characters"))
}

/// `stargate-t3-20260223`.
fn default_name(id: TemplateId, date: Date) -> Result<EnvironmentName, InstantiateError> {
    let (year, month, day) = (date.year(), date.month(), date.day());
    let name = format!("stargate-t{}-{year:04}{month:02}{day:02}", id.0);
    name.parse().map_err(|error: InvalidId| InstantiateError {
        why: format!("naming the environment: {error}"),
        hint: error.rule.to_owned(),
    })
}

/// Runs a check of the files on an option.
fn checked<T, U>(
    option: &str,
    value: T,
    check: impl FnOnce(&crate::fields::At<T>) -> Result<U, DecodeError>,
) -> Result<U, InstantiateError> {
    let at =
        crate::fields::At { file: String::new(), location: SourceLocation::START, key: String::new(), value };
    check(&at).map_err(|error| InstantiateError::refused(option, &error.why, error.hint()))
}

fn override_nodes(spec: &mut EnvironmentSpec, options: &InstantiateOptions) -> Result<(), InstantiateError> {
    if let Some(count) = options.node_count {
        spec.nodes.count = checked("node count", count, |at| values::within(at, 1, NODES_MAX))?;
    }
    if let Some(disk) = options.node_disk_gb {
        let within = |at: &_| values::within(at, DISK_GB.0, DISK_GB.1);
        spec.nodes.disk_gb = checked("node disk", disk, within)?;
    }
    if let Some(size) = &options.node_size {
        let family = spec.nodes.family.clone();
        if node_shape(&family, size).is_none() {
            let why = format!("family {family} has no size {:?} for nodes", yaml::shorten(size));
            let hint = format!("use one of {}", sizes(&family).join(", "));
            return Err(InstantiateError::refused("node size", &why, hint));
        }
        spec.nodes.size.clone_from(size);
    }
    Ok(())
}

/// A part of the template, for an option that is about it.
fn part<'s, T>(
    part: &'s mut Option<T>,
    template: TemplateId,
    (name, option): (&str, &str),
) -> Result<&'s mut T, InstantiateError> {
    part.as_mut().ok_or_else(|| InstantiateError {
        why: format!("template {template} has no {name}, so {option} cannot be chosen"),
        hint: format!("choose a template with a {name}, or leave the option out"),
    })
}

fn override_data(spec: &mut EnvironmentSpec, options: &InstantiateOptions) -> Result<(), InstantiateError> {
    if let Some(plan) = &options.database_plan {
        let database = part(&mut spec.database, spec.template, ("database", "database plan"))?;
        database.plan = checked("database plan", plan.clone(), values::plan)?;
    }
    // What matters is not deleted by accident from elsewhere; a teardown by
    // exokit takes the protection away after it was approved.
    if spec.class == EnvironmentClass::Production
        && let Some(database) = &mut spec.database
    {
        database.termination_protection = true;
    }
    if let Some(size) = options.block_storage_gb {
        let block = part(&mut spec.block_storage, spec.template, ("block storage", "block storage"))?;
        block.size_gb = checked("block storage", size, |at| values::within(at, 1, body::BLOCK_GB_MAX))?;
    }
    Ok(())
}

fn override_workload(
    spec: &mut EnvironmentSpec,
    options: &InstantiateOptions,
) -> Result<(), InstantiateError> {
    if let Some(image) = &options.image {
        spec.workload.image = checked("image", image.clone(), values::image)?;
    }
    if let Some(login) = &options.registry_login {
        spec.workload.registry_login = Some(checked("registry login", login.clone(), values::dns_label)?);
    }
    let ingress = &mut spec.workload.ingress;
    if let Some(domain) = &options.domain {
        let ingress = part(ingress, spec.template, ("ingress", "domain"))?;
        ingress.domain = Some(checked("domain", domain.clone(), values::host_name)?);
    }
    if let Some(mail) = &options.cert_email {
        let ingress = part(ingress, spec.template, ("ingress", "mail"))?;
        ingress.cert_email = Some(checked("mail", mail.clone(), values::mail)?);
    }
    if let Some(issuer) = &options.cert_issuer {
        let ingress = part(ingress, spec.template, ("ingress", "issuer"))?;
        ensure(
            ingress.domain.is_some(),
            || "an issuer needs a host name".to_owned(),
            "choose the domain as well",
        )?;
        ingress.tls = true;
        ingress.cert_issuer = Some(checked("issuer", issuer.clone(), values::dns_label)?);
    }
    if let Some(port) = options.port {
        spec.workload.port = checked("port", u32::from(port), |at| values::port(at, 1, u16::MAX))?;
    }
    match options.replicas {
        Some(replicas) => override_replicas(&mut spec.workload, replicas),
        None => Ok(()),
    }
}

fn override_replicas(workload: &mut WorkloadSpec, replicas: u32) -> Result<(), InstantiateError> {
    workload.replicas = checked("replicas", replicas, |at| values::within(at, 1, body::REPLICAS_MAX))?;
    let least = workload.min_available.unwrap_or(0);
    let why = || format!("{replicas} replicas are fewer than the {least} that must stay available");
    ensure(replicas >= least, why, "choose more, or another template")?;
    if let Some(autoscaling) = &mut workload.autoscaling {
        let most = autoscaling.max_replicas;
        let why = || format!("{replicas} replicas are more than the {most} that it can grow to");
        ensure(replicas <= most, why, "choose fewer, or another template")?;
        autoscaling.min_replicas = replicas;
    }
    Ok(())
}

fn ensure(holds: bool, why: impl FnOnce() -> String, hint: &str) -> Result<(), InstantiateError> {
    if holds { Ok(()) } else { Err(InstantiateError { why: why(), hint: hint.to_owned() }) }
}

fn build(root: &Fields<'_>, header: &Fields<'_>) -> Result<Template, DecodeError> {
    let id_at = header.need_text("id")?;
    let id: TemplateId = id_at.id()?;
    let name = values::service_name(&header.need_text("name")?)?;
    let summary = header.need_text("summary")?.value;
    let level_at = header.whole_or("level", 3)?;
    let level = u8::try_from(level_at.value)
        .map_err(|_| String::from("an approval level is 1, 2 or 3"))
        .and_then(ApprovalLevel::try_from)
        .map_err(|why| level_at.refuse(why, "use 1, 2 or 3"))?;
    let role = values::dns_label(&header.need_text("role")?)?;
    let agents = header.texts("agents")?.map(|listed| listed.value).unwrap_or_default();
    let identity = Identity {
        environment: id_at.with(format!("t{}", id.0)).id()?,
        class: EnvironmentClass::Test,
        template: id,
        service: values::service_name(&root.need_text("service_name")?)?,
        image: values::image(&header.need_text("image")?)?,
    };
    let mut spec = body::decode(root, identity)?;
    spec.agents = agents.iter().map(values::dns_label).collect::<Result<_, _>>()?;
    spec.observability = header.flag_or("observability", false)?;
    let Some(node) = node_shape(&spec.nodes.family, &spec.nodes.size) else {
        return Err(root.absent("node_type_size", ()).refuse("no such type of node", "use standard small"));
    };
    let mut template =
        Template { id, name, summary, level, role, spec, node, digest: Digest::of(DIGEST_DOMAIN, &[]) };
    let bytes = to_canonical_bytes("a template", &template).map_err(|error| {
        root.absent("", ()).refuse(error.to_string(), "report this; it is a fault of exokit")
    })?;
    template.digest = Digest::of(DIGEST_DOMAIN, &bytes);
    Ok(template)
}
