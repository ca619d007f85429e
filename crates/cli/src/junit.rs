//! Checks as JUnit XML, which build servers read.

use std::path::Path;

use exokit_wire::reply::VerifyReply;
use serde::Serialize;

use crate::error::{CliError, Doing as _};

#[derive(Serialize)]
#[serde(rename = "testsuites")]
struct Suites {
    testsuite: Vec<Suite>,
}

#[derive(Serialize)]
struct Suite {
    #[serde(rename = "@name")]
    name: String,
    #[serde(rename = "@tests")]
    tests: usize,
    #[serde(rename = "@failures")]
    failures: usize,
    testcase: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    #[serde(rename = "@classname")]
    class: String,
    #[serde(rename = "@name")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Serialize)]
struct Failure {
    #[serde(rename = "@message")]
    message: String,
}

/// Writes the checks of an environment.
pub(crate) fn write(path: &Path, reply: &VerifyReply) -> Result<(), CliError> {
    let text = xml(reply).map_err(|error| {
        CliError::new("encoding", "writing", path.display(), error, crate::error::OUR_MISTAKE)
    })?;
    std::fs::write(path, text).doing("writing", path.display())
}

fn xml(reply: &VerifyReply) -> Result<String, quick_xml::SeError> {
    let cases = reply.checks.iter().map(|check| Case {
        class: reply.environment.to_string(),
        name: format!("{} {}", check.id, check.title),
        failure: (!check.passed).then(|| Failure {
            message: format!("expected {}, observed {}", check.expected, check.observed),
        }),
    });
    let suite = Suite {
        name: format!("{} ({})", reply.environment, reply.template),
        tests: reply.checks.len(),
        failures: reply.failed,
        testcase: cases.collect(),
    };
    let body = quick_xml::se::to_string(&Suites { testsuite: vec![suite] })?;
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
        let xml = xml(&reply).unwrap();
        assert!(xml.contains(r#"<testsuite name="first (T1)" tests="2" failures="1">"#), "{xml}");
        assert!(xml.contains(r#"name="U03 nodes"/>"#), "{xml}");
        assert!(xml.contains("&lt;/failure&gt;&lt;x a=") && !xml.contains('\u{1b}'), "{xml}");
    }
}
