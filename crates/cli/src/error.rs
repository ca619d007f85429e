//! Errors at the edge: what was being done, on what, why it failed, what to do.

use std::error::Error;
use std::fmt::Display;
use std::io;

use exokit_agent::serve::ServeError;
use exokit_approval::keys::KeyError;
use exokit_approval::refusal::Refusal;
use exokit_approval::roster::RosterRefusal;
use exokit_client::AddressError;
use exokit_cloud::config::ConfigError;
use exokit_cloud::public_prices::PublicPricesError;
use exokit_cloud::transport::TransportError;
use exokit_core::start::PolicyViolation;
use exokit_engine::error::EngineError;
use exokit_ledger::LedgerError;
use exokit_ledger::export::ExportError;
use exokit_model::ids::InvalidId;
use exokit_model::plan::PlanError;
use exokit_model::text::Escaped;
use exokit_nats::NatsError;
use exokit_service::chain;
use exokit_sim::SimError;
use exokit_spans::exporter::StartError;
use exokit_templates::{DecodeError, TemplateError};
use exokit_wire::failure::{Class, Failure};
use serde::Serialize;
use tracing::dispatcher::SetGlobalDefaultError;

use crate::exit::Exit;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct CliError {
    pub(crate) code: String,
    pub(crate) doing: String,
    pub(crate) on: String,
    /// Why it failed, with all causes.
    pub(crate) why: String,
    pub(crate) hint: String,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl CliError {
    pub(crate) fn new(
        code: &str,
        doing: &str,
        on: impl Display,
        why: impl Display,
        hint: impl Display,
    ) -> Self {
        Self {
            code: code.to_owned(),
            doing: doing.to_owned(),
            on: on.to_string(),
            why: why.to_string(),
            hint: hint.to_string(),
            exit: Exit::Failed,
        }
    }

    /// An error in what was given; nothing was tried.
    pub(crate) fn unusable(
        code: &str,
        doing: &str,
        on: impl Display,
        why: impl Display,
        hint: impl Display,
    ) -> Self {
        Self { exit: Exit::Usage, ..Self::new(code, doing, on, why, hint) }
    }

    pub(crate) fn usage(why: impl Display, hint: impl Display) -> Self {
        Self::unusable("usage", "reading", "the arguments", why, hint)
    }

    /// For people: two lines. Any part can hold text from outside.
    pub(crate) fn text(&self) -> String {
        let [doing, on, why, hint] =
            [&self.doing, &self.on, &self.why, &self.hint].map(|text| Escaped(text).to_string());
        let on = if on.is_empty() { on } else { format!(" {on}") };
        format!("error: {doing}{on}: {why}\nhint: {hint}\n")
    }

    pub(crate) fn json(&self) -> String {
        format!("{}\n", serde_json::json!({ "error": self }))
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let exit = match (failure.class(), failure.code.as_str()) {
            (Class::Invalid, _) => Exit::Usage,
            (_, "missing-votes" | "missing-role" | "unknown-requester" | "approval-needed") => Exit::Waiting,
            _ => Exit::Failed,
        };
        let Failure { code, doing, on, why, hint, .. } = failure;
        Self { code, doing, on, why, hint, exit }
    }
}

/// An error of this host, as the service would have answered with it.
impl From<CliError> for Failure {
    fn from(error: CliError) -> Self {
        let class = match error.exit {
            Exit::Usage => Class::Invalid,
            _ => Class::Unavailable,
        };
        Failure::new(class, &error.code, &error.doing, &error.on, &error.why, &error.hint)
    }
}

pub(crate) trait Explain: Error {
    /// Short stable code, what to do, and how the program ends.
    fn explain(&self) -> (&'static str, String, Exit);
}

/// Says what was being done when an error came.
pub(crate) trait Doing<T> {
    /// `doing` is a word like `reading`, `on` what it was done to.
    fn doing(self, doing: &str, on: impl Display) -> Result<T, CliError>;
}

impl<T, E: Explain> Doing<T> for Result<T, E> {
    fn doing(self, doing: &str, on: impl Display) -> Result<T, CliError> {
        self.map_err(|error| {
            let (code, hint, exit) = error.explain();
            CliError { exit, ..CliError::new(code, doing, on, chain(&error), hint) }
        })
    }
}

macro_rules! explain {
    ($($error:ty: |$it:ident| $code:expr, $exit:ident, $hint:expr;)*) => {$(
        impl Explain for $error {
            fn explain(&self) -> (&'static str, String, Exit) {
                let $it = self;
                ($code, $hint.to_string(), Exit::$exit)
            }
        }
    )*};
}

/// Hint of an error that only a mistake in this program can cause.
pub(crate) const OUR_MISTAKE: &str = "this is a mistake in exokit; please report it";

explain! {
    LedgerError: |it| "ledger", Failed, it.hint();
    ExportError: |it| "export", Failed, it.hint();
    EngineError: |it| it.code(), Failed, it.hint();
    Refusal: |it| it.code(), Failed, it.hint();
    TemplateError: |it| "template", Usage, it.hint();
    DecodeError: |it| "file", Usage, it.hint();
    InvalidId: |it| "name", Usage, it.rule;
    AddressError: |it| "usage", Usage, address_hint(it);
    ConfigError: |it| "credentials", Usage, it.hint();
    KeyError: |it| "key", Failed, it.hint();
    RosterRefusal: |it| "roster", Failed, it.hint();
    TransportError: |it| "network", Failed, it.hint();
    PublicPricesError: |it| "prices", Failed, it.hint();
    NatsError: |it| "nats", Failed, it.hint();
    ServeError: |it| "serve", Failed, it.hint();
    PolicyViolation: |_it| "rejected", Failed, "deny the plan; its requester asks for a new one";
    PlanError: |_it| "plan-unreadable", Failed, "use a program of the version that made the plan";
    StartError: |_it| "usage", Usage, "check the variables that begin with OTEL_EXPORTER_OTLP_";
    SetGlobalDefaultError: |_it| "log", Failed, OUR_MISTAKE;
    SimError: |it| "sim", Failed, sim_hint(it);
    io::Error: |it| "io", Failed, io_hint(it);
}

fn address_hint(error: &AddressError) -> &'static str {
    match error {
        AddressError::NoUrl | AddressError::Scheme(_) | AddressError::More => {
            "use http://127.0.0.1:8118, https://HOST/PATH, nats://USER@HOST:4222 or tls://USER@HOST:4222"
        }
        AddressError::Password => {
            "set EXOKIT_NATS_PASSWORD for NATS, EXOKIT_AGENT_TOKEN for HTTP, and leave it out"
        }
        AddressError::Clear(_) => "use https://, or a tunnel to this host",
    }
}

fn sim_hint(error: &SimError) -> &'static str {
    match error {
        SimError::State { .. } => "check the disk and the rights on the state directory",
        SimError::Record { .. } => "check the disk and the rights on the file, or leave out --record",
        SimError::Format { .. } => "remove the file, or use another state; it was changed or is damaged",
        SimError::ControlPlane { hint, .. } => hint,
        SimError::Listen { .. } => "choose another address with --listen; port 0 takes a free one",
        _ => "see `exokit sim --help`",
    }
}

fn io_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "give this user the right, or choose another path",
        io::ErrorKind::AlreadyExists => "choose another path, or move the old file away",
        _ => "check the disk and the path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let cause = io::Error::other("disk on fire");
        let error = SimError::State { path: "cloud.json".into(), source: cause };
        assert_eq!(chain(&error), "state file cloud.json: disk on fire");
        let shown = Err::<(), _>(error).doing("opening", "the embedded cloud").unwrap_err();
        assert!(shown.text().starts_with("error: opening the embedded cloud: state file"));
        assert!(shown.text().contains("\nhint: check the disk"));
        let value: serde_json::Value = serde_json::from_str(&shown.json()).unwrap();
        let keys: Vec<&String> = value["error"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "doing", "hint", "on", "why"]);
    }
}
