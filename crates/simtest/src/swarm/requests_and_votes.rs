//! Requesters and approvers of a direct life: good requests and votes, and hostile
//! ones that must be refused.

use exokit_approval::roster::revoke_key;
use exokit_engine::error::EngineError;
use exokit_engine::propose::ProvisionRequest;
use exokit_engine::vote::Voted;
use exokit_ledger::OperationState;
use exokit_model::approval::{ApprovalClaims, ApproverKey, Decision};
use exokit_model::canonical::Digest;
use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::{OperationId, PersonId};
use exokit_model::plan::Plan;
use jiff::SignedDuration;
use rust_decimal::Decimal;

use super::schedule::{BadRequest, BadVote, Stage, What};
use super::simulation::Simulation;
use crate::rig::person;

impl Simulation {
    /// One process asks, from the plan to the last vote.
    pub(super) async fn ask_once(&self, stage: Stage) -> Result<OperationState, EngineError> {
        let engine = self.engine();
        let plan = match stage {
            Stage::AskTeardown => {
                engine.plan_teardown(&self.environment(), &self.requester(stage), None).await?
            }
            _ => {
                self.ask_badly().await;
                let request = ProvisionRequest { requester: self.requester(stage), ..self.request() };
                engine.plan_provision(request, None).await?
            }
        };
        let state = engine.propose(&plan, None).await?;
        self.truth.borrow_mut().proposed.insert(state.digest);
        if self.asks(BadRequest::Altered) {
            self.propose_altered(&plan).await;
        }
        if self.repeats(stage) {
            self.propose_again(&plan).await;
        }
        self.vote_badly(stage, &state).await;
        self.vote_well(stage, &state).await?;
        Ok(state)
    }

    /// Who asks: the agent of the one who will try to approve it.
    fn requester(&self, stage: Stage) -> PersonId {
        let own_agent = What::Vote { stage, vote: BadVote::OwnAgent };
        match self.schedule.items.iter().any(|item| item.what == own_agent) {
            true => person("dana-agent"),
            false => person("dana"),
        }
    }

    fn request(&self) -> ProvisionRequest {
        let wanted = match self.schedule.level {
            0 | 1 => None,
            2 => Some(ApprovalLevel::Two),
            _ => Some(ApprovalLevel::Three),
        };
        let mut request = crate::rig::request(self.schedule.template);
        request.spec.ttl_seconds = Some(3600);
        ProvisionRequest { wanted_level: wanted, ..request }
    }

    fn asks(&self, bad: BadRequest) -> bool {
        self.schedule.items.iter().any(|item| item.what == What::Ask(bad))
    }

    async fn ask_badly(&self) {
        if self.asks(BadRequest::NotOffered) {
            let mut request = self.request();
            request.spec.cluster.version = Some("9.99.9".to_owned());
            match self.engine().plan_provision(request, None).await {
                Err(EngineError::Preflight(_)) => self.witness.note("hostile request refused"),
                Err(_) => {}
                Ok(plan) => self.wrong(format!("I26 what is not offered was planned: {}", plan.plan_id)),
            }
        }
    }

    /// Somebody changes a plan after it was made and proposes it under the
    /// same id, for another environment, so that nothing else is in its way.
    async fn propose_altered(&self, plan: &Plan) {
        let mut altered = plan.clone();
        altered.cost.hourly = Decimal::ZERO;
        altered.environment = "altered".parse().unwrap_or(altered.environment);
        altered.base_seq = 0;
        match self.engine().propose(&altered, None).await {
            Err(error) if super::simulation::passes(&error) => {}
            Err(error) if error.code() == "conflict" => self.witness.note("altered plan refused"),
            other => self.wrong(format!("I11 another plan under the same id was answered with {other:?}")),
        }
    }

    async fn propose_again(&self, plan: &Plan) {
        match self.engine().propose(plan, None).await {
            Err(EngineError::Conflict { .. }) => self.witness.note("plan proposed twice"),
            Err(_) => {}
            Ok(_) => self.wrong("I11 a plan was recorded twice".to_owned()),
        }
    }

    async fn vote_badly(&self, stage: Stage, state: &OperationState) {
        let votes = self.schedule.items.iter().filter_map(|item| match item.what {
            What::Vote { stage: own, vote } if own == stage => Some(vote),
            _ => None,
        });
        for vote in votes.filter(|vote| !matches!(vote, BadVote::Again | BadVote::SecondKey)) {
            self.cast_bad(vote, state, "").await;
        }
    }

