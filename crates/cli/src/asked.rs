//! From what was asked, in any of its forms, to a plan.

use std::path::Path;

use exokit_core::preflight::PreflightError;
use exokit_core::select::select;
use exokit_engine::error::EngineError;
use exokit_engine::propose::ProvisionRequest;
use exokit_model::cost::{ApprovalLevel, CostPolicy, PriceList};
use exokit_model::ids::Zone;
use exokit_model::plan::Plan;
use exokit_model::selection::{Requirements, Selection};
use exokit_model::spec::{Correction, DatabaseEngine, EnvironmentClass, EnvironmentSpec, SksLevel};
use exokit_templates::{InstantiateOptions, RunFile, Template, TemplateSet, prices};
use jiff::tz::TimeZone;

use crate::args::{ChangeArgs, ClassName, DatabaseName, RequirementArgs, SelectArgs, SksLevelName};
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Session, price_list, templates};
use crate::settings::Settings;
use crate::state_dir::read;

/// Label that names the zone of a node.
const LABEL_ZONE: &str = "stargate.io/zone";

/// A plan and what was noticed on the way to it.
pub(crate) struct Planned {
    /// The plan.
    pub(crate) plan: Plan,
    /// Why this template, when the requirements chose it.
    pub(crate) selection: Option<Selection>,
    /// What a person should know besides.
    pub(crate) notes: Vec<String>,
}

/// What the environment is to be, and where that comes from.
struct Wanted {
    spec: EnvironmentSpec,
    corrections: Vec<Correction>,
    selection: Option<Selection>,
    notes: Vec<String>,
}

/// Plans what was asked for. Nothing is recorded.
pub(crate) async fn plan(
    settings: &Settings,
    session: &Session,
    args: &ChangeArgs,
) -> Result<Planned, CliError> {
    let set = templates(settings)?;
    let prices = price_list(settings)?;
    let policy = session.engine.roster().await.doing("reading", "the roster")?.policy;
    let wanted = wanted(session, args, &set, &prices, &policy)?;
    let what = wanted.spec.environment.clone();
    check_zone(session, &wanted.spec.zone).await.doing("planning", &what)?;
    let template = set.get(wanted.spec.template).ok_or_else(|| {
        CliError::new("template", "planning", &what, "its template is not known", "name a template")
    })?;
    let request = ProvisionRequest {
        template_level: template.level,
        template_digest: template.digest(),
        price_digest: prices::digest(&prices).map_err(EngineError::from).doing("reading", "the prices")?,
        prices,
        requester: settings.person.clone(),
        corrections: wanted.corrections,
        wanted_level: args.level.and_then(|level| ApprovalLevel::try_from(level).ok()),
        spec: wanted.spec,
    };
    let plan = session.engine.plan_provision(request, None).await.doing("planning", &what)?;
    Ok(Planned { plan, selection: wanted.selection, notes: wanted.notes })
}

/// A zone that does not exist has no address to ask, so this is found out
/// first.
async fn check_zone(session: &Session, zone: &Zone) -> Result<(), EngineError> {
    let known = session.engine.zones(&session.zone).await?;
    match known.contains(zone) {
        true => Ok(()),
        false => Err(PreflightError::Zone {
            zone: zone.to_string(),
            known: known.iter().map(ToString::to_string).collect(),
        }
        .into()),
    }
}

fn wanted(
    session: &Session,
    args: &ChangeArgs,
    set: &TemplateSet,
    prices: &PriceList,
    policy: &CostPolicy,
) -> Result<Wanted, CliError> {
    if let Some(file) = &args.file {
        return from_run_file(args, file, set);
    }
    let (template, selection) = match &args.template {
        Some(name) => {
            let template = set.find(name).doing("choosing", "the template")?;
            let mut required = requirements(&args.requirements);
            required.template = Some(template.id);
            required.zone.clone_from(&args.zone);
            select(&required, &set.candidates(), prices, policy).doing("choosing", "the template")?;
            (template, None)
        }
        None => {
            let mut required = requirements(&args.requirements);
            required.zone.clone_from(&args.zone);
            required.ttl_seconds = args.ttl;
            let selection = chosen(&required, set, prices, policy)?;
            (found(set, &selection)?, Some(selection))
        }
    };
    let mut options = options(session, args);
    if let Some(selection) = &selection {
        options.zone.get_or_insert(selection.zone.clone());
    }
    let spec = template.instantiate(&options).doing("making an environment from", template.label())?;
    Ok(Wanted { spec, corrections: Vec::new(), selection, notes: Vec::new() })
}

