//! The program's own log, on stderr, and beside it the spans that are exported.

use exokit_spans::exporter::Exporter;
use tracing::Dispatch;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::args::{Command, LogFormat};
use crate::settings::Settings;

/// What takes log and spans: the log of the agent always, of a command when it
/// is asked for. Without an exporter one filter stands before everything, so
/// that what is not in the log costs nothing.
pub(crate) fn log(command: &Command, settings: &Settings, exporter: Option<&Exporter>) -> Option<Dispatch> {
    let (filter, format) = match (command, &settings.log) {
        (Command::Serve(args), filter) => (filter.clone().unwrap_or("info".to_owned()), args.log_format),
        (Command::Orchestrator(args), filter) => {
            (filter.clone().unwrap_or("info".to_owned()), args.log_format)
        }
        (_, Some(filter)) => (filter.clone(), LogFormat::Text),
        (_, None) => return None,
    };
    let filter = EnvFilter::new(filter);
    Some(match exporter {
        Some(exporter) => {
            let log = beside_spans(format, settings).with_filter(filter);
            Dispatch::new(tracing_subscriber::registry().with(log).with(exporter.layer()))
        }
        None => alone(format, settings, filter),
    })
}

fn alone(format: LogFormat, settings: &Settings, filter: EnvFilter) -> Dispatch {
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => Dispatch::new(log.json().flatten_event(true).finish()),
        LogFormat::Text => Dispatch::new(log.with_ansi(settings.output.colour_notes).finish()),
    }
}

fn beside_spans(format: LogFormat, settings: &Settings) -> Box<dyn Layer<Registry> + Send + Sync> {
    let log = layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Json => Box::new(log.json().flatten_event(true)),
        LogFormat::Text => Box::new(log.with_ansi(settings.output.colour_notes)),
    }
}
