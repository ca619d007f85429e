//! From options and files to the fields of a request.

use std::path::Path;

use exokit_model::cost::ApprovalLevel;
use exokit_model::selection::Requirements;
use exokit_templates::{DecodeError, decode_yaml};
use exokit_wire::decode;
use exokit_wire::request::{Ask, RunFileText};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::args::{ChangeArgs, SelectArgs};
use crate::error::{CliError, OUR_MISTAKE};
use crate::state_dir::read;

/// The environment that the options ask for.
pub(crate) fn ask(args: &ChangeArgs) -> Result<Ask, CliError> {
    let run_file = args.file.as_ref().map(|file| run_file(file, args.lenient)).transpose()?;
    let mut requirements = given(&args.requirements)?;
    // It stands beside them.
    requirements.remove("class");
    Ok(Ask {
        template: args.template.clone(),
        requirements: fields_of(requirements)?,
        run_file,
        name: args.name.clone(),
        zone: args.zone.clone(),
        class: args.requirements.class,
        ttl_seconds: args.ttl,
        keep_alive_seconds: args.keep_alive,
        at_expiry: args.at_expiry,
        break_glass: args.break_glass.clone(),
        level: args.level.and_then(|level| ApprovalLevel::try_from(level).ok()),
        shape: fields_of(given(&args.shape)?)?,
    })
}

/// The options that are given, by the names of the fields of a request.
fn given(args: &impl Serialize) -> Result<Map<String, Value>, CliError> {
    let is_given = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    let fields = serde_json::to_value(args).and_then(serde_json::from_value::<Map<String, Value>>);
    Ok(fields.map_err(mistake)?.into_iter().filter(|(_, value)| is_given(value)).collect())
}

fn fields_of<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, CliError> {
    serde_json::from_value(Value::Object(fields)).map_err(mistake)
}

/// The error for an option that is no field of a request, which no test lets pass.
fn mistake(error: serde_json::Error) -> CliError {
    CliError::new("usage", "reading", "the arguments", error, OUR_MISTAKE)
}

/// A run file for a message, which takes no control characters.
fn run_file(path: &Path, lenient: bool) -> Result<RunFileText, CliError> {
    let (name, text) = (path.display().to_string(), read(path)?);
    match decode::text(&text) {
        Ok(()) => Ok(RunFileText { name, text, lenient }),
        Err(error) => {
            let why = format!("{name}: {error}");
            Err(CliError::unusable("file", "reading", "the run file", why, "remove the character"))
        }
    }
}

/// The requirements of `exokit select`: those of the file, overridden by flags.
pub(crate) fn required(args: &SelectArgs) -> Result<Requirements, CliError> {
    let file = args.file.as_deref().map_or_else(|| Ok(Requirements::default()), required_file)?;
    let class = args.requirements.class.unwrap_or_default().max(file.class);
    let mut fields = given(&file)?;
    fields.extend(given(&args.requirements)?);
    let required: Requirements = fields_of(fields)?;
    Ok(Requirements {
        class,
        zone: args.zone.clone().or(required.zone),
        ttl_seconds: args.ttl.or(required.ttl_seconds),
        ..required
    })
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
        CliError::unusable("file", "reading", file.display(), error, hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    fn parsed(command: &str, flags: &str) -> Command {
        let words = ["exokit", command].into_iter().chain(flags.split(' '));
        Cli::try_parse_from(words).unwrap().command
    }

    #[test]
    fn every_option_is_a_field_of_a_request() {
        let requirements = "--database pg --object-storage --block-storage 10 --node-cpus 2 --node-memory 4 \
                            --total-cpus 8 --total-memory 16 --nodes-min 2 --isolation --observability \
                            --replicas-min 1 --replicas-max 3 --class production --country ch --serves a \
                            --serves b --price-max 1.5";
        let Command::Select(args) = parsed("select", requirements) else { panic!("select") };
        let all = required(&args).unwrap();
        assert_eq!(
            (all.block_storage_gib, all.node_memory_gib, all.total_memory_gib),
            (Some(10), Some(4), Some(16))
        );
        assert_eq!((all.class, all.agents.len()), (exokit_model::spec::EnvironmentClass::Production, 2));
        assert_eq!(all.hourly_max, Some("1.5".parse().unwrap()));
        assert_eq!(given(&all).unwrap().len(), 16);
        let shape = "--project p --sks-level pro --kubernetes 1.35 --nodes 3 --node-size medium --node-disk 50 \
                     --database-plan startup-8 --volume-size 20 --image i --registry-login r --domain d --cert-email e --port 8080 \
                     --replicas 2";
        let Command::Plan(args) = parsed("plan", shape) else { panic!("plan") };
        let asked = ask(&args.change).unwrap();
        assert_eq!((asked.shape.node_disk_gib, asked.shape.volume_gib), (Some(50), Some(20)));
        assert_eq!(given(&asked.shape).unwrap().len(), 14);
        assert_eq!(asked.requirements, Requirements::default());
    }
}
