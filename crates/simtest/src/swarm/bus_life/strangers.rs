//! Strangers on the bus, whose messages must have no effect.

use std::time::Duration;

use exokit_model::approval::{ApprovalClaims, Decision};
use exokit_wire::MESSAGE_BYTES_MAX;
use exokit_wire::reply::OperationReply;
use exokit_wire::verb::Verb;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::super::requests_and_votes::with_signature_of;
use super::super::schedule::{Foreign, Trouble};
use super::BusLife;
use super::clients::{FIRST_KEY, message};

/// The environment that strangers ask for. It must appear nowhere.
pub(super) const OTHER: &str = "other";

impl BusLife {
    /// Everything that others send.
    pub(super) async fn strangers(&self) {
        let mut due: Vec<(u32, Trouble)> = self
            .troubles
            .iter()
            .filter_map(|trouble| match trouble {
                Trouble::Stranger { at, .. } | Trouble::Flood { at, .. } => Some((*at, *trouble)),
                _ => None,
            })
            .collect();
        due.sort_by_key(|(at, _)| *at);
        for (at, trouble) in due {
            self.until(at).await;
            match trouble {
                Trouble::Stranger { sends, .. } => self.stranger(sends).await,
                Trouble::Flood { requests, .. } => self.flood(requests).await,
                _ => {}
            }
        }
        std::future::pending().await
    }

    async fn stranger(&self, sends: Foreign) {
        let target = loop {
            let target = self.target.borrow().clone();
            match target.and_then(|target| serde_json::from_value::<OperationReply>(target).ok()) {
                Some(target) => break target,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        let sealed = |plan: Value, seal: Value, requester: &str| json!({ "schema_version": 1, "requester": requester, "sealed": { "plan": plan, "seal": seal } });
        let (effect, code, reply) = match sends {
            Foreign::ForgedVote => {
                let token = self.forged(&target);
                let vote = json!({ "schema_version": 1, "approval_token": token });
                ("forged vote refused over the bus", "bad-signature", self.call(Verb::Approve, &vote).await)
            }
            Foreign::AlteredPlan => {
                let Some((plan, seal)) = self.sealed().await else { return };
                let altered = plan.replace(OTHER, "othes");
                let message = sealed(altered.into(), seal, "dana");
                let reply = self.call(Verb::Provision, &message).await;
                ("altered sealed plan refused", "plan-seal", reply)
            }
            Foreign::OthersPlan => {
                let Some((plan, seal)) = self.sealed().await else { return };
                let reply = self.call(Verb::Provision, &sealed(plan.into(), seal, "kim")).await;
                ("sealed plan of another refused", "other-requester", reply)
            }
            Foreign::OthersKey => {
                let wish = json!({ "ask": { "template": "T1", "name": OTHER } });
                let reply = self.call(Verb::Provision, &message(FIRST_KEY, wish)).await;
                ("key of another refused", "idempotency-conflict", reply)
            }
            hostile => {
                let (text, code) = text(hostile);
                let reply = self.call_bytes(Verb::Provision, text.as_bytes()).await;
                ("hostile message refused", code, reply)
            }
        };
        match reply {
            Ok(reply) => self.wrong(format!("I14 {sends:?} was taken: {reply}")),
            // What is refused for another reason may be taken the next time.
            Err(error) if error["code"] != code => {
                self.wrong(format!("I14 {sends:?} was refused as {error}, not as {code}"));
            }
            Err(_) => self.witness.note(effect),
        }
    }

    /// A vote in the name of an approver, whose signature is of something else.
    fn forged(&self, target: &OperationReply) -> String {
        let claims = self.claims("kim", target);
        let other = ApprovalClaims { decision: Decision::Deny, ..claims.clone() };
        let simulation = self.simulation.borrow();
        let sign = |claims| simulation.rig.sign(&simulation.rig.keys("kim")[0], claims);
        with_signature_of(&sign(&claims), &sign(&other))
    }

    /// A plan that the agent made for `dana`, and its seal.
    async fn sealed(&self) -> Option<(String, Value)> {
        let wish = json!({
            "schema_version": 1, "requester": "dana",
            "provision": { "template": "T1", "name": OTHER },
        });
        match self.call(Verb::Plan, &wish).await {
            Ok(reply) => Some((reply["plan"].as_str()?.to_owned(), reply["seal"].clone())),
            Err(error) => {
                self.wrong(format!("I12 a plan was refused: {error}"));
                None
            }
        }
    }

    /// More at one moment than is taken on: each is answered, or told to come
    /// again.
    async fn flood(&self, requests: u32) {
        let (inbox, mut replies) = unbounded_channel();
        let look = json!({ "schema_version": 1 }).to_string();
        for _ in 0..requests {
            self.bus.request(Verb::Orphans, look.as_bytes(), &inbox);
        }
        drop(inbox);
        let mut answered = 0;
        while let Ok(Some(reply)) = tokio::time::timeout(Duration::from_secs(60), replies.recv()).await {
            answered += 1;
            if reply["error"]["code"] == "busy" {
                self.witness.note("too much at once, and told so");
            }
        }
        if answered > 2 * requests {
            self.wrong(format!("I24 {requests} requests have {answered} replies"));
        }
    }
}

/// A message that must be refused as it is, and how. Where it can be, all else
/// about it is good, so that it is taken when nobody looks at that one thing.
fn text(hostile: Foreign) -> (String, &'static str) {
    let ask = |shape: Value| {
        let ask = json!({ "template": "T1", "name": OTHER, "shape": shape });
        json!({ "schema_version": 1, "requester": "dana", "ask": ask }).to_string()
    };
    let good = ask(json!({}));
    match hostile {
        Foreign::Oversize => (good + &" ".repeat(MESSAGE_BYTES_MAX), "too-large"),
        Foreign::Bidi => (ask(json!({ "project": "other\u{202e}" })), "malformed"),
        Foreign::Twice => (good.replacen('{', r#"{"requester":"sam","#, 1), "malformed"),
        Foreign::Deep => {
            let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
            (good.replacen(r#""T1""#, &deep, 1), "malformed")
        }
        _ => ("\u{0}".to_owned(), "malformed"),
    }
}
