//! The checkpoint document: the state of all templates, in Markdown.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use exokit_model::ids::TemplateId;
use exokit_templates::TemplateSet;
use exokit_text::format::{counted, moment};
use jiff::Timestamp;

use super::run_file::{RunFile, Stage};
use crate::error::{CliError, Doing as _};

/// One row: a template and its newest result.
struct Row {
    template: TemplateId,
    name: String,
    result: Option<(PathBuf, RunFile)>,
}

/// Writes the document from the newest run file of each template.
pub(super) fn write(
    path: &Path,
    runs: &Path,
    templates: &TemplateSet,
    now: Timestamp,
) -> Result<(), CliError> {
    let rows: Vec<Row> = templates
        .iter()
        .map(|template| Row {
            template: template.id,
            name: title(&template.name),
            result: RunFile::newest(runs, template.id),
        })
        .collect();
    std::fs::write(path, document(&rows, now)).doing("writing", path.display())
}

/// `minimal-test` as `Minimal Test`.
fn title(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    name.split('-').map(word).collect::<Vec<_>>().join(" ")
}

fn document(rows: &[Row], now: Timestamp) -> String {
    let passed = rows.iter().filter(|row| row.passed()).count();
    format!(
        "# Template testing checkpoint\n\n**Last updated:** {} UTC  \n**Current status:** {passed} of {} pass\n\n\
         Written by `exokit test --report`. Everything here is taken from the newest run file of each template.\n\n\
         ## Templates\n\n{}\n## Phases\n\n{}\n## What is left\n\n{}",
        moment(now),
        counted(rows.len(), "template"),
        templates_table(rows),
        phases_table(rows),
        what_is_left(rows)
    )
}

impl Row {
    fn passed(&self) -> bool {
        self.result.as_ref().is_some_and(|(_, result)| result.passed)
    }
}

fn templates_table(rows: &[Row]) -> String {
    let mut table = "| Template | Status | Checks | Run file |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let (status, checks, file) = match &row.result {
            None => ("🔲 NOT TESTED", "-".to_owned(), "-".to_owned()),
            Some((path, result)) => {
                let all = result.checks();
                let passed = all.iter().filter(|check| check.passed).count();
                let status = if result.passed { "✅ PASS" } else { "❌ FAIL" };
                (status, format!("{passed} of {}", all.len()), format!("`{}`", path.display()))
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} — {} | {status} | {checks} | {file} |", row.template, row.name);
    }
    table
}

fn phases_table(rows: &[Row]) -> String {
    let mut table = "| Phase | Passed | Longest |\n|---|---|---|\n".to_owned();
    let results = || rows.iter().filter_map(|row| row.result.as_ref()).flat_map(|(_, result)| &result.stages);
    for stage in Stage::ALL {
        let of_stage = || results().filter(move |result| result.stage == stage);
        let passed = of_stage().filter(|result| result.passed).count();
        let longest = of_stage().map(|result| result.seconds).fold(0.0, f64::max);
        let _ = writeln!(table, "| {} | {passed} of {} | {longest:.1} s |", stage.name(), rows.len());
    }
    table
}

fn what_is_left(rows: &[Row]) -> String {
    let mut left = Vec::new();
    for row in rows {
        let template = row.template;
        match &row.result {
            None => left.push(format!("{template} has no run file: `exokit test {template}` makes one.")),
            Some((_, result)) => left.extend(
                result.problem().map(|(stage, why)| format!("{template} fails at {}: {why}", stage.name())),
            ),
        }
    }
    let mut clouds: Vec<&str> =
        rows.iter().flat_map(|row| &row.result).map(|(_, run)| run.cloud.as_str()).collect();
    clouds.sort_unstable();
    clouds.dedup();
    left.extend(clouds.iter().filter(|cloud| cloud.contains("simulated")).map(|cloud| {
        format!("Results from the {cloud}: repeat them with credentials of an Exoscale account.")
    }));
    match left.is_empty() {
        true => "Nothing.\n".to_owned(),
        false => left.into_iter().map(|line| format!("- {line}\n")).collect(),
    }
}
