//! Requesters and approvers. They retry unanswered requests under the same key and
//! check every answer.

use std::time::Duration;

use exokit_approval::roster::{change_policy, revoke_key};
use exokit_model::approval::{ApprovalClaims, Decision, Roster};
use exokit_model::cost::{ApprovalLevel, CostPolicy};
use exokit_model::plan::Plan;
use exokit_wire::reply::OperationReply;
use exokit_wire::verb::Verb;
use jiff::SignedDuration;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::super::effect::State;
use super::super::schedule::Trouble;
use super::BusLife;
use crate::rig::person;

/// How long a requester waits for an answer.
const ANSWER: Duration = Duration::from_secs(4);

/// How often a requester looks how far it is.
const LOOK: Duration = Duration::from_secs(15);

/// How long an environment is to live: longer than any play.
const LIFE_SECONDS: u64 = 30 * 86_400;

/// Most extensions until the cap of a day must be felt.
const EXTENSIONS_MAX: u32 = 4;

/// The key under which the first environment is asked for.
pub(super) const FIRST_KEY: &str = "one-provision";

/// A request of `dana`.
pub(super) fn message(key: &str, body: Value) -> Value {
    let mut message = json!({ "schema_version": 1, "requester": "dana", "idempotency_key": key });
    if let (Value::Object(message), Value::Object(body)) = (&mut message, body) {
        message.extend(body);
    }
    message
}

/// What an operation replied; the schema is checked elsewhere.
pub(super) fn operation(reply: Value) -> Result<OperationReply, String> {
    serde_json::from_value(reply).map_err(|error| format!("I26 a reply cannot be read: {error}"))
}

impl BusLife {
    /// Sends until it is answered: what is wanted, or why not.
    pub(super) async fn call(&self, verb: Verb, message: &Value) -> Result<Value, Value> {
        self.call_bytes(verb, message.to_string().as_bytes()).await
    }

    pub(super) async fn call_bytes(&self, verb: Verb, bytes: &[u8]) -> Result<Value, Value> {
        let (inbox, mut replies) = unbounded_channel();
        loop {
            self.bus.request(verb, bytes, &inbox);
            let Ok(Some(mut reply)) = tokio::time::timeout(ANSWER, replies.recv()).await else {
                self.witness.note("asked again under its key");
                continue;
            };
            if !reply["result"].is_null() {
                return Ok(reply["result"].take());
            }
            match reply["error"]["status"].as_u64() {
                Some(429 | 500..) => {
                    if reply["error"]["code"] == "ledger" {
                        self.witness.note("request not acknowledged without its record");
                    }
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
                _ => return Err(reply["error"].take()),
            }
        }
    }

    /// Everybody who wants something.
    pub(super) async fn requesters(&self) {
        let seed = self.simulation.borrow().schedule.seed;
        let second = async {
            match seed.is_multiple_of(4) {
                true => {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    self.life("two").await
                }
                false => Ok(()),
            }
        };
        let unwanted = async {
            match self.troubles.contains(&Trouble::Denied) {
                true => self.denied().await,
                false => Ok(()),
            }
        };
        let (one, two, three) = tokio::join!(self.life("one"), second, unwanted);
        [one, two, three].into_iter().filter_map(Result::err).for_each(|what| self.wrong(what));
    }

    /// One environment, from the wish to its end.
    async fn life(&self, name: &str) -> Result<(), String> {
        let level = self.simulation.borrow().schedule.level;
        let wish = json!({
            "ask": { "template": "T1", "name": name, "level": level, "ttl_seconds": LIFE_SECONDS },
        });
        let made = self.change(Verb::Provision, &message(&format!("{name}-provision"), wish)).await?;
        // A cloud that fails may lead to a rollback, which is an end too.
        if made.phase == "rolled-back" && self.simulation.borrow().schedule.cloud().next().is_some() {
            return Ok(());
        }
        if made.phase != "succeeded" {
            return Err(format!("I12 {name} was not made: {} {:?}", made.phase, made.cause));
        }
        if self.troubles.contains(&Trouble::Structuring) {
            self.structure(name, &made).await?;
        }
        let wish = json!({ "remove": { "environment": name } });
        let removed = self.change(Verb::Teardown, &message(&format!("{name}-teardown"), wish)).await?;
        if removed.phase != "succeeded" {
            return Err(format!("I12 {name} was not removed: {} {:?}", removed.phase, removed.cause));
        }
        Ok(())
    }

    /// Asks for a change, gets the votes, and looks until it is over.
    async fn change(&self, verb: Verb, message: &Value) -> Result<OperationReply, String> {
        let refused = |error: Value| format!("I12 {verb:?} was refused: {error}");
        let reply = self.call(verb, message).await.map_err(refused)?;
        self.target.borrow_mut().get_or_insert_with(|| reply.clone());
        let asked = operation(reply)?;
        self.simulation.borrow().truth.borrow_mut().proposed.insert(asked.digest);
        self.vote(verb, &asked).await?;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = operation(self.call(verb, message).await.map_err(refused)?)?;
            if now.operation != asked.operation {
                return Err(format!("I11 one key gave {} and {}", asked.operation, now.operation));
            }
            match now.phase.raw() {
                "succeeded" | "rolled-back" | "rejected" => return Ok(now),
                "needs-human" => self.help(&now).await?,
                _ => {}
            }
        }
    }