fn chosen(
    required: &Requirements,
    set: &TemplateSet,
    prices: &PriceList,
    policy: &CostPolicy,
) -> Result<Selection, CliError> {
    if *required == Requirements::default() {
        let hint = "name a template, such as T1, give a run file with -f, or say what you need, such as --database pg";
        return Err(CliError::new("usage", "choosing", "the template", "nothing is asked for", hint)
            .exit(Exit::Usage));
    }
    select(required, &set.candidates(), prices, policy).doing("choosing", "the template")
}

fn found<'s>(set: &'s TemplateSet, selection: &Selection) -> Result<&'s Template, CliError> {
    set.find(&selection.template.to_string()).doing("choosing", "the template")
}

fn from_run_file(args: &ChangeArgs, file: &Path, set: &TemplateSet) -> Result<Wanted, CliError> {
    refuse_shape(args)?;
    let name = file.display().to_string();
    let run = RunFile::decode(&name, &read(file)?, set, args.lenient).doing("reading", "the run file")?;
    let mut spec = run.spec;
    if let Some(name) = &args.name {
        spec.environment = name.clone();
    }
    if let Some(zone) = &args.zone {
        spec.zone = zone.clone();
        spec.nodes.labels.insert(LABEL_ZONE.to_owned(), zone.to_string());
    }
    spec.ttl_seconds = args.ttl.or(spec.ttl_seconds);
    if let Some(class) = args.requirements.class {
        spec.class = class_of(class);
    }
    let ignored = run
        .ignored
        .iter()
        .map(|key| format!("{name}:{}:{}: unknown key {} is ignored", key.line, key.column, key.key));
    let differs = run.differs.iter().map(|differs| {
        format!(
            "differs from {} in {}: {} instead of {}",
            run.nearest, differs.field, differs.environment, differs.template
        )
    });
    Ok(Wanted {
        spec,
        corrections: run.corrections,
        selection: None,
        notes: ignored.chain(differs).collect(),
    })
}

/// A run file says all of it; options beside it would be lost.
fn refuse_shape(args: &ChangeArgs) -> Result<(), CliError> {
    let shape = &args.shape;
    let given = [
        ("--project", shape.project.is_some()),
        ("--sks-level", shape.sks_level.is_some()),
        ("--kubernetes", shape.kubernetes.is_some()),
        ("--nodes", shape.nodes.is_some()),
        ("--node-size", shape.node_size.is_some()),
        ("--node-disk", shape.node_disk.is_some()),
        ("--database-plan", shape.database_plan.is_some()),
        ("--volume-size", shape.volume_size.is_some()),
        ("--image", shape.image.is_some()),
        ("--domain", shape.domain.is_some()),
        ("--cert-email", shape.cert_email.is_some()),
    ];
    let without_class = Requirements { class: EnvironmentClass::Test, ..requirements(&args.requirements) };
    let requires = without_class != Requirements::default();
    let first = given.iter().find(|(_, given)| *given).map(|(option, _)| *option);
    match first.or(requires.then_some("a requirement")) {
        None => Ok(()),
        Some(option) => {
            let why = format!("{option} cannot be combined with -f");
            let hint = "change the run file, or leave the option out";
            Err(CliError::new("usage", "reading", "the arguments", why, hint).exit(Exit::Usage))
        }
    }
}

fn options(session: &Session, args: &ChangeArgs) -> InstantiateOptions {
    let shape = &args.shape;
    let today = session.engine.parts().clock.now().to_zoned(TimeZone::UTC).date();
    InstantiateOptions {
        environment: args.name.clone(),
        project: shape.project.clone(),
        class: args.requirements.class.map_or(EnvironmentClass::Test, class_of),
        zone: args.zone.clone(),
        ttl_seconds: args.ttl,
        cluster_level: shape.sks_level.map(|level| match level {
            SksLevelName::Starter => SksLevel::Starter,
            SksLevelName::Pro => SksLevel::Pro,
        }),
        kubernetes_version: shape.kubernetes.clone(),
        node_count: shape.nodes,
        node_size: shape.node_size.clone(),
        node_disk_gb: shape.node_disk,
        database_plan: shape.database_plan.clone(),
        block_storage_gb: shape.volume_size,
        image: shape.image.clone(),
        domain: shape.domain.clone(),
        cert_email: shape.cert_email.clone(),
        ..InstantiateOptions::new(today)
    }
}

