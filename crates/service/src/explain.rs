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

/// An error with a code, a hint and a class.
pub trait Explain: Error {
    /// Short stable code.
    fn code(&self) -> String;
    /// What to do next.
    fn advice(&self) -> String;
    /// The class of the failure.
    fn class(&self) -> Class;
}

/// Adds to an error what was being done.
pub trait Doing<T> {
    /// Converts the error; `doing` is a word like `reading`, `on` its object.
    ///
    /// # Errors
    /// The error as a failure.
    fn doing(self, doing: &str, on: impl Display) -> Result<T, Failure>;
}

impl<T, E: Explain> Doing<T> for Result<T, E> {
    fn doing(self, doing: &str, on: impl Display) -> Result<T, Failure> {
        self.map_err(|error| explained(&error, doing, on))
    }
}

/// Converts an error, with what was being done.
pub(crate) fn explained(error: &impl Explain, doing: &str, on: impl Display) -> Failure {
    let (code, why, hint) = (error.code(), chain(error), error.advice());
    Failure::new(error.class(), &code, doing, &on.to_string(), &why, &hint)
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

impl Explain for EngineError {
    fn code(&self) -> String {
        EngineError::code(self).to_owned()
    }

    fn advice(&self) -> String {
        self.hint()
    }

    fn class(&self) -> Class {
        match self {
            EngineError::Ledger(error) => Explain::class(error),
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
            | EngineError::Rejected { .. } => Class::Refused,
            EngineError::Canonical(_) | EngineError::Graph(_) => Class::Internal,
            EngineError::NoEnvironment(_) => Class::NotFound,
            EngineError::OtherKey { .. } | EngineError::Unreadable(_) => Class::Invalid,
            EngineError::NotOurs | EngineError::NotOwner { .. } => Class::Forbidden,
            EngineError::Exists(_)
            | EngineError::Busy { .. }
            | EngineError::Conflict { .. }
            | EngineError::OtherBody { .. }
            | EngineError::StalePlan { .. }
            | EngineError::NoKeepAlive(_)
            | EngineError::Shortened { .. }
            | EngineError::WrongPhase { .. } => Class::Conflict,
        }
    }
}

impl Explain for LedgerError {
    fn code(&self) -> String {
        "ledger".to_owned()
    }

    fn advice(&self) -> String {
        self.hint().to_owned()
    }

    /// A lost race is a conflict, not a fault of the ledger.
    fn class(&self) -> Class {
        match self {
            LedgerError::Stale { .. }
            | LedgerError::HeadMoved { .. }
            | LedgerError::Used { .. }
            | LedgerError::LeaseHeld { .. }
            | LedgerError::Fenced { .. } => Class::Conflict,
            _ => Class::Unavailable,
        }
    }
}

impl Explain for Refusal {
    fn code(&self) -> String {
        Refusal::code(self).to_owned()
    }

    fn advice(&self) -> String {
        self.hint().to_owned()
    }

    fn class(&self) -> Class {
        Class::Refused
    }
}

impl Explain for SelectError {
    fn code(&self) -> String {
        "select".to_owned()
    }

    fn advice(&self) -> String {
        self.hint()
    }

    fn class(&self) -> Class {
        match self {
            SelectError::NoneSatisfies(_) | SelectError::NoTemplates => Class::Refused,
            SelectError::UnknownTemplate { .. } | SelectError::Contradiction { .. } => Class::Invalid,
        }
    }
}

macro_rules! explain {
    ($($error:ty => $code:literal, $class:ident;)*) => {$(
        impl Explain for $error {
            fn code(&self) -> String {
                $code.to_owned()
            }

            fn advice(&self) -> String {
                self.hint().to_string()
            }

            fn class(&self) -> Class {
                Class::$class
            }
        }
    )*};
}

explain! {
    FirstBad => "bad-record", Refused;
    IllegalRecord => "bad-record", Refused;
    TemplateError => "template", Invalid;
    DecodeError => "file", Invalid;
    InstantiateError => "template-option", Invalid;
}

impl Explain for InvalidId {
    fn code(&self) -> String {
        "name".to_owned()
    }

    fn advice(&self) -> String {
        self.rule.to_owned()
    }

    fn class(&self) -> Class {
        Class::Invalid
    }
}

impl Explain for CanonicalError {
    fn code(&self) -> String {
        "canonical".to_owned()
    }

    fn advice(&self) -> String {
        "use whole numbers below 9007199254740992".to_owned()
    }

    fn class(&self) -> Class {
        Class::Invalid
    }
}
