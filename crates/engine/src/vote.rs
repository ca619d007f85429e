//! Taking votes in: each is verified here, whatever pipe it came through, and
//! recorded with the outcome.

use exokit_approval::refusal::Refusal;
use exokit_approval::token::inspect;
use exokit_approval::verify::{Earlier, Quorum};
use exokit_ledger::Condition;
use exokit_model::approval::Decision;
use exokit_model::event::Event;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::{OperationId, PersonId};
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;

use crate::engine::Engine;
use crate::error::EngineError;

/// What a vote did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voted {
    /// It counts; more are needed.
    Counted {
        /// Who voted.
        person: PersonId,
        /// Why it may not start yet, in words.
        still: String,
    },
    /// It counts and the plan may start.
    Enough {
        /// Who voted.
        person: PersonId,
    },
    /// It denies, and the plan will never run.
    Denied {
        /// Who voted.
        person: PersonId,
    },
}

impl Engine {
    /// Whether a plan has the votes that it needs now, by the roster in force,
    /// or needs none because the environment's approval covers it.
    ///
    /// # Errors
    /// When the ledger cannot be read; the refusal inside says what is missing.
    pub async fn quorum(
        &self,
        plan: &FixedPlan,
        tokens: &[String],
    ) -> Result<Result<Quorum, Refusal>, EngineError> {
        let prior_approval = self.prior_approval(plan).await?;
        let now = self.now();
        Ok(self.verifier().await?.quorum_or_prior_approval(plan, tokens, (now, now), prior_approval.as_ref()))
    }

    /// Verifies and records one vote.
    ///
    /// # Errors
    /// The refusal with its reason code, which is recorded too.
    pub async fn vote(&self, operation: &OperationId, token: &str) -> Result<Voted, EngineError> {
        let state = self.operation(operation).await?;
        let verifier = self.verifier().await?;
        // One that waits because a vote was lost may be approved again.
        let lost = matches!(&state.phase, Phase::NeedsHuman { why: NeedsHuman::ApprovalLost { .. }, .. });
        let executed = state.started_at.is_some() && !lost || state.phase.is_terminal();
        let earlier = Earlier { tokens: &state.tokens, executed };
        let claims = match verifier.admit(token, &state.plan, earlier, self.now()) {
            Ok(claims) => claims,
            Err(refusal) if exokit_mutant::overlooks(refusal.code()) => inspect(token)?.claims,
            Err(refusal) => {
                let event =
                    Event::ApprovalRefused { code: refusal.code().into(), why: refusal.to_string().into() };
                self.append(
                    &Condition::default(),
                    vec![self.entry(Some(&state.plan.environment), Some(operation), event)],
                )
                .await?;
                return Err(refusal.into());
            }
        };
        let person = claims.person.clone();
        let (digest, token) = (state.digest, token.to_owned());
        let event = match claims.decision {
            Decision::Approve => {
                Event::ApprovalRecorded { digest, person: person.clone(), token: token.clone() }
            }
            Decision::Deny => Event::DenialRecorded { digest, person: person.clone(), token: token.clone() },
        };
        let denies = claims.decision == Decision::Deny;
        // A denial of a plan that has started is recorded all the same: it
        // stops every further creation.
        if !(denies
            && self.reject_waiting(&state, vec![event.clone()], &format!("{person} denied it")).await?)
        {
            let entry = self.entry(Some(&state.plan.environment), Some(operation), event);
            self.append(&Condition::default(), vec![entry]).await?;
        }
        let tokens: Vec<String> = state.tokens.iter().cloned().chain([token]).collect();
        Ok(match verifier.quorum(&state.plan, &tokens, self.now()) {
            Ok(_) => Voted::Enough { person },
            Err(Refusal::Denied { .. }) => Voted::Denied { person },
            Err(refusal) => Voted::Counted { person, still: refusal.to_string() },
        })
    }
}
