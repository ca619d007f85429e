//! What is written where: data to stdout, everything else to stderr. A reader
//! that went away is no error, and never a panic.

use std::io::{self, IsTerminal as _, Write};

use console::Style;
use serde::Serialize;

use crate::args::Format;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;

/// The form of the output and what the streams are.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) colour: bool,
    pub(crate) colour_notes: bool,
    /// Whether a person sees stderr.
    pub(crate) live: bool,
    /// Whether a person can answer.
    pub(crate) asks: bool,
    /// No notes and no progress.
    pub(crate) quiet: bool,
}

impl Output {
    /// `colours` is false when the user wants none.
    pub(crate) fn new(format: Format, colours: bool, quiet: bool) -> Self {
        let live = io::stderr().is_terminal();
        Self {
            format,
            colour: colours && io::stdout().is_terminal(),
            colour_notes: colours && live,
            live,
            asks: live && io::stdin().is_terminal(),
            quiet,
        }
    }

    /// Writes data: `text` for people, `value` for programs. Returns
    /// [`Exit::Done`] for a command that ends with it.
    pub(crate) fn data<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<Exit, CliError> {
        let written = match self.format {
            Format::Table => text(),
            Format::Json => {
                let json = serde_json::to_string_pretty(value).map_err(io::Error::other);
                format!("{}\n", json.doing("writing", "the output")?)
            }
            Format::Yaml => {
                let yaml =
                    serde_saphyr::to_string(value).map_err(|error| io::Error::other(error.to_string()));
                yaml.doing("writing", "the output")?
            }
            Format::Env => {
                let (why, hint) = ("only outputs and secrets can be written so", "use -o json");
                return Err(CliError::unusable("usage", "writing", "variables for a shell", why, hint));
            }
        };
        self.raw(written.as_bytes())?;
        Ok(Exit::Done)
    }

    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.doing("writing", "the output"),
        }
    }

    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(&format!("{text}\n"));
        }
    }

    pub(crate) fn paint(&self, style: Style) -> Style {
        style.force_styling(self.colour)
    }
}

/// Writes to stderr; that nobody reads it changes nothing.
pub(crate) fn say(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
