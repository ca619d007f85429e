//! The results of operations. Fields may be added; scripts rely on the names.

use std::collections::BTreeMap;

use exokit_model::approval::{Decision, Roster};
use exokit_model::break_glass::BreakGlass;
use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::cost::{ApprovalLevel, CostBand, CostEstimate, LevelReason, PriceDifference};
use exokit_model::event::{Difference, Record};
use exokit_model::graph::Presence;
use exokit_model::ids::{
    EnvironmentName, KeyId, NodeKey, OperationId, PersonId, PlanId, ResourceId, RoleName, TemplateId, Zone,
};
use exokit_model::kind::Kind;
use exokit_model::plan::{Action, Destroy};
use exokit_model::selection::Selection;
use exokit_model::spec::Correction;
use exokit_model::text::ForeignText;
use exokit_model::verification::Check;
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event::EventMessage;
use crate::failure::Failure;

/// A plan for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// Its id.
    pub plan_id: PlanId,
    /// SHA-256 of its canonical text.
    pub digest: Digest,
    /// What it does.
    pub action: Action,
    /// To which environment.
    pub environment: EnvironmentName,
    /// The template that it is made from.
    pub template: TemplateId,
    /// Zone of the zonal resources.
    pub zone: Zone,
    /// Who asked for it.
    pub requester: PersonId,
    /// Needed approvals.
    pub level: ApprovalLevel,
    /// The rules that set the level, the strictest first.
    pub level_reasons: Vec<LevelReason>,
    /// Cost band.
    pub band: CostBand,
    /// What it is estimated to cost.
    pub cost: CostEstimate,
    /// What it consists of.
    pub resources: Vec<PlannedResource>,
    /// The keys of the resources along the longest path.
    pub critical_path: Vec<NodeKey>,
    /// How long it is expected to take.
    pub critical_path_seconds: u32,
    /// What was changed in what was asked for.
    pub corrections: Vec<Correction>,
    /// What is destroyed when it succeeds.
    pub destroys: Vec<Destroy>,
    /// What holds data and may be taken back if it fails.
    pub rollback_destroys: Vec<NodeKey>,
    /// After this time it can no longer start.
    pub not_after: Timestamp,
    /// Why it goes past a limit of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// One resource of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedResource {
    /// Its key.
    pub key: NodeKey,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: ForeignText,
    /// The keys of those that must be there before it.
    pub depends_on: Vec<NodeKey>,
    /// Whether it is to be there.
    pub desired: Presence,
    /// Its zone.
    pub zone: Zone,
    /// How long it is expected to take.
    pub predicted_seconds: u32,
}

/// A plan that was made and not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanReply {
    /// What it says.
    #[serde(flatten)]
    pub view: PlanView,
    /// The canonical text that the digest is of.
    pub plan: String,
    /// The agent's mark, with which the plan can be recorded later.
    pub seal: Digest,
    /// Why this template, when the requirements chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// What a person should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<ForeignText>,
}

/// A vote that was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Who.
    pub person: PersonId,
    /// Yes or no.
    pub decision: Decision,
    /// With which key.
    pub key: KeyId,
    /// When.
    pub issued_at: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

/// Why an operation stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parked {
    /// Short stable code.
    pub code: ForeignText,
    /// In words.
    pub why: ForeignText,
    /// Who should act.
    pub owner: ForeignText,
    /// Whether it removes what it made once it goes on.
    pub rolling_back: bool,
}

