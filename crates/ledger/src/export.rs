//! The whole ledger as one JSON document, and back.

use exokit_model::event::Record;
use exokit_model::text::excerpt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::{Condition, Filter};
use crate::error::{IllegalRecord, LedgerError};
use crate::head::Head;
use crate::ledger::Ledger;
use crate::rows::environment::EnvironmentView;
use crate::rows::registry::Registry;
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
    IllegalRecord(#[from] IllegalRecord),
    /// Not JSON, or not such a document.
    #[error("this is not an exported registry: {}", excerpt(.0))]
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
            ExportError::IllegalRecord(illegal) => illegal.hint(),
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

/// The document of a whole ledger's records, which are checked.
///
/// # Errors
/// When the records do not verify.
pub fn document(records: Vec<Record>) -> Result<Export, ExportError> {
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
            excerpt(&value["schema"])
        )));
    }
    let export: Export = serde_json::from_str(text)?;
    // Members that this program does not know would be lost.
    if serde_json::to_value(&export)? != value {
        return Err(ExportError::Changed("it has members of an unknown kind"));
    }
    match document(export.records.clone())? == export {
        true => Ok(export),
        false => Err(ExportError::Changed("head or environments do not follow from the records")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{chain, entry, life};
    use crate::testing::memory::MemoryLedger;

    async fn filled(records: &[Record]) -> MemoryLedger {
        let ledger = MemoryLedger::default();
        let entries = records.iter().map(|record| record.entry.clone());
        let appended = ledger.append(&Condition::default(), entries.collect()).await;
        assert_eq!(appended.unwrap(), records);
        ledger
    }

    #[tokio::test]
    async fn an_export_comes_back_as_it_was() {
        let records = life();
        let text = export(&filled(&records).await).await.unwrap();
        let empty = MemoryLedger::default();
        let head = import(&empty, &text).await.unwrap();
        assert_eq!(empty.durable(), records);
        assert_eq!(head, verify(&records).unwrap());
        assert_eq!(export(&empty).await.unwrap(), text);
        let again = import(&empty, &text).await;
        assert!(matches!(again, Err(ExportError::NotEmpty(n)) if n == head.seq));
    }

    #[tokio::test]
    async fn every_flipped_bit_of_an_export_is_noticed() {
        let text = export(&filled(&chain((1..=3).map(entry))).await).await.unwrap();
        // Without its white space, which says nothing.
        let value: Value = serde_json::from_str(&text).unwrap();
        let bytes = serde_json::to_vec(&value).unwrap();
        assert!(read(std::str::from_utf8(&bytes).unwrap()).is_ok());
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                let Ok(text) = String::from_utf8(flipped) else {
                    continue;
                };
                let error = read(&text).expect_err(&text);
                assert!(!error.hint().is_empty());
            }
        }
    }

    #[tokio::test]
    async fn an_export_that_was_edited_is_refused() {
        let text = export(&filled(&life()).await).await.unwrap();
        type Edit = fn(&mut Value);
        let cases: [(&str, Edit); 6] = [
            ("Schema", |v| v["schema"] = "exokit-registry/v2".into()),
            ("Changed", |v| v["environments"][0]["phase"] = "ready".into()),
            ("Changed", |v| v["head"]["seq"] = 1.into()),
            ("Changed", |v| v["records"][3]["entry"]["extra"] = 1.into()),
            ("Chain", |v| v["records"][3]["entry"]["epoch"] = 9.into()),
            ("Chain", |v| {
                v["records"].as_array_mut().unwrap().remove(3);
            }),
        ];
        for (expected, edit) in cases {
            let mut value: Value = serde_json::from_str(&text).unwrap();
            edit(&mut value);
            let error = read(&value.to_string()).unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        }
    }
}
