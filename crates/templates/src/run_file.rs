//! Run files of the earlier kit: one flat mapping per environment.
//!
//! A run file says what an environment is. It is not a template: the reading
//! names the template that it equals or comes nearest to, and what differs.

use exokit_model::ids::{EnvironmentName, TemplateId};
use exokit_model::spec::{Correction, EnvironmentClass, EnvironmentSpec};

use crate::body::{self, Identity};
use crate::compare::{Difference, nearest};
use crate::error::DecodeError;
use crate::fields::{At, Decoder, Fields, IgnoredKey, Mode};
use crate::set::TemplateSet;
use crate::template::LABEL_TEMPLATE;
use crate::values;
use crate::yaml;

/// Keys that say whose environment it is.
const IDENTITY_KEYS: [&str; 5] =
    ["project_name", "service_name", "service_version", "docker_hub_user", "environment"];

/// A reading of a run file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFile {
    /// The environment that it describes.
    pub spec: EnvironmentSpec,
    /// What was changed, in the order of reading.
    pub corrections: Vec<Correction>,
    /// The template that it equals or comes nearest to, also in the
    /// specification.
    pub nearest: TemplateId,
    /// In what it differs from that template; empty when it equals it.
    pub differs: Vec<Difference>,
    /// Unknown keys, when they are ignored rather than refused.
    pub ignored: Vec<IgnoredKey>,
}

impl RunFile {
    /// Reads a run file. When `lenient`, unknown keys are reported instead of
    /// refused.
    ///
    /// # Errors
    /// When it is not well formed, has an unknown key or a value that cannot
    /// be used.
    pub fn decode(file: &str, text: &str, set: &TemplateSet, lenient: bool) -> Result<Self, DecodeError> {
        let node = yaml::parse(file, text)?;
        let decoder = Decoder::new(file, text, Mode::Run { lenient });
        let mut known = IDENTITY_KEYS.to_vec();
        known.extend(body::KEYS);
        let root = decoder.open(&node, "", &known)?;
        let project = root.need_text("project_name")?;
        let environment = environment_name(&root, &project)?;
        let class = class(&root)?;
        let service = match root.text("service_name")? {
            Some(name) => values::service_name(&name)?,
            None => environment.to_string(),
        };
        let image = image(&root, &service, set)?;
        let identity = Identity { environment, class, template: TemplateId(1), service, image };
        let mut spec = body::decode(&root, identity)?;
        spec.project = project.value;
        observability(&root, &mut spec, set)?;
        let Some((id, differs)) = nearest(&spec, set) else {
            let at = root.absent("", ());
            return Err(at.refuse("there are no templates to compare with", "give one"));
        };
        spec.template = id;
        add_own_labels(&mut spec, set);
        let (corrections, ignored) = decoder.notes();
        Ok(Self { spec, corrections, nearest: id, differs, ignored })
    }
}

fn environment_name(root: &Fields<'_>, project: &At<String>) -> Result<EnvironmentName, DecodeError> {
    let slug = values::slug(&project.value);
    let name = project.with(slug.clone()).id()?;
    if slug != project.value {
        let why = "names in the cloud are lower-case letters, digits and hyphens";
        root.correct(project, &project.value, &slug, why)?;
    }
    Ok(name)
}

fn class(root: &Fields<'_>) -> Result<EnvironmentClass, DecodeError> {
    root.text_or("environment", "test")?.choice(&[
        ("test", EnvironmentClass::Test),
        ("staging", EnvironmentClass::Staging),
        ("production", EnvironmentClass::Production),
    ])
}

/// The image of the user's repository on Docker Hub; without a user, the
/// sample image of the smallest template.
fn image(root: &Fields<'_>, service: &str, set: &TemplateSet) -> Result<String, DecodeError> {
    let version = root.text_or("service_version", "latest")?;
    let sample = set.iter().next().map(|template| &template.defaults().workload.image);
    match (root.text("docker_hub_user")?, sample) {
        (Some(user), _) => {
            let image = format!("{}/{service}:{}", user.value, version.value);
            values::image(&user.with(image))
        }
        (None, Some(sample)) => Ok(sample.clone()),
        (None, None) => Err(root.absent("docker_hub_user", ()).missing()),
    }
}

/// The earlier kit could only reserve room for Grafana, Prometheus and Loki.
/// A file that was made from a template which runs them gets them.
fn observability(
    root: &Fields<'_>,
    spec: &mut EnvironmentSpec,
    set: &TemplateSet,
) -> Result<(), DecodeError> {
    let label = spec.nodes.labels.get(LABEL_TEMPLATE);
    let template = label.and_then(|label| set.find(label).ok());
    if template.is_some_and(|template| template.defaults().observability) {
        spec.observability = true;
        let at = root.absent("node_labels.labels.stargate.io/template", ());
        let why = "the template runs Grafana, Prometheus and Loki, which the kit did not";
        root.correct(&at, "room for monitoring", "monitoring that runs", why)?;
    }
    Ok(())
}

/// Labels that the file does not set are as in the nearest template.
fn add_own_labels(spec: &mut EnvironmentSpec, set: &TemplateSet) {
    let Some(template) = set.get(spec.template) else {
        return;
    };
    for (key, value) in template.own_labels(spec) {
        spec.nodes.labels.entry(key).or_insert(value);
    }
}