/// One run of a plan, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationReply {
    /// What is changed.
    pub environment: EnvironmentName,
    /// Its id.
    pub operation: OperationId,
    /// The plan.
    pub plan_id: PlanId,
    /// What it does.
    pub action: Action,
    /// One of `awaiting-approval`, `running`, `rolling-back`, `needs-human`,
    /// `succeeded`, `rolled-back`, `rejected`.
    pub phase: ForeignText,
    /// Digest of the plan.
    pub digest: Digest,
    /// Needed approvals.
    pub level: ApprovalLevel,
    /// Recorded votes.
    pub approvals: Vec<Approval>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it waits for a human.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_human: Option<Parked>,
    /// Why it was not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ForeignText>,
    /// What a teardown destroys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroys: Option<Vec<Destroy>>,
    /// Proof that a teardown has left nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// What a vote did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoteReply {
    /// The plan.
    pub plan_id: PlanId,
    /// Its environment.
    pub environment: EnvironmentName,
    /// Its digest.
    pub digest: Digest,
    /// Who voted.
    pub person: PersonId,
    /// Yes or no.
    pub decision: Decision,
    /// Whether the plan may start now.
    pub enough: bool,
    /// What is missing, in words.
    pub still: Option<ForeignText>,
}

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Its name.
    pub environment: EnvironmentName,
    /// The template that it is made from.
    pub template: TemplateId,
    /// Its zone.
    pub zone: Zone,
    /// One of `awaiting-approval`, `rejected`, `provisioning`, `ready`,
    /// `needs-human`, `rolling-back`, `rolled-back`, `tearing-down`, `gone`.
    pub phase: ForeignText,
    /// Estimated price per hour while it exists.
    pub hourly: Decimal,
    /// ISO 4217 code of the price.
    pub currency: ForeignText,
    /// When its making began; before that, when it was planned.
    pub created_at: Timestamp,
    /// When its time is over: the earlier of `ends_at` and `kept_until`; none
    /// when it may stay.
    pub expires_at: Option<Timestamp>,
    /// The end of the time that was asked for, with extensions.
    pub ends_at: Option<Timestamp>,
    /// For how many seconds one sign of life keeps it.
    #[serde(default)]
    pub keep_alive_seconds: Option<u64>,
    /// When it is over unless its owner gives a sign of life.
    pub kept_until: Option<Timestamp>,
    /// The end of which its owner was warned.
    #[serde(default)]
    pub warned_of: Option<Timestamp>,
    /// Who asked for it.
    pub owner: PersonId,
    /// Whose budget it counts against.
    pub team: Option<RoleName>,
    /// Approval level of the plan that made it.
    pub level: ApprovalLevel,
    /// Cost band of that plan.
    pub band: CostBand,
    /// The operation that made it.
    pub made_by: OperationId,
    /// All operations on an environment of this name, in order.
    pub operations: Vec<OperationId>,
    /// What it consists of.
    pub resources: Vec<Resource>,
}

/// Until when an environment is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeepAliveReply {
    /// Its name.
    pub environment: EnvironmentName,
    /// Without another sign of life it expires then, or earlier where its time
    /// ends.
    pub kept_until: Timestamp,
}

/// One resource of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Its key in the plan.
    pub key: NodeKey,
    /// What it is.
    pub kind: Kind,
    /// Its id in the cloud, once known.
    pub id: Option<ResourceId>,
    /// Its name.
    pub name: ForeignText,
    /// One of `planned`, `creating`, `in-doubt`, `ready`, `failed`, `deleting`,
    /// `gone`.
    pub state: ForeignText,
}

/// One environment with what is being done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReply {
    /// Where it stands.
    #[serde(flatten)]
    pub view: Environment,
    /// Its operations that are not finished.
    pub open: Vec<OperationReply>,
    /// Plans that wait for approval and can still start, with the time until
    /// when. One that waits and is not here is out of date.
    pub startable: BTreeMap<PlanId, Timestamp>,
}

/// The environments, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListReply {
    /// The environments, as many as fit into one message.
    pub environments: Vec<Environment>,
    /// When there are more: ask again after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<EnvironmentName>,
}

/// A recorded plan with everything that a voter must see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShowPlanReply {
    /// The canonical text. A voter computes the digest from it, and believes
    /// nothing else.
    pub plan: String,
    /// Where it stands.
    pub operation: OperationReply,
    /// What it lacks to start, in words, while it waits for approval; none when
    /// it has the votes that it needs.
    pub still: Option<ForeignText>,
    /// Who may approve.
    pub roster: RosterReply,
}

