//! The result of one test, as it stands in its run file.

use std::path::{Path, PathBuf};

use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::{EnvironmentName, PersonId, PlanId, TemplateId};
use exokit_model::plan::Plan;
use exokit_model::text::ForeignText;
use exokit_model::verification::Check;
use exokit_templates::decode_yaml;
use exokit_wire::reply::{DriftReply, Orphan, VerifyReply};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Doing as _, OUR_MISTAKE};
use crate::state_dir::read;

/// The stages of a test, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Plan,
    Approve,
    Provision,
    Verify,
    Drift,
    Teardown,
    Certificate,
    Orphans,
}

impl Stage {
    pub(super) const ALL: [Stage; 8] = [
        Stage::Plan,
        Stage::Approve,
        Stage::Provision,
        Stage::Verify,
        Stage::Drift,
        Stage::Teardown,
        Stage::Certificate,
        Stage::Orphans,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::Plan => "plan",
            Stage::Approve => "approve",
            Stage::Provision => "provision",
            Stage::Verify => "verify",
            Stage::Drift => "drift",
            Stage::Teardown => "teardown",
            Stage::Certificate => "certificate",
            Stage::Orphans => "orphans",
        }
    }
}

/// One stage that was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StageResult {
    pub(super) stage: Stage,
    pub(super) passed: bool,
    /// How long it took on the clock of this host.
    pub(super) seconds: f64,
    /// Why it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<ForeignText>,
}

/// The plan that was tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestedPlan {
    pub(super) id: PlanId,
    pub(super) digest: Digest,
    pub(super) level: ApprovalLevel,
    pub(super) hourly: Decimal,
    pub(super) currency: ForeignText,
    pub(super) resources: usize,
    #[serde(default)]
    pub(super) approved_by: Vec<PersonId>,
}

impl TestedPlan {
    pub(super) fn new(plan: &Plan, digest: Digest) -> Self {
        Self {
            id: plan.plan_id.clone(),
            digest,
            level: plan.level,
            hourly: plan.cost.hourly,
            currency: plan.cost.currency.clone().into(),
            resources: plan.graph.nodes().len(),
            approved_by: Vec::new(),
        }
    }
}

/// The result of one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunFile {
    pub(super) template: TemplateId,
    /// Whether every stage passed.
    pub(super) passed: bool,
    pub(super) started_at: Timestamp,
    /// The version of the program.
    pub(super) exokit: String,
    /// The cloud, or the agent that was asked.
    pub(super) cloud: String,
    /// Cloud seconds per second of this host.
    pub(super) speed: f64,
    pub(super) environment: EnvironmentName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<TestedPlan>,
    pub(super) stages: Vec<StageResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verification: Option<VerifyReply>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) drift: Option<DriftReply>,
    /// Resources that carry the mark of exokit, belong to nothing, and were not
    /// there before the test.
    #[serde(default)]
    pub(super) orphans: Vec<Orphan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<Certificate>,
}

impl RunFile {
    /// The checks of the verification.
    pub(super) fn checks(&self) -> &[Check] {
        self.verification.as_ref().map_or(&[], |verification| &verification.checks)
    }

    /// The first stage that did not pass, with the reason.
    pub(super) fn problem(&self) -> Option<(Stage, &ForeignText)> {
        self.stages.iter().find_map(|result| Some((result.stage, result.problem.as_ref()?)))
    }

    /// `TN-YYYYMMDD.yaml`, with the day of the start in UTC.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}.yaml", self.template, self.started_at.strftime("%Y%m%d"))
    }

    /// Writes it into a folder, in place of an earlier one of the same day.
    pub(super) fn write(&self, runs: &Path) -> Result<PathBuf, CliError> {
        let path = runs.join(self.file_name());
        let heading = format!(
            "# Test of template {} by `exokit test`: {}.\n\n",
            self.template,
            if self.passed { "PASS" } else { "FAIL" }
        );
        let body = serde_saphyr::to_string(self);
        let body =
            body.map_err(|error| CliError::new("encoding", "writing", path.display(), error, OUR_MISTAKE))?;
        std::fs::write(&path, heading + &body).doing("writing", path.display())?;
        Ok(path)
    }

    /// The newest result of a template in a folder. Files of the earlier kit and
    /// those that cannot be read are passed over.
    pub(super) fn newest(runs: &Path, template: TemplateId) -> Option<(PathBuf, Self)> {
        let entries = std::fs::read_dir(runs).ok()?;
        let prefix = format!("{template}-");
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&prefix) && name.ends_with(".yaml")
        });
        paths.sort();
        paths.into_iter().rev().find_map(|path| {
            let result: Self = decode_yaml(&path.display().to_string(), &read(&path).ok()?).ok()?;
            Some((path, result))
        })
    }
}
