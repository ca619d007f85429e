//! A plan that an approver denies: it must never start, whoever votes for it
//! afterwards.

use std::time::Duration;

use exokit_model::approval::{ApprovalClaims, Decision};
use exokit_wire::reply::OperationReply;
use exokit_wire::verb::Verb;
use serde_json::json;

use super::super::effect::State;
use super::BusLife;
use super::clients::operation;

/// The environment that is not wanted.
const UNWANTED: &str = "unwanted";

/// How long somebody else's vote is waited for before it is looked again.
const LATER: Duration = Duration::from_secs(30);

impl BusLife {
    /// Asks, and has it denied.
    pub(super) async fn denied(&self) -> Result<(), String> {
        let wish = json!({
            "schema_version": 1, "requester": "sam", "idempotency_key": "unwanted",
            "ask": { "template": "T1", "name": UNWANTED, "level": 2 },
        });
        let refused = |error| format!("I12 {UNWANTED} was refused: {error}");
        let asked = operation(self.call(Verb::Provision, &wish).await.map_err(refused)?)?;
        let no =
            self.signed("robin", ApprovalClaims { decision: Decision::Deny, ..self.claims("robin", &asked) });
        self.call(Verb::Deny, &json!({ "schema_version": 1, "approval_token": no }))
            .await
            .map_err(refused)?;
        self.insist(&asked).await?;
        tokio::time::sleep(LATER).await;
        let now = operation(self.call(Verb::Provision, &wish).await.map_err(refused)?)?;
        match now.phase.raw() {
            "rejected" => self.witness.note_in("denied over the bus, and it came to nothing", State::Asking),
            phase => return Err(format!("I15 {UNWANTED} was denied and is {phase}")),
        }
        Ok(())
    }

    /// Another approver would have it all the same.
    async fn insist(&self, asked: &OperationReply) -> Result<(), String> {
        let yes = self.signed("kim", self.claims("kim", asked));
        self.simulation.borrow().truth.borrow_mut().good_votes.insert(yes.clone());
        match self.call(Verb::Approve, &json!({ "schema_version": 1, "approval_token": yes })).await {
            Ok(reply) if reply["enough"] == true => {
                Err(format!("I15 a vote is enough for {UNWANTED}: {reply}"))
            }
            _ => Ok(()),
        }
    }

    fn signed(&self, voter: &str, claims: ApprovalClaims) -> String {
        let simulation = self.simulation.borrow();
        simulation.rig.sign(&simulation.rig.keys(voter)[0], &claims)
    }
}
