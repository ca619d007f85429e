//! Secrets and kubeconfigs, sealed to the recipient that asks for them.

use std::collections::BTreeMap;

use exokit_engine::access::{GrantRequest, Granted};
use exokit_model::access::{Access, AccessTerms, RecipientKey};
use exokit_model::ids::{EnvironmentName, PlanId};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::request::{KubeconfigRequest, SecretsRequest};
use exokit_wire::sealed::{SealedReply, seal};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::explain::{Doing as _, invalid};
use crate::service::{Caller, Service};

impl Service {
    pub(crate) async fn secrets(
        &self,
        caller: &Caller,
        request: SecretsRequest,
    ) -> Result<SealedReply, Failure> {
        let access = Access::Secrets { values: request.values };
        let terms = AccessTerms { access, recipient: request.recipient };
        self.hand_out(caller, request.environment, terms, request.plan_id).await
    }

    pub(crate) async fn kubeconfig(
        &self,
        caller: &Caller,
        request: KubeconfigRequest,
    ) -> Result<SealedReply, Failure> {
        let access = Access::Kubeconfig { role: request.role, ttl_seconds: request.ttl_seconds };
        let terms = AccessTerms { access, recipient: request.recipient };
        self.hand_out(caller, request.environment, terms, request.plan_id).await
    }

    async fn hand_out(
        &self,
        caller: &Caller,
        environment: EnvironmentName,
        terms: AccessTerms,
        plan: Option<PlanId>,
    ) -> Result<SealedReply, Failure> {
        let by = caller.requester()?.clone();
        // Before anything is recorded and read: a key that cannot be used.
        sealed(&terms.recipient, &environment, &SecretString::default())?;
        let asked = GrantRequest { environment, by, proof: caller.proof, terms, plan };
        let granted = self.engine().grant(&asked).await;
        let GrantRequest { environment, terms, .. } = asked;
        let (text, expires_at) = match granted.doing("handing out access to", &environment)? {
            Granted::Secrets(values) => {
                let values: BTreeMap<String, &str> =
                    values.iter().map(|(name, value)| (name.to_string(), value.expose_secret())).collect();
                (json(&environment, &values)?, None)
            }
            Granted::Cluster(credentials, ends) => (json(&environment, &credentials)?, Some(ends)),
        };
        let sealed = sealed(&terms.recipient, &environment, &text)?;
        Ok(SealedReply { environment, access: terms.access, sealed, expires_at })
    }
}

fn sealed(
    recipient: &RecipientKey,
    environment: &EnvironmentName,
    text: &SecretString,
) -> Result<String, Failure> {
    seal(recipient, environment, text).map_err(|error| {
        let hint = "make a new X25519 key pair, and send its public key";
        invalid("sealing the reply for", environment, error, hint)
    })
}

fn json(environment: &EnvironmentName, value: &impl Serialize) -> Result<SecretString, Failure> {
    serde_json::to_string(value).map(SecretString::from).map_err(|error| {
        let hint = "this is a mistake in exokit; please report it";
        let on = environment.as_str();
        Failure::new(Class::Internal, "encoding", "writing the secrets of", on, &error.to_string(), hint)
    })
}
