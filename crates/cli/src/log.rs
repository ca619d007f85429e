//! The program's own log, on stderr, and beside it the spans that are exported.

use exokit_model::text::Escaped;
use exokit_spans::exporter::Exporter;
use tracing::Dispatch;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{FormatFields, debug_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::{EnvFilter, Registry, registry};

use crate::args::{Command, LogFormat};
use crate::settings::Settings;

/// What takes log and spans: the log of the agent always, of a command when it
/// is asked for. Without an exporter one filter stands before everything, so
/// that what is not in the log costs nothing.
pub(crate) fn log(command: &Command, settings: &Settings, exporter: Option<&Exporter>) -> Option<Dispatch> {
    let (filter, format) = match (command, settings.variable("EXOKIT_LOG")) {
        (Command::Serve(args), filter) => (filter.unwrap_or("info"), args.log_format),
        (Command::Orchestrator(args), filter) => (filter.unwrap_or("info"), args.log_format),
        // That a control plane does not start is shown nowhere else.
        (Command::Sim(_), filter) => (filter.unwrap_or("error"), LogFormat::Text),
        (_, Some(filter)) => (filter, LogFormat::Text),
        (_, None) => return None,
    };
    let filter = EnvFilter::new(filter);
    let log = lines(format, settings);
    Some(match exporter {
        Some(exporter) => Dispatch::new(registry().with(log.with_filter(filter)).with(exporter.layer())),
        None => Dispatch::new(registry().with(log).with(filter)),
    })
}

fn lines(format: LogFormat, settings: &Settings) -> Box<dyn Layer<Registry> + Send + Sync> {
    let log = layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Json => Box::new(log.json().flatten_event(true)),
        LogFormat::Text => Box::new(log.with_ansi(settings.output.colour_notes).fmt_fields(escaped_fields())),
    }
}

/// Writes the fields of events and spans as text. Values are escaped: the
/// formatter of the library lets line breaks through.
fn escaped_fields() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(|writer, field, value| {
        let value = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", Escaped(&value)),
            name => write!(writer, "{name}={}", Escaped(&value)),
        }
    })
    .delimited(" ")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use exokit_model::text::is_hazardous;

    use super::*;

    /// The log.
    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<u8>>>);

    impl Write for Logged {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fields_cannot_begin_a_line_or_move_the_cursor() {
        let logged = Logged::default();
        let writer = logged.clone();
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .fmt_fields(escaped_fields());
        let hostile = "x\n2026-11-28T00:00:00Z  INFO forged\u{1b}[2K\r\u{202e}\u{9b}\u{200b}";
        tracing::subscriber::with_default(log.finish(), || {
            let _span = tracing::info_span!("request", subject = %hostile).entered();
            tracing::warn!(why = hostile, error = %hostile, "refused: {hostile}");
        });
        let text = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("forged").count(), 4, "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().contains(is_hazardous), "{text:?}");
    }
}
