//! Conversion of errors to failures: what was being done, on what, the error
//! with its causes, what to do, and the class.

use std::error::Error;
use std::fmt::Display;

use exokit_approval::refusal::Refusal;
use exokit_core::select::SelectError;
use exokit_engine::error::EngineError;
use exokit_ledger::IllegalRecord;
use exokit_ledger::LedgerError;
use exokit_ledger::verify::FirstBad;
use exokit_model::canonical::CanonicalError;
use exokit_model::ids::InvalidId;
use exokit_templates::{DecodeError, InstantiateError, TemplateError};
use exokit_wire::failure::{Class, Failure};

/// An error that can be explained to a requester.
pub(crate) trait Explain: Error {
    /// Short stable code, the class of the failure, and what to do next.
    fn explain(&self) -> (&'static str, Class, String);
}

/// Adds to an error what was being done.
pub(crate) trait Doing<T> {
    /// `doing` is a word like `reading`, `on` its object.
    fn doing(self, doing: &str, on: impl Display) -> Result<T, Failure>;
}

impl<T, E: Explain> Doing<T> for Result<T, E> {
    fn doing(self, doing: &str, on: impl Display) -> Result<T, Failure> {
        self.map_err(|error| explained(&error, doing, on))
    }
}

/// Converts an error, with what was being done.
pub(crate) fn explained(error: &impl Explain, doing: &str, on: impl Display) -> Failure {
    let (code, class, hint) = error.explain();
    Failure::new(class, code, doing, &on.to_string(), &chain(error), &hint)
}

/// The message of an error, followed by those of its causes that add to it.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// A message that contradicts itself.
pub(crate) fn invalid(doing: &str, on: impl Display, why: impl Display, hint: &str) -> Failure {
    Failure::new(Class::Invalid, "usage", doing, &on.to_string(), &why.to_string(), hint)
}

macro_rules! explain {
    ($($error:ty: |$it:ident| $code:expr, $class:expr, $hint:expr;)*) => {$(
        impl Explain for $error {
            fn explain(&self) -> (&'static str, Class, String) {
                let $it = self;
                ($code, $class, $hint.to_string())
            }
        }
    )*};
}

explain! {
    EngineError: |it| it.code(), engine_class(it), it.hint();
    LedgerError: |it| "ledger", ledger_class(it), it.hint();
    Refusal: |it| it.code(), Class::Refused, it.hint();
    SelectError: |it| "select", select_class(it), it.hint();
    FirstBad: |it| "bad-record", Class::Refused, it.hint();
    IllegalRecord: |it| "bad-record", Class::Refused, it.hint();
    TemplateError: |it| "template", Class::Invalid, it.hint();
    DecodeError: |it| "file", Class::Invalid, it.hint();
    InstantiateError: |it| "template-option", Class::Invalid, it.hint();
    InvalidId: |it| "name", Class::Invalid, it.rule;
    CanonicalError: |_it| "canonical", Class::Invalid, "use whole numbers below 9007199254740992";
}

fn engine_class(error: &EngineError) -> Class {
    match error {
        EngineError::Ledger(error) => ledger_class(error),
        EngineError::NoPlan(_)
        | EngineError::Observe(_)
        | EngineError::PublicPrices(_)
        | EngineError::Entropy(_)
        | EngineError::NoRootKey
        | EngineError::OtherAccount { .. } => Class::Unavailable,
        EngineError::Roster(_)
        | EngineError::Refused(_)
        | EngineError::Preflight(_)
        | EngineError::LivesTooLong { .. }
        | EngineError::AccessNeedsApproval { .. }
        | EngineError::RegistryLogin { .. }
        | EngineError::Rejected { .. } => Class::Refused,
        EngineError::Canonical(_) | EngineError::Graph(_) => Class::Internal,
        EngineError::NoEnvironment(_) => Class::NotFound,
        EngineError::OtherKey { .. } | EngineError::Unreadable(_) | EngineError::KubeconfigLife { .. } => {
            Class::Invalid
        }
        EngineError::NotOurs | EngineError::NotOwner { .. } | EngineError::OtherAccess(_) => Class::Forbidden,
        EngineError::Exists(_)
        | EngineError::EndsSoon(_)
        | EngineError::NoCluster(_)
        | EngineError::Busy { .. }
        | EngineError::Conflict { .. }
        | EngineError::OtherBody { .. }
        | EngineError::StalePlan { .. }
        | EngineError::NoKeepAlive(_)
        | EngineError::Shortened { .. }
        | EngineError::WrongPhase { .. } => Class::Conflict,
    }
}

/// A lost race is a conflict, not a fault of the ledger.
fn ledger_class(error: &LedgerError) -> Class {
    match error {
        LedgerError::Stale { .. }
        | LedgerError::HeadMoved { .. }
        | LedgerError::Used { .. }
        | LedgerError::LeaseHeld { .. }
        | LedgerError::Fenced { .. } => Class::Conflict,
        _ => Class::Unavailable,
    }
}

fn select_class(error: &SelectError) -> Class {
    match error {
        SelectError::NoneSatisfies(_) | SelectError::NoTemplates => Class::Refused,
        SelectError::UnknownTemplate { .. } | SelectError::Contradiction { .. } => Class::Invalid,
    }
}
