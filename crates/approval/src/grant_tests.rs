//! Tests of which requests get a permit.

use exokit_model::approval::Decision;
use exokit_model::cost::ApprovalLevel;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::ResourceId;
use exokit_model::plan::{Action, Plan};
use jiff::Timestamp;

use crate::grant::{Intent, PermitRequest};
use crate::permit::Permit;
use crate::refusal::Refusal;
use crate::roster::{change_policy, revoke_key};
use crate::testing::{at, id, key, plan, roster, verifier, vote};
use crate::verify::Verifier;
use exokit_model::request::ConcreteRequest;

const CREATE: Intent = Intent::Create;
const DELETE: Intent = Intent::Delete { step: 0 };

/// One attempt to get a permit; the default is a create of the cluster in a
/// level 2 provision that alice approved and that started at 100 s.
struct Case {
    plan: Plan,
    presented: Option<Plan>,
    tokens: Vec<String>,
    now: i64,
    started_at: Option<i64>,
    rollback: bool,
    made_here: bool,
    node: &'static str,
    intent: Intent,
    own_id: Option<ResourceId>,
    lasts: i64,
    verifier: Verifier,
}

impl Case {
    fn new(action: Action, intent: Intent) -> Self {
        let plan = plan(action, ApprovalLevel::Two);
        Self {
            tokens: vec![vote(&plan, "alice", 10, Decision::Approve)],
            presented: None,
            plan,
            now: 200,
            started_at: Some(100),
            rollback: false,
            made_here: false,
            node: "cluster",
            intent,
            own_id: (intent != CREATE).then(|| id("cluster")),
            lasts: 30,
            verifier: verifier(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn run(&self) -> Result<(Permit, ConcreteRequest), Refusal> {
        let time = |seconds: i64| -> Timestamp { at(seconds) };
        let presented = self.presented.as_ref().unwrap_or(&self.plan);
        self.verifier.permit(PermitRequest {
            plan: &FixedPlan::new(presented.clone()).unwrap(),
            digest: self.plan.digest().unwrap(),
            tokens: &self.tokens,
            prior_approval: None,
            now: time(self.now),
            started_at: self.started_at.map(time),
            rollback: self.rollback,
            made_here: &|_| self.made_here,
            deadline: time(self.now + self.lasts),
            node: &self.node.parse().unwrap(),
            intent: self.intent,
            own_id: self.own_id.as_ref(),
            id_of: &|_| None,
        })
    }
}

fn check(cases: Vec<(&str, Case)>) {
    for (number, (expected, case)) in cases.into_iter().enumerate() {
        let found = match case.run() {
            Ok(_) => "ok",
            Err(refusal) => refusal.code(),
        };
        assert_eq!(found, expected, "case {number}");
    }
}

#[test]
fn a_permit_names_exactly_the_request_of_the_plan() {
    let case = Case::new(Action::Provision, CREATE);
    let (permit, request) = case.run().unwrap();
    assert_eq!(request.path, "/v2/cluster");
    assert_eq!(request.body, br#"{"name":"create"}"#);
    assert_eq!(permit.request(), request.digest());
    assert_eq!(permit.deadline(), at(230));
}

#[test]
fn creates_need_votes_that_hold() {
    let new = || Case::new(Action::Provision, CREATE);
    let hour = 3600;
    let late_vote_end = 60 + hour;
    check(vec![
        ("ok", new()),
        ("missing-votes", new().with(|c| c.tokens.clear())),
        ("denied", new().with(|c| c.tokens.push(vote(&c.plan, "carol", 30, Decision::Deny)))),
        // Before the start, time counts; after it, only what held at the start.
        ("ok", new().with(|c| c.started_at = None)),
        (
            "expired",
            new().with(|c| {
                c.started_at = None;
                c.now = late_vote_end;
            }),
        ),
        ("ok", new().with(|c| c.now = late_vote_end + 24 * hour)),
        (
            "expired",
            new().with(|c| {
                c.now = late_vote_end + 10;
                c.started_at = Some(late_vote_end + 1);
            }),
        ),
        // A start that is said to be in the future is taken as now.
        (
            "expired",
            new().with(|c| {
                c.now = late_vote_end;
                c.started_at = Some(late_vote_end + hour);
            }),
        ),
        (
            "revoked-key",
            new().with(|c| {
                let revoked = revoke_key(&roster(), &key(10).public().id(), at(150)).unwrap();
                c.verifier = Verifier::new(revoked).unwrap();
            }),
        ),
        (
            "unknown-key",
            new().with(|c| {
                let mut left = roster();
                left.persons.remove(0);
                left.persons.pop();
                c.verifier = Verifier::new(left).unwrap();
            }),
        ),
        (
            "ok",
            new().with(|c| {
                let policy = exokit_model::cost::CostPolicy::default();
                let next = change_policy(&roster(), policy, at(150)).unwrap();
                c.verifier = Verifier::new(next).unwrap();
            }),
        ),
    ]);
}

#[test]
fn execution_starts_within_an_hour_of_the_last_needed_vote() {
    let voted_for_a_day = |c: &mut Case| {
        let mut claims = crate::testing::claims(&c.plan, "alice", 10, Decision::Approve);
        claims.expires_at = at(60 + 24 * 3600);
        c.tokens = vec![crate::token::sign_vote(&key(10), &claims).unwrap()];
        c.started_at = None;
    };
    let new = |now| Case::new(Action::Provision, CREATE).with(voted_for_a_day).with(|c| c.now = now);
    check(vec![
        ("ok", new(60 + 3600)),
        ("start-window", new(60 + 3601)),
        ("ok", new(60 + 9999).with(|c| c.started_at = Some(60 + 3600))),
        ("start-window", new(60 + 9999).with(|c| c.started_at = Some(60 + 3601))),
    ]);
    let level_one = |now| {
        Case::new(Action::Provision, CREATE).with(|c| {
            c.plan.level = ApprovalLevel::One;
            c.tokens.clear();
            c.started_at = None;
            c.now = now;
        })
    };
    check(vec![("ok", level_one(24 * 3600)), ("plan-expired", level_one(24 * 3600 + 1))]);
}

#[test]
fn only_what_the_plan_says_can_be_sent() {
    let create = || Case::new(Action::Provision, CREATE);
    check(vec![
        ("not-in-plan", create().with(|c| c.node = "database")),
        ("not-in-plan", Case::new(Action::Teardown, CREATE)),
        ("rolling-back", create().with(|c| c.rollback = true)),
        (
            "plan-altered",
            create().with(|c| {
                let mut other = c.plan.clone();
                other.level = ApprovalLevel::One;
                c.presented = Some(other);
            }),
        ),
        ("deadline", create().with(|c| c.lasts = 0)),
        ("deadline", create().with(|c| c.lasts = 31)),
        ("not-in-plan", Case::new(Action::Teardown, Intent::Delete { step: 1 })),
    ]);
}

#[test]
fn a_teardown_removes_only_what_was_listed_and_needs_votes() {
    let delete = || Case::new(Action::Teardown, DELETE);
    let bucket = |c: &mut Case| {
        c.node = "bucket";
        c.own_id = Some(id("bucket"));
    };
    check(vec![
        ("ok", delete()),
        ("ok", delete().with(bucket)),
        ("missing-votes", delete().with(|c| c.tokens.clear())),
        ("foreign-id", delete().with(|c| c.own_id = Some(id("other")))),
        ("foreign-id", delete().with(|c| c.own_id = None)),
        ("not-in-plan", delete().with(|c| c.rollback = true)),
        (
            "data-not-listed",
            delete().with(bucket).with(|c| {
                c.plan.destroys.pop();
                c.tokens = vec![vote(&c.plan, "alice", 10, Decision::Approve)];
            }),
        ),
    ]);
}

#[test]
fn an_operation_takes_back_what_it_made_without_a_vote() {
    let undo = || {
        Case::new(Action::Provision, DELETE).with(|c| {
            c.rollback = true;
            c.made_here = true;
            c.tokens.clear();
        })
    };
    let bucket = |c: &mut Case| {
        c.node = "bucket";
        c.own_id = Some(id("bucket"));
    };
    check(vec![
        ("ok", undo()),
        ("ok", undo().with(|c| c.rollback = false)),
        ("ok", undo().with(bucket)),
        ("foreign-id", undo().with(|c| c.made_here = false)),
        ("foreign-id", undo().with(|c| c.own_id = None)),
        ("not-in-plan", undo().with(|c| c.started_at = None)),
        ("data-not-listed", undo().with(bucket).with(|c| c.plan.rollback_destroys.clear())),
        (
            "plan-altered",
            undo().with(|c| {
                let mut other = c.plan.clone();
                other.level = ApprovalLevel::One;
                c.presented = Some(other);
            }),
        ),
    ]);
}
