//! From options and files to what is asked for, as it would stand in a message.

use std::path::Path;

use exokit_core::select::{Priced, select};
use exokit_model::cost::{ApprovalLevel, CostPolicy};
use exokit_model::selection::{Requirements, Selection};
use exokit_model::spec::{AtExpiry, DatabaseEngine, EnvironmentClass, SksLevel};
use exokit_service::PlannedChange;
use exokit_service::admission::Limits;
use exokit_templates::{DecodeError, TemplateSet, decode_yaml};
use exokit_wire::ask::{Ask, RunFileText, Shape};
use exokit_wire::request::PlanRequest;

use crate::args::{
    AtExpiryName, ChangeArgs, ClassName, DatabaseName, RequirementArgs, SelectArgs, SksLevelName,
};
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Session, price_list, templates};
use crate::settings::Settings;
use crate::state_dir::read;

/// Plans what was asked for. Nothing is recorded.
pub(crate) async fn plan(
    settings: &Settings,
    session: &Session,
    args: &ChangeArgs,
) -> Result<PlannedChange, CliError> {
    let request = PlanRequest::Provision(Box::new(ask(args)?));
    let service = session.service(settings, Limits::default())?;
    Ok(service.plan_change(&settings.person, &request, None).await?)
}

/// The options as they would stand in a message.
pub(crate) fn ask(args: &ChangeArgs) -> Result<Ask, CliError> {
    let run_file = match &args.file {
        Some(file) => {
            refuse_shape(args)?;
            Some(RunFileText { name: file.display().to_string(), text: read(file)?, lenient: args.lenient })
        }
        None => None,
    };
    let shape = args.shape.clone();
    let class = args.requirements.class.map(class_of);
    let ask = Ask {
        template: args.template.clone(),
        requirements: Requirements { class: EnvironmentClass::Test, ..requirements(&args.requirements) },
        run_file,
        name: args.name.clone(),
        zone: args.zone.clone(),
        class,
        ttl_seconds: args.ttl,
        keep_alive_seconds: args.keep_alive,
        at_expiry: match args.at_expiry {
            AtExpiryName::Ask => AtExpiry::Ask,
            AtExpiryName::Remove => AtExpiry::Remove,
        },
        break_glass: args.break_glass.clone(),
        level: args.level.and_then(|level| ApprovalLevel::try_from(level).ok()),
        shape: Shape {
            project: shape.project,
            sks_level: shape.sks_level.map(|level| match level {
                SksLevelName::Starter => SksLevel::Starter,
                SksLevelName::Pro => SksLevel::Pro,
            }),
            kubernetes: shape.kubernetes,
            nodes: shape.nodes,
            node_size: shape.node_size,
            node_disk_gib: shape.node_disk,
            database_plan: shape.database_plan,
            volume_gib: shape.volume_size,
            image: shape.image,
            domain: shape.domain,
            cert_email: shape.cert_email,
        },
    };
    let nothing =
        ask.template.is_none() && ask.run_file.is_none() && ask.requirements == Requirements::default();
    match nothing && args.zone.is_none() && args.ttl.is_none() && class.is_none() {
        false => Ok(ask),
        true => {
            let hint = "name a template, such as T1, give a run file with -f, or say what you need, such as --database pg";
            Err(CliError::new("usage", "choosing", "the template", "nothing is asked for", hint)
                .exit(Exit::Usage))
        }
    }
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

/// What `exokit select` chooses: by the requirements of the file, overridden by
/// flags.
pub(crate) fn selected(
    settings: &Settings,
    args: &SelectArgs,
    policy: &CostPolicy,
) -> Result<(Selection, TemplateSet), CliError> {
    let set = templates(settings)?;
    let prices = price_list(settings)?;
    let required = required(args)?;
    // With no requirement at all the cheapest is the answer.
    let selection = select(&required, &Priced::new(set.candidates(), &prices), policy)
        .doing("choosing", "the template")?;
    Ok((selection, set))
}

/// The requirements of `exokit select`.
pub(crate) fn required(args: &SelectArgs) -> Result<Requirements, CliError> {
    let flags =
        Requirements { zone: args.zone.clone(), ttl_seconds: args.ttl, ..requirements(&args.requirements) };
    match &args.file {
        Some(file) => Ok(merge(required_file(file)?, flags)),
        None => Ok(flags),
    }
}

fn required_file(file: &Path) -> Result<Requirements, CliError> {
    let text = read(file)?;
    decode_yaml(&file.display().to_string(), &text).map_err(|error: DecodeError| {
        let hint = match text.contains("project_name") {
            true => "this looks like a run file: use `exokit plan -f`".to_owned(),
            false => {
                let keys = "keys are those of `exokit select --help` with underscores";
                format!("{}; {keys}, such as `block_storage_gib: 10`", error.hint())
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
