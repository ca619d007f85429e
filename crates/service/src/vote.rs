//! Votes. The engine verifies each by its signature, whoever hands it on.

use exokit_approval::refusal::Refusal;
use exokit_approval::token::inspect;
use exokit_engine::vote::Voted;
use exokit_ledger::OperationState;
use exokit_model::approval::Decision;
use exokit_model::ids::OperationId;
use exokit_mutant::{Mutant, planted};
use exokit_wire::failure::Failure;
use exokit_wire::reply::VoteReply;
use exokit_wire::request::{ApproveRequest, DenyRequest};

use crate::explain::Doing as _;
use crate::service::Service;

impl Service {
    pub(crate) async fn approve(&self, request: ApproveRequest) -> Result<VoteReply, Failure> {
        self.hand_on(&request.approval_token, Decision::Approve).await
    }

    pub(crate) async fn deny(&self, request: DenyRequest) -> Result<VoteReply, Failure> {
        self.hand_on(&request.approval_token, Decision::Deny).await
    }

    async fn hand_on(&self, token: &str, decision: Decision) -> Result<VoteReply, Failure> {
        let claims = inspect(token).doing("reading", "the token")?.claims;
        if claims.decision != decision {
            let why = "it says the opposite of what is asked".to_owned();
            return Err(Refusal::Malformed(why)).doing("reading", "the token");
        }
        let operation = self.find_plan(&claims.plan_digest.to_string()).await?;
        let reply = self.vote_on(&operation, token).await?;
        self.work.notify_one();
        Ok(reply)
    }

    /// Hands one vote to the engine. A vote that is recorded already gets the
    /// same reply as the first time.
    pub(crate) async fn vote_on(&self, operation: &OperationId, token: &str) -> Result<VoteReply, Failure> {
        let view = self.operation(operation).await?;
        let is_recorded = view.tokens.iter().any(|known| known == token);
        let (person, decision, still) = if is_recorded && !planted(Mutant::VoteOnce) {
            let claims = inspect(token).doing("reading", "the token")?.claims;
            let still = self.still(&view).await?.filter(|_| claims.decision == Decision::Approve);
            (claims.person, claims.decision, still)
        } else {
            let voted = self.engine().vote(operation, token).await;
            match voted.doing("voting on", &view.plan.plan_id)? {
                Voted::Counted { person, still } => (person, Decision::Approve, Some(still)),
                Voted::Enough { person } => (person, Decision::Approve, None),
                Voted::Denied { person } => (person, Decision::Deny, None),
            }
        };
        let enough = decision == Decision::Approve && still.is_none();
        Ok(VoteReply {
            plan_id: view.plan.plan_id.clone(),
            environment: view.plan.environment.clone(),
            digest: view.digest,
            person,
            decision,
            enough,
            still: still.map(Into::into),
        })
    }

    /// What a plan lacks to start, in words; none when its votes suffice.
    pub(crate) async fn still(&self, view: &OperationState) -> Result<Option<String>, Failure> {
        let quorum = self.engine().quorum(&view.plan, &view.tokens).await;
        let quorum = quorum.doing("counting the votes on", &view.plan.plan_id)?;
        Ok(quorum.err().map(|refusal| refusal.to_string()))
    }
}