fn class_of(name: ClassName) -> EnvironmentClass {
    match name {
        ClassName::Test => EnvironmentClass::Test,
        ClassName::Staging => EnvironmentClass::Staging,
        ClassName::Production => EnvironmentClass::Production,
    }
}

fn requirements(args: &RequirementArgs) -> Requirements {
    Requirements {
        template: None,
        database: args.database.map(|name| match name {
            DatabaseName::Pg => DatabaseEngine::Pg,
            DatabaseName::Valkey => DatabaseEngine::Valkey,
        }),
        object_storage: args.object_storage,
        block_storage_gib: args.block_storage,
        node_cpus: args.node_cpus,
        node_memory_gib: args.node_memory,
        total_cpus: args.total_cpus,
        total_memory_gib: args.total_memory,
        nodes_min: args.nodes_min,
        isolation: args.isolation,
        observability: args.observability,
        replicas_min: args.replicas_min,
        replicas_max: args.replicas_max,
        class: args.class.map_or(EnvironmentClass::Test, class_of),
        zone: None,
        country: args.country.clone(),
        agents: args.agents.clone(),
        ttl_seconds: None,
        hourly_max: args.price_max,
    }
}

/// The requirements of `exokit select`: those of the file, overridden by
/// flags.
pub(crate) fn selected(
    settings: &Settings,
    args: &SelectArgs,
    policy: &CostPolicy,
) -> Result<(Selection, TemplateSet), CliError> {
    let set = templates(settings)?;
    let prices = price_list(settings)?;
    let flags =
        Requirements { zone: args.zone.clone(), ttl_seconds: args.ttl, ..requirements(&args.requirements) };
    let required = match &args.file {
        Some(file) => merge(required_file(file)?, flags),
        None => flags,
    };
    let selection = match required == Requirements::default() {
        // With no requirement at all the cheapest is the answer.
        true => select(&required, &set.candidates(), &prices, policy).doing("choosing", "the template")?,
        false => chosen(&required, &set, &prices, policy)?,
    };
    Ok((selection, set))
}

fn required_file(file: &Path) -> Result<Requirements, CliError> {
    let text = read(file)?;
    serde_saphyr::from_str(&text).map_err(|error| {
        let hint = match text.contains("project_name") {
            true => "this looks like a run file: use `exokit plan -f`",
            false => {
                "keys are those of `exokit select --help` with underscores, such as `block_storage_gib: 10`"
            }
        };
        CliError::new("file", "reading", file.display(), error, hint).exit(Exit::Usage)
    })
}

/// Flags win over the file.
fn merge(file: Requirements, flags: Requirements) -> Requirements {
    let agents = if flags.agents.is_empty() { file.agents } else { flags.agents };
    Requirements {
        template: file.template,
        database: flags.database.or(file.database),
        object_storage: flags.object_storage || file.object_storage,
        block_storage_gib: flags.block_storage_gib.or(file.block_storage_gib),
        node_cpus: flags.node_cpus.or(file.node_cpus),
        node_memory_gib: flags.node_memory_gib.or(file.node_memory_gib),
        total_cpus: flags.total_cpus.or(file.total_cpus),
        total_memory_gib: flags.total_memory_gib.or(file.total_memory_gib),
        nodes_min: flags.nodes_min.or(file.nodes_min),
        isolation: flags.isolation || file.isolation,
        observability: flags.observability || file.observability,
        replicas_min: flags.replicas_min.or(file.replicas_min),
        replicas_max: flags.replicas_max.or(file.replicas_max),
        class: flags.class.max(file.class),
        zone: flags.zone.or(file.zone),
        country: flags.country.or(file.country),
        agents,
        ttl_seconds: flags.ttl_seconds.or(file.ttl_seconds),
        hourly_max: flags.hourly_max.or(file.hourly_max),
    }
}
