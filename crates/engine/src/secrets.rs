//! Secrets of an environment's resources, read from the cloud or unsealed when
//! they are needed, and kept nowhere.

use exokit_cloud::reply::Reply;
use exokit_cloud::secret_values::SecretValues;
use exokit_kinds::DecodeError;
use exokit_kinds::dbaas::Connection;
use exokit_ledger::OperationState;
use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use exokit_model::needs_human::NeedsHuman;
use exokit_model::secret_slot::{SecretSlot, SecretValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::engine::Engine;
use crate::observe::{self, ObserveError};
use crate::run::{Run, StepEnd};
use crate::steps::Patience;

/// The reply to a request that reveals a password.
#[derive(Deserialize)]
struct Revealed {
    password: SecretString,
}

impl Run<'_> {
    /// The values of the secret slots of the request that makes a node.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) async fn secret_values(&self, node: &Node) -> Result<SecretValues, StepEnd> {
        let Some(create) = node.create.as_ref().filter(|create| !create.secrets.is_empty()) else {
            return Ok(SecretValues::default());
        };
        let state = self.state().clone();
        SecretValues::read(&create.secrets, |slot| {
            let (engine, state) = (self.engine, &state);
            async move {
                let value = Patience::insist(|| engine.secret(state, &slot)).await?;
                value.ok_or_else(|| {
                    let what = format!("the {} of {} is not there", slot.value, slot.node).into();
                    StepEnd::Park(NeedsHuman::Unobservable { what })
                })
            }
        })
        .await
    }
}

impl Engine {
    /// The value of a secret of one of an operation's resources; none when the
    /// resource or its secret is not there.
    ///
    /// # Errors
    /// When the cloud does not reveal it.
    pub(crate) async fn secret(
        &self,
        state: &OperationState,
        slot: &SecretSlot,
    ) -> Result<Option<SecretString>, ObserveError> {
        if slot.value == SecretValue::RegistryLogin {
            let name = state.plan.spec.as_ref().and_then(|spec| spec.workload.registry_login.as_deref());
            return Ok(name.and_then(|name| self.parts().registry_logins.read(name).ok()));
        }
        let (Some(node), Some(facts)) = (state.plan.graph.node(&slot.node), state.facts.get(&slot.node))
        else {
            return Ok(None);
        };
        let Some(id) = facts.id() else { return Ok(None) };
        match slot.value {
            SecretValue::BucketName | SecretValue::AccessKey => {
                return Ok(Some(SecretString::from(id.to_string())));
            }
            SecretValue::SecretKey => {
                let open = |sealed| self.parts().keyring.open(&state.operation, &slot.node, sealed).ok();
                let secret = facts.sealed.as_ref().and_then(open);
                return Ok(secret.map(|secret| SecretString::from(secret.as_str())));
            }
            SecretValue::DatabaseUser
            | SecretValue::DatabasePassword
            | SecretValue::DatabaseUri
            | SecretValue::RegistryLogin => {}
        }
        let Some(connection) = self.connection(node, id).await? else { return Ok(None) };
        if slot.value == SecretValue::DatabaseUser {
            return Ok(Some(SecretString::from(connection.user)));
        }
        let password = self.reveal(node, id, &connection).await?;
        Ok(Some(match slot.value {
            SecretValue::DatabaseUri => SecretString::from(connection.uri(Some(password.expose_secret()))),
            _ => password,
        }))
    }

    /// How to connect to the database of a node; none when it is not there.
    pub(crate) async fn connection(
        &self,
        node: &Node,
        id: &ResourceId,
    ) -> Result<Option<Connection>, ObserveError> {
        let Some(service) = observe::get(&self.parts().client, node.kind, id, None, &node.zone).await? else {
            return Ok(None);
        };
        let connection = Connection::of(&service);
        connection.map(Some).map_err(|source| ObserveError::decode(&node.key.to_string(), &node.zone, source))
    }

    async fn reveal(
        &self,
        node: &Node,
        id: &ResourceId,
        connection: &Connection,
    ) -> Result<SecretString, ObserveError> {
        let read = connection.reveal(id);
        let reply = self.parts().client.read(&node.zone, read.operation, &read.path).await;
        let reply: Reply = reply.map_err(|source| ObserveError::call(read.operation, &node.zone, source))?;
        let revealed: Result<Revealed, _> = reply.decode();
        let unusable = |_| {
            let source = DecodeError { field: "password".to_owned() };
            ObserveError::decode(read.operation, &node.zone, source)
        };
        Ok(revealed.map_err(unusable)?.password)
    }
}
