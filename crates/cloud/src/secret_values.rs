//! The values of secret slots, from when they are read until the request is sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use exokit_model::request::ConcreteRequest;
use exokit_model::secret_slot::SecretSlot;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::request::RequestError;

/// Values by the JSON pointer of their place in the body. Their debug form does
/// not show them.
#[derive(Debug, Default)]
pub struct SecretValues(BTreeMap<String, SecretString>);

impl SecretValues {
    /// The value of each slot, by its place, as `value_of` says.
    ///
    /// # Errors
    /// The first error of `value_of`.
    pub async fn read<F, E>(
        slots: &BTreeMap<String, SecretSlot>,
        value_of: impl Fn(SecretSlot) -> F,
    ) -> Result<Self, E>
    where
        F: Future<Output = Result<SecretString, E>>,
    {
        let mut values = BTreeMap::new();
        for (pointer, slot) in slots {
            values.insert(pointer.clone(), value_of(slot.clone()).await?);
        }
        Ok(Self(values))
    }

    /// The bytes to send: the body of `request` with every secret in its place.
    pub(crate) fn fill(&self, request: &ConcreteRequest) -> Result<Bytes, RequestError> {
        if request.secrets.is_empty() {
            return Ok(Bytes::copy_from_slice(&request.body));
        }
        let missing = |pointer: &str| RequestError::Secret { pointer: pointer.to_owned() };
        let mut body: Value = serde_json::from_slice(&request.body).map_err(|_| missing(""))?;
        for pointer in request.secrets.keys() {
            match (body.pointer_mut(pointer), self.0.get(pointer)) {
                (Some(place @ Value::Null), Some(value)) => {
                    *place = Value::String(BASE64.encode(value.expose_secret().as_bytes()));
                }
                _ => return Err(missing(pointer)),
            }
        }
        Ok(Bytes::from(body.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exokit_model::request::{Api, Method};
    use exokit_model::secret_slot::SecretValue;

    #[tokio::test]
    async fn each_slot_is_filled_and_none_is_left_out() {
        let slot = SecretSlot { node: "database".parse().unwrap(), value: SecretValue::DatabasePassword };
        let request = ConcreteRequest {
            operation: "apply-secret".into(),
            api: Api::Kubernetes,
            method: Method::Patch,
            path: "/c/api/v1/namespaces/n/secrets/s".into(),
            body: br#"{"data":{"password":null}}"#.to_vec(),
            secrets: [("/data/password".to_owned(), slot.clone())].into(),
        };
        let values = SecretValues::read(&request.secrets, |asked| {
            assert_eq!(asked, slot);
            std::future::ready(Ok::<_, ()>(SecretString::from("pass")))
        });
        let values = values.await.unwrap();
        assert_eq!(values.fill(&request).unwrap(), r#"{"data":{"password":"cGFzcw=="}}"#);
        assert!(!format!("{values:?}").contains("pass\""), "{values:?}");
        let error = SecretValues::default().fill(&request).unwrap_err();
        assert_eq!(error.to_string(), "the secret of \"/data/password\" is not known");
    }
}
