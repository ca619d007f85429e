//! From options and files to the fields of a request.

use std::path::Path;

use exokit_model::cost::ApprovalLevel;
use exokit_model::selection::Requirements;
use exokit_model::spec::EnvironmentClass;
use exokit_templates::{DecodeError, decode_yaml};
use exokit_wire::decode;
use exokit_wire::request::{Ask, RunFileText, Shape};

use crate::args::{ChangeArgs, RequirementArgs, SelectArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::state_dir::read;

/// The environment that the options ask for.
pub(crate) fn ask(args: &ChangeArgs) -> Result<Ask, CliError> {
    let run_file = match &args.file {
        Some(file) => Some(run_file(file, args.lenient)?),
        None => None,
    };
    let shape = args.shape.clone();
    Ok(Ask {
        template: args.template.clone(),
        requirements: Requirements { class: EnvironmentClass::Test, ..requirements(&args.requirements) },
        run_file,
        name: args.name.clone(),
        zone: args.zone.clone(),
        class: args.requirements.class,
        ttl_seconds: args.ttl,
        keep_alive_seconds: args.keep_alive,
        at_expiry: args.at_expiry,
        break_glass: args.break_glass.clone(),
        level: args.level.and_then(|level| ApprovalLevel::try_from(level).ok()),
        shape: Shape {
            project: shape.project,
            sks_level: shape.sks_level,
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
    })
}

/// A run file for a message, which takes no control characters.
fn run_file(path: &Path, lenient: bool) -> Result<RunFileText, CliError> {
    let (name, text) = (path.display().to_string(), read(path)?);
    match decode::text(&text) {
        Ok(()) => Ok(RunFileText { name, text, lenient }),
        Err(error) => {
            let why = format!("{name}: {error}");
            Err(CliError::new("file", "reading", "the run file", why, "remove the character")
                .exit(Exit::Usage))
        }
    }
}

fn requirements(args: &RequirementArgs) -> Requirements {
    Requirements {
        template: None,
        database: args.database,
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
        class: args.class.unwrap_or_default(),
        zone: None,
        country: args.country.clone(),
        agents: args.agents.clone(),
        ttl_seconds: None,
        hourly_max: args.price_max,
    }
}

/// The requirements of `exokit select`: those of the file, overridden by flags.
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