/// Who may approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RosterReply {
    /// What it says; of version 0 and empty when none was installed.
    pub roster: Roster,
    /// As the root key has signed it: who has the public half believes this
    /// alone.
    pub signed: Option<String>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryLine {
    /// When.
    pub at: Timestamp,
    /// What, as one sentence.
    pub text: ForeignText,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReply {
    /// In order.
    pub lines: Vec<HistoryLine>,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsReply {
    /// In order, as many as fit into one message.
    pub events: Vec<EventMessage>,
    /// Sequence number of the last record of the ledger. When it is greater
    /// than that of the last event here, ask again after that one.
    pub head: u64,
    /// Up to which record this answers: ask again after it.
    pub next: u64,
}

/// Whether an environment keeps what its template promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReply {
    /// Which environment.
    pub environment: EnvironmentName,
    /// What it is made from.
    pub template: TemplateId,
    /// How many checks passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// Every check.
    pub checks: Vec<Check>,
}

/// How the cloud differs from what was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftReply {
    /// Of which environment.
    pub environment: EnvironmentName,
    /// How many resources were compared.
    pub compared: usize,
    /// Whether anything differs.
    pub drifted: bool,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// Something that carries the agent's mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Orphan {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: ForeignText,
    /// Its name.
    pub name: ForeignText,
    /// Its zone.
    pub zone: Zone,
    /// Seconds since it was made, where the cloud says it.
    pub age_seconds: Option<i64>,
    /// What is thought of it.
    pub verdict: ForeignText,
}

/// What belongs to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrphansReply {
    /// Everything that carries a mark and is in no environment.
    pub found: Vec<Orphan>,
}

/// One operation that runs or may start now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActiveOperation {
    /// Its id.
    pub operation: OperationId,
    /// The environment that it changes.
    pub environment: EnvironmentName,
    /// What it does.
    pub action: Action,
    /// `running` or `rolling-back`; `awaiting-approval` when it has the votes
    /// that it needs and has not started yet.
    pub phase: String,
}

/// The operations that run or may start now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationsReply {
    /// The operations, as many as fit into one message.
    pub operations: Vec<ActiveOperation>,
    /// When there are more: ask again after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<OperationId>,
}

/// The outcome of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// In order.
    Ok,
    /// Works, and deserves attention.
    Warn,
    /// Does not work.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Name of the check.
    pub check: String,
    /// Its outcome.
    pub status: CheckStatus,
    /// What was found, in words.
    pub what: String,
    /// What to do; empty when all is in order.
    pub hint: String,
}

impl Finding {
    /// The finding of a check: good news, a warning with a hint, or a failure.
    #[must_use]
    pub fn new(check: &str, checked: Result<(String, Option<String>), Failure>) -> Self {
        let (status, what, hint) = match checked {
            Ok((what, None)) => (CheckStatus::Ok, what, String::new()),
            Ok((what, Some(hint))) => (CheckStatus::Warn, what, hint),
            Err(Failure { doing, on, why, hint, .. }) => {
                (CheckStatus::Fail, format!("{doing} {on}: {why}"), hint)
            }
        };
        Self { check: check.to_owned(), status, what, hint }
    }
}

/// Whether everything is in order that the agent needs for its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorReply {
    /// The finding of each check.
    pub findings: Vec<Finding>,
}

/// How the prices in use differ from the public ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyPricesReply {
    /// Day of the list in use.
    pub date: String,
    /// How many public prices were compared.
    pub compared: usize,
    /// Those that differ.
    pub changed: Vec<PriceDifference>,
}

/// The outcome of an audit that found no damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReply {
    /// How many records it has.
    pub records: u64,
    /// Hash of the last one.
    pub head: Digest,
    /// How many environments were ever planned.
    pub environments: u64,
    /// How many plans were ever proposed.
    pub operations: u64,
}

/// A page of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportReply {
    /// The records in full and in order, as many as fit into one message.
    #[schemars(with = "Vec<Map<String, Value>>")]
    pub records: Vec<Record>,
    /// When there are more: ask again after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}