    /// A vote that was counted is cast again while its plan is carried out.
    pub(super) async fn vote_late(&self, operation: &OperationId) {
        let Ok(state) = self.engine().operation(operation).await else { return };
        // Others may have been counted for a plan that was given up.
        let counted = |token: &&String| self.truth.borrow().counted.contains(*token);
        if let Some(token) = state.tokens.iter().find(counted) {
            self.cast_bad(BadVote::Again, &state, token).await;
        }
    }

    /// Casts a vote that must be refused, and with the right reason.
    async fn cast_bad(&self, vote: BadVote, state: &OperationState, before: &str) {
        if vote == BadVote::RevokedKey && !self.revoke("sam").await {
            return;
        }
        let token = self.bad_token(vote, state, before);
        let expected = expected(vote);
        match self.engine().vote(&state.operation, &token).await {
            Err(EngineError::Refused(refusal)) if refusal.code() == expected => {
                self.witness.note(&format!("vote refused: {expected}"));
            }
            Err(EngineError::Refused(refusal)) if self.may_be(vote, refusal.code()) => {}
            Err(error) if super::simulation::passes(&error) => {}
            other => self.wrong(format!("I14 a vote that is {expected} was answered with {other:?}")),
        }
    }

    /// Whether another reason is as good: the key was revoked after its vote
    /// was counted, or the clock of the host is wrong.
    fn may_be(&self, vote: BadVote, code: &str) -> bool {
        let clock = self.truth.borrow().clock_was_wrong && matches!(code, "not-yet-valid" | "expired");
        clock || (vote == BadVote::Again && code == "revoked-key")
    }

    fn bad_token(&self, vote: BadVote, state: &OperationState, before: &str) -> String {
        let approve = Decision::Approve;
        let good = |name: &str| self.rig.claims(name, state, approve);
        let other = |name: &str, change: &dyn Fn(&mut ApprovalClaims)| {
            let mut claims = good(name);
            change(&mut claims);
            self.rig.sign(&self.rig.keys(name)[0], &claims)
        };
        match vote {
            BadVote::OwnPlan | BadVote::OwnAgent => self.rig.vote("dana", state, approve),
            BadVote::RevokedKey => self.rig.vote("sam", state, approve),
            BadVote::Again => before.to_owned(),
            BadVote::SecondKey => {
                let second = &self.rig.keys("alex")[1];
                let claims = ApprovalClaims { key_id: second.public().id(), ..good("alex") };
                self.rig.sign(second, &claims)
            }
            BadVote::Expired => other("robin", &|claims| {
                claims.issued_at =
                    claims.issued_at.saturating_sub(SignedDuration::from_hours(20)).unwrap_or_default();
                claims.expires_at =
                    claims.issued_at.saturating_add(SignedDuration::from_hours(1)).unwrap_or_default();
            }),
            BadVote::OtherPlan => other("robin", &|claims| claims.plan_digest = Digest::of("test", b"other")),
            BadVote::OtherEnvironment => other("robin", &|claims| {
                claims.environment = "other".parse().unwrap_or_else(|_| claims.environment.clone());
            }),
            BadVote::Forged => {
                let forged = self.rig.sign(&self.rig.keys("robin")[0], &good("robin"));
                let other = self.rig.vote("robin", state, Decision::Deny);
                with_signature_of(&forged, &other)
            }
        }
    }

    /// As many votes as the level demands, by people whose keys are good.
    async fn vote_well(&self, stage: Stage, state: &OperationState) -> Result<(), EngineError> {
        let needed = state.plan.level.persons();
        self.read_roster().await;
        let voters: Vec<&'static str> = {
            let truth = self.truth.borrow();
            let first = if truth.revoked.contains("alex") { "kim" } else { "alex" };
            vec![first, "robin"]
        };
        for name in voters.into_iter().take(needed) {
            let token = self.rig.vote(name, state, Decision::Approve);
            self.truth.borrow_mut().good_votes.insert(token.clone());
            let voted = self.engine().vote(&state.operation, &token).await?;
            self.truth.borrow_mut().counted.insert(token.clone());
            if self.repeats(stage) {
                self.repeat_vote(state, &token).await;
            }
            self.vote_after(stage, state, name, &token).await;
            if matches!(voted, Voted::Denied { .. }) {
                self.wrong("I14 a good vote denied the plan".to_owned());
            }
        }
        if self.asks(BadRequest::PolicyMoved) && stage == Stage::AskProvision {
            self.move_policy(state).await?;
        }
        Ok(())
    }

    /// Those who did not vote on an operation that lost a vote approve it too.
    /// Whether any of them could.
    pub(super) async fn vote_again(&self, operation: &OperationId) -> bool {
        let Ok(state) = self.engine().operation(operation).await else { return false };
        let mut could = false;
        for name in ["robin", "kim"] {
            let token = self.rig.vote(name, &state, Decision::Approve);
            self.truth.borrow_mut().good_votes.insert(token.clone());
            could |= self.engine().vote(operation, &token).await.is_ok();
        }
        could
    }

    async fn repeat_vote(&self, state: &OperationState, token: &str) {
        match self.engine().vote(&state.operation, token).await {
            Err(EngineError::Refused(refusal)) if refusal.code() == "replayed" => {
                self.witness.note("vote cast twice");
            }
            Err(error) if super::simulation::passes(&error) => {}
            other => self.wrong(format!("I14 a vote cast twice was answered with {other:?}")),
        }
    }

    /// Bad votes that need a good one before them.
    async fn vote_after(&self, stage: Stage, state: &OperationState, name: &str, token: &str) {
        for item in &self.schedule.items {
            match item.what {
                What::Vote { stage: own, vote: BadVote::Again } if own == stage => {
                    self.cast_bad(BadVote::Again, state, token).await;
                }
                What::Vote { stage: own, vote: BadVote::SecondKey } if own == stage && name == "alex" => {
                    self.cast_bad(BadVote::SecondKey, state, token).await;
                }
                _ => {}
            }
        }
    }
}