    /// A human lets a parked operation go on.
    async fn help(&self, parked: &OperationReply) -> Result<(), String> {
        let message = json!({
            "schema_version": 1, "requester": "sam", "environment": parked.environment,
        });
        match self.call(Verb::Resume, &message).await {
            Ok(_) => Ok(()),
            // A repeated request finds that the first one was enough.
            Err(error) if error["code"] == "wrong-phase" => Ok(()),
            Err(error) => Err(format!("I8 {} cannot go on: {error}", parked.operation)),
        }
    }

    /// The votes that a plan needs. What was acknowledged counts.
    async fn vote(&self, verb: Verb, asked: &OperationReply) -> Result<(), String> {
        let leaves = verb == Verb::Provision
            && asked.level == ApprovalLevel::Three
            && self.troubles.contains(&Trouble::Leaves)
            && !self.is_revoked("alex");
        let first = if self.is_revoked("alex") { "kim" } else { "alex" };
        let mut enough = asked.level.persons() == 0;
        let mut left = false;
        for voter in [first, "robin"].iter().take(asked.level.persons()) {
            enough = self.cast(voter, asked).await?;
            if leaves && *voter == "alex" && !self.is_revoked("alex") {
                self.leave().await;
                left = true;
            }
        }
        match (left, enough) {
            (true, true) => return Err("I14 the vote of one who left counts".to_owned()),
            (true, false) => {
                self.witness.note_in("approver left before the start", State::Asking);
                enough = self.cast("kim", asked).await?;
            }
            // Another life saw them leave.
            (false, false) if first == "alex" && self.is_revoked("alex") => {
                enough = self.cast("kim", asked).await?;
            }
            (false, _) => {}
        }
        match enough || self.has_begun(asked) {
            true => Ok(()),
            false => Err(format!("I7 votes on {} were acknowledged and are not enough", asked.operation)),
        }
    }

    fn has_begun(&self, asked: &OperationReply) -> bool {
        let records = self.simulation.borrow().records();
        let of_it = |record: &exokit_model::event::Record| {
            record.entry.operation.as_ref() == Some(&asked.operation)
                && matches!(record.entry.event, exokit_model::event::Event::OperationStarted { .. })
        };
        records.iter().any(of_it)
    }

    fn is_revoked(&self, name: &'static str) -> bool {
        self.simulation.borrow().truth.borrow().revoked.contains(name)
    }

    /// Casts a vote; of one who has left meanwhile, another one's.
    async fn cast(&self, voter: &'static str, asked: &OperationReply) -> Result<bool, String> {
        match self.cast_one(voter, asked).await? {
            Some(enough) => Ok(enough),
            None => Ok(self.cast_one("kim", asked).await? == Some(true)),
        }
    }

    /// Whether it is enough; none when who voted has left.
    async fn cast_one(&self, voter: &'static str, asked: &OperationReply) -> Result<Option<bool>, String> {
        let claims = self.claims(voter, asked);
        let token = {
            let simulation = self.simulation.borrow();
            let token = simulation.rig.sign(&simulation.rig.keys(voter)[0], &claims);
            simulation.truth.borrow_mut().good_votes.insert(token.clone());
            token
        };
        let message = json!({ "schema_version": 1, "approval_token": token });
        let reply = match self.call(Verb::Approve, &message).await {
            Ok(reply) => reply,
            Err(error) if error["code"] == "revoked-key" && self.is_revoked(voter) => return Ok(None),
            Err(error) => return Err(format!("I12 a good vote of {voter} was refused: {error}")),
        };
        self.simulation.borrow().truth.borrow_mut().counted.insert(token);
        Ok(Some(reply["enough"] == true))
    }

