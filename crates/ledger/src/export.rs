//! The whole ledger as one JSON document, and back.

use exokit_model::event::Record;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LedgerError;
use crate::ledger::{Condition, Filter, Head, Ledger};
use crate::projection::{EnvironmentView, Misfit, Registry};
use crate::verify::{FirstBad, verify};

/// Version of the document.
pub const EXPORT_SCHEMA: &str = "exokit-registry/v1";

/// Largest document that is imported, in bytes.
pub const EXPORT_BYTES_MAX: usize = 1 << 30;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// [`EXPORT_SCHEMA`].
    pub schema: String,
    /// The end of the chain, also an anchor to check later ledgers against.
    pub head: Head,
    /// The environments, for reading; computed from the records.
    pub environments: Vec<EnvironmentView>,
    /// Every record.
    pub records: Vec<Record>,
}

/// Why a document cannot be written or is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger refuses or cannot.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The chain is broken.
    #[error("the chain is broken: {0}")]
    Chain(#[from] FirstBad),
    /// The records do not make a registry.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Not JSON, or not such a document.
    #[error("this is not an exported registry: {0}")]
    Decode(#[from] serde_json::Error),
    /// The document was changed or says something that this program would
    /// lose.
    #[error("the exported registry was changed: {0}")]
    Changed(&'static str),
    /// A document of another version, or too large a one.
    #[error("the exported registry cannot be read: {0}")]
    Schema(String),
    /// The ledger is not empty.
    #[error("the ledger holds {0} records already")]
    NotEmpty(u64),
}

impl ExportError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            ExportError::Ledger(error) => error.hint(),
            ExportError::Chain(bad) => bad.hint(),
            ExportError::Misfit(misfit) => misfit.hint(),
            ExportError::Decode(_) => "give the file that `exokit registry export` wrote",
            ExportError::Changed(_) => "use the file as it was exported, or an older one",
            ExportError::Schema(_) => "use a version of exokit that knows this format",
            ExportError::NotEmpty(_) => "import into a new state folder",
        }
    }
}

/// The whole ledger as a JSON document, checked before it is given out.
///
/// # Errors
/// When the ledger cannot be read or does not verify.
pub async fn export(ledger: &dyn Ledger) -> Result<String, ExportError> {
    let records = ledger.read(Filter::All, 0).await?;
    Ok(serde_json::to_string_pretty(&document(records)?)?)
}

fn document(records: Vec<Record>) -> Result<Export, ExportError> {
    let head = verify(&records)?;
    let registry = Registry::fold(&records)?;
    Ok(Export {
        schema: EXPORT_SCHEMA.to_owned(),
        head,
        environments: registry.environments().values().cloned().collect(),
        records,
    })
}

/// Reads a document and checks all of it: form, chain, and that what it says
/// of environments follows from its records.
///
/// # Errors
/// When anything is not as it was exported.
pub fn read(text: &str) -> Result<Export, ExportError> {
    if text.len() > EXPORT_BYTES_MAX {
        return Err(ExportError::Schema(format!("it has {} bytes", text.len())));
    }
    let value: Value = serde_json::from_str(text)?;
    if value["schema"] != EXPORT_SCHEMA {
        return Err(ExportError::Schema(format!(
            "its schema is {}, this program reads {EXPORT_SCHEMA:?}",
            value["schema"]
        )));
    }
    let export: Export = serde_json::from_str(text)?;
    // Members that this program does not know would be lost.
    if serde_json::to_value(&export)? != value {
        return Err(ExportError::Changed("it has members of an unknown kind"));
    }
    match document(export.records.clone())? == export {
        true => Ok(export),
        false => Err(ExportError::Changed(
            "head or environments do not follow from the records",
        )),
    }
}

/// Puts a document into an empty ledger, all or nothing.
///
/// # Errors
/// As [`read`], and when the ledger is not empty.
pub async fn import(ledger: &dyn Ledger, text: &str) -> Result<Head, ExportError> {
    let export = read(text)?;
    let entries = export.records.into_iter().map(|record| record.entry);
    match ledger.append(&Condition::head(0), entries.collect()).await {
        Ok(_) => Ok(export.head),
        Err(LedgerError::HeadMoved { found, .. }) => Err(ExportError::NotEmpty(found)),
        Err(error) => Err(error.into()),
    }
}
