//! Checks as JUnit XML, which build servers read.

use std::path::Path;

use exokit_model::text::Escaped;
use exokit_wire::reply::VerifyReply;
use serde::Serialize;

use crate::error::{CliError, Doing as _};

#[derive(Serialize)]
#[serde(rename = "testsuites")]
struct Suites {
    testsuite: Vec<Suite>,
}

/// Cases that belong together.
#[derive(Serialize)]
pub(crate) struct Suite {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@tests")]
    tests: usize,
    #[serde(rename = "@failures")]
    failures: usize,
    testcase: Vec<Case>,
}

/// One case.
#[derive(Serialize)]
pub(crate) struct Case {
    #[serde(rename = "@classname")]
    class: String,
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@time", skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Serialize)]
struct Failure {
    #[serde(rename = "@message")]
    message: String,
}

impl Suite {
    pub(crate) fn new(name: String, testcase: Vec<Case>) -> Self {
        let failures = testcase.iter().filter(|case| case.failure.is_some()).count();
        Self { name, tests: testcase.len(), failures, testcase }
    }

    /// The checks of an environment.
    pub(crate) fn of_checks(reply: &VerifyReply) -> Self {
        Self::new(format!("{} ({})", reply.environment, reply.template), cases(reply).collect())
    }
}

impl Case {
    /// A case that failed where there is a message.
    pub(crate) fn new(class: &str, name: String, failure: Option<String>) -> Self {
        let failure = failure.map(|message| Failure { message });
        Self { class: class.to_owned(), name, seconds: None, failure }
    }

    pub(crate) fn lasting(self, seconds: f64) -> Self {
        Self { seconds: Some(seconds), ..self }
    }
}

/// A case for each check of an environment.
pub(crate) fn cases(reply: &VerifyReply) -> impl Iterator<Item = Case> {
    reply.checks.iter().map(|check| {
        let [id, title, expected] = [&check.id, &check.title, &check.expected].map(|text| Escaped(text));
        let failure = || format!("expected {expected}, observed {}", check.observed);
        let failure = (!check.passed).then(failure);
        Case::new(reply.environment.as_str(), format!("{id} {title}"), failure)
    })
}

/// Writes suites to a file.
pub(crate) fn write(path: &Path, suites: Vec<Suite>) -> Result<(), CliError> {
    let text = xml(suites).map_err(|error| {
        CliError::new("encoding", "writing", path.display(), error, crate::error::OUR_MISTAKE)
    })?;
    std::fs::write(path, text).doing("writing", path.display())
}

fn xml(testsuite: Vec<Suite>) -> Result<String, quick_xml::SeError> {
    let body = quick_xml::se::to_string(&Suites { testsuite })?;
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use exokit_model::verification::Check;

    #[test]
    fn a_failure_is_told_and_foreign_text_stays_text() {
        let check = |id: &str, observed: &str| {
            Check::new(id.to_owned(), "nodes", "2".to_owned(), observed.to_owned(), "look")
        };
        let checks = vec![check("U03", "2"), check("U04", "</failure><x a=\"\u{1b}\n")];
        let reply = VerifyReply {
            environment: "first".parse().unwrap(),
            template: exokit_model::ids::TemplateId(1),
            passed: 1,
            failed: 1,
            checks,
        };
        let xml = xml(vec![Suite::of_checks(&reply)]).unwrap();
        assert!(xml.contains(r#"<testsuite name="first (T1)" tests="2" failures="1">"#), "{xml}");
        assert!(xml.contains(r#"name="U03 nodes"/>"#), "{xml}");
        assert!(xml.contains("&lt;/failure&gt;&lt;x a=") && !xml.contains('\u{1b}'), "{xml}");
    }
}