/// A token whose signature was made for another one.
pub(super) fn with_signature_of(token: &str, other: &str) -> String {
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    let signature = other.rsplit_once('.').map_or(other, |(_, signature)| signature);
    format!("{signed}.{signature}")
}

/// The code with which a bad vote must be refused.
fn expected(vote: BadVote) -> &'static str {
    match vote {
        BadVote::OwnPlan | BadVote::OwnAgent => "self-approval",
        BadVote::SecondKey => "duplicate",
        BadVote::Again => "replayed",
        BadVote::Expired => "expired",
        BadVote::OtherPlan => "wrong-plan",
        BadVote::OtherEnvironment => "wrong-environment",
        BadVote::RevokedKey => "revoked-key",
        BadVote::Forged => "bad-signature",
    }
}

impl Simulation {
    /// Revokes the first key of a person. False when it is revoked already, or
    /// the new roster cannot be written now.
    pub(super) async fn revoke(&self, name: &'static str) -> bool {
        if self.truth.borrow().revoked.contains(name) {
            // For a vote with a revoked key it is as good as revoked just now.
            return name == "sam";
        }
        let Some(roster) = self.truth.borrow().roster.clone() else { return false };
        let key = self.rig.keys(name)[0].public().id();
        let Ok(next) = revoke_key(&roster, &key, self.rig.now()) else { return false };
        let installed = self.install(next).await;
        self.read_roster().await;
        installed && self.truth.borrow().revoked.contains(name)
    }

    /// A roster may have been written by a process that did not live to say
    /// so: which is in force, and whose keys are revoked, the ledger knows.
    async fn read_roster(&self) {
        let Ok(roster) = self.rig.engine().roster().await else { return };
        let mut truth = self.truth.borrow_mut();
        for name in ["alex", "sam"] {
            let key = self.rig.keys(name)[0].public().id();
            let is_key = |listed: &ApproverKey| listed.id == key && listed.revoked_at.is_some();
            if roster.persons.iter().flat_map(|person| &person.keys).any(is_key) {
                truth.revoked.insert(name);
            }
        }
        truth.roster = Some(roster);
    }

    pub(super) async fn install(&self, roster: exokit_model::approval::Roster) -> bool {
        let signed = self.rig.signed(&roster);
        match self.engine().install_roster(&signed).await {
            Ok(_) => {
                self.truth.borrow_mut().roster = Some(roster);
                true
            }
            Err(_) => {
                self.read_roster().await;
                false
            }
        }
    }

    /// After the votes the policy demands more: the plan must not start.
    async fn move_policy(&self, state: &OperationState) -> Result<(), EngineError> {
        let Some(mut roster) = self.truth.borrow().roster.clone() else { return Ok(()) };
        if state.plan.level >= ApprovalLevel::Three || self.truth.borrow().policy_moved {
            return Ok(());
        }
        roster.version += 1;
        let before = roster.policy.clone();
        (roster.policy.low_max, roster.policy.medium_max, roster.policy.high_max) =
            (Decimal::new(1, 4), Decimal::new(2, 4), Decimal::new(3, 4));
        if !self.install(roster.clone()).await {
            return Ok(());
        }
        self.truth.borrow_mut().policy_moved = true;
        let refused = self.engine().run(&state.operation).await;
        if let Err(EngineError::Rejected { .. }) = refused {
            self.witness.note("policy moved after the vote");
        }
        roster.version += 1;
        roster.policy = before;
        self.install(roster).await;
        match refused {
            Err(error) if super::simulation::passes(&error) => Err(error),
            _ => Ok(()),
        }
    }
}
