//! Arguments of `exokit test`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use exokit_model::ids::{InvalidId, PersonId, TemplateId};

/// Test templates: make an environment from each, verify it and remove it
///
/// Plans, approves and provisions one environment for each template, verifies
/// it, looks for drift, tears it down, and checks the certificate and that no
/// orphan is left. The result of each test is written to
/// runs/TN-YYYYMMDD.yaml.
///
/// A test always removes what it made: after a failure and after Ctrl-C at
/// once, after a crash when `exokit test` is next started with the same folder
/// for run files.
///
/// Name the approvers: at least two, of two roles, and not yourself. On the
/// embedded cloud without a roster the test uses an account of its own, with
/// people and keys that exist for its time only.
///
/// Examples:
///   exokit test --all --cloud sim
///   exokit test --all --parallel 7 --report checkpoint.md --junit tests.xml
///   exokit test T1 T3 --approver alex --approver kim=kim.pem
///   exokit test T2 --agent http://127.0.0.1:8118 --root root.key \
///     --approver alex=alex.pem --approver kim=kim.pem
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TestArgs {
    /// Templates, such as T1
    #[arg(value_name = "TEMPLATE", required_unless_present = "all")]
    pub(crate) templates: Vec<TemplateId>,
    /// Test all templates
    #[arg(long, conflicts_with = "templates")]
    pub(crate) all: bool,
    /// Tests that run at the same time
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) parallel: NonZeroUsize,
    /// A person that approves the plans of the test, and the file with the
    /// private key [default: keys/PERSON.pem in the state directory]; may be repeated
    #[arg(long = "approver", value_name = "PERSON[=FILE]")]
    pub(crate) approvers: Vec<ApproverKey>,
    /// The public half of the root key, where it is not pinned here
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Folder for the run files
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) runs: PathBuf,
    /// Write the checkpoint document: the state of all templates, in Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write stages and checks to this file as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// A person and where the private key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApproverKey {
    pub(crate) person: PersonId,
    pub(crate) file: Option<PathBuf>,
}

impl FromStr for ApproverKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (person, file) = text.split_once('=').map_or((text, None), |(person, file)| (person, Some(file)));
        Ok(Self { person: person.parse()?, file: file.map(PathBuf::from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approver_is_a_person_with_or_without_a_file() {
        let read = |text: &str| text.parse::<ApproverKey>().map(|key| (key.person.to_string(), key.file));
        assert_eq!(read("alex"), Ok(("alex".to_owned(), None)));
        assert_eq!(read("kim=a=b.pem"), Ok(("kim".to_owned(), Some("a=b.pem".into()))));
        assert!(read("=kim.pem").is_err() && read("").is_err());
    }
}