    /// What a good vote of a person says.
    pub(super) fn claims(&self, voter: &str, asked: &OperationReply) -> ApprovalClaims {
        let simulation = self.simulation.borrow();
        let now = simulation.rig.now();
        let seen = format!("{voter} {} {now}", asked.digest);
        let nonce = exokit_model::canonical::Digest::of("exokit-nonce/v1", seen.as_bytes());
        ApprovalClaims {
            plan_digest: asked.digest,
            decision: Decision::Approve,
            action: asked.action,
            level: asked.level,
            environment: asked.environment.clone(),
            person: person(voter),
            key_id: simulation.rig.keys(voter)[0].public().id(),
            issued_at: now,
            expires_at: now + SignedDuration::from_hours(12),
            nonce: data_encoding::BASE64URL_NOPAD.encode(&nonce.0[..16]),
        }
    }

    /// `alex` leaves, and somebody who has the old roster installs it.
    async fn leave(&self) {
        let (old, next) = {
            let simulation = self.simulation.borrow();
            let old = simulation.truth.borrow().roster.clone().unwrap_or_else(|| simulation.rig.roster());
            let key = simulation.rig.keys("alex")[0].public().id();
            let next = revoke_key(&old, &key, simulation.rig.now());
            simulation.truth.borrow_mut().revoked.insert("alex");
            (old, next)
        };
        match next {
            Ok(next) => self.install(next).await,
            Err(error) => self.wrong(format!("I8 {error}")),
        }
        let (engine, signed) = {
            let simulation = self.simulation.borrow();
            (simulation.installer(), simulation.rig.signed(&old))
        };
        match engine.install_roster(&signed).await {
            Err(_) => self.witness.note_in("older roster refused", State::Asking),
            Ok(_) => self.wrong("I31 an older roster was installed".to_owned()),
        }
    }

    /// Installs a roster, again if a crash took it.
    pub(super) async fn install(&self, roster: Roster) {
        loop {
            let (engine, signed) = {
                let simulation = self.simulation.borrow();
                (simulation.rig.engine(), simulation.rig.signed(&roster))
            };
            let installed = engine.install_roster(&signed).await;
            let engine = self.simulation.borrow().rig.engine();
            match engine.roster().await {
                Ok(current) if current.version == roster.version => break,
                _ if installed.is_ok() => {}
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
        self.simulation.borrow().truth.borrow_mut().roster = Some(roster);
    }

    /// More and more time in parts, each of which is small: together they are
    /// more than one person may ask for in a day.
    async fn structure(&self, name: &str, made: &OperationReply) -> Result<(), String> {
        let plan = json!({ "schema_version": 1, "plan": made.plan_id });
        let shown = self.call(Verb::ShowPlan, &plan).await.map_err(|error| format!("I12 {error}"))?;
        let text = shown["plan"].as_str().unwrap_or_default();
        let plan = Plan::from_bytes(text.as_bytes()).map_err(|error| format!("I26 {error}"))?;
        let hourly = plan.cost.hourly;
        let next = {
            let simulation = self.simulation.borrow();
            let roster = simulation.truth.borrow().roster.clone().unwrap_or_else(|| simulation.rig.roster());
            let cap = Some(hourly * Decimal::new(25, 1));
            let policy = CostPolicy { requester_daily_max: cap, ..roster.policy.clone() };
            change_policy(&roster, policy, simulation.rig.now())
        };
        self.install(next.map_err(|error| format!("I8 {error}"))?).await;
        for part in 0..EXTENSIONS_MAX {
            let wish = json!({ "extend": { "environment": name, "ttl_seconds": 3600 } });
            let key = format!("{name}-extend-{part}");
            let longer = self.change(Verb::Extend, &message(&key, wish)).await?;
            match (longer.phase.raw(), longer.level, made.level) {
                ("succeeded", ApprovalLevel::Three, ApprovalLevel::One | ApprovalLevel::Two) => {
                    self.witness.note("structuring over the bus raised the level");
                    return Ok(());
                }
                ("succeeded", _, _) => {}
                (phase, _, _) => return Err(format!("I12 {name} was not extended: {phase}")),
            }
        }
        match made.level {
            ApprovalLevel::Three => Ok(()),
            _ => Err(format!("I16 {EXTENSIONS_MAX} extensions of {name} stayed below the cap of a day")),
        }
    }
}
