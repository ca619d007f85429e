//! Bearer tokens: random, shown once, kept as digests. Each belongs to one
//! person or agent and allows a set of scopes.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use exokit_model::ids::PersonId;
use exokit_wire::verb::Scope;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What every token begins with, so that a scanner for leaked secrets can
/// find it.
const PREFIX: &str = "exokit_";

/// Bytes of randomness in a token.
pub const TOKEN_BYTES: usize = 32;

/// One token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its name, for people: the first 12 digits of its digest.
    pub id: String,
    /// SHA-256 of the secret. It has 256 bits of randomness, so a slow hash
    /// would add nothing.
    pub sha256: String,
    /// Who it speaks for.
    pub person: PersonId,
    /// What it allows.
    pub scopes: BTreeSet<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// All tokens, as they stand in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFile {
    /// The tokens.
    pub tokens: Vec<Token>,
}

/// Tokens that can be looked up.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    by_digest: BTreeMap<String, Token>,
}

impl TokenFile {
    /// Adds a token made of fresh random bytes, and gives its secret, which is
    /// kept nowhere.
    pub fn add(
        &mut self,
        person: PersonId,
        scopes: &BTreeSet<Scope>,
        (now, expires_at): (Timestamp, Timestamp),
        random: [u8; TOKEN_BYTES],
    ) -> (Token, SecretString) {
        let secret = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&random));
        let sha256 = digest(&secret);
        let token = Token {
            id: sha256[..12].to_owned(),
            sha256,
            person,
            scopes: scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            created_at: now,
            expires_at,
        };
        self.tokens.push(token.clone());
        (token, SecretString::from(secret))
    }

    /// Removes a token. Says whether there was one.
    pub fn remove(&mut self, id: &str) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.id != id);
        self.tokens.len() < before
    }
}

impl Tokens {
    pub(crate) fn new(file: TokenFile) -> Self {
        Self { by_digest: file.tokens.into_iter().map(|token| (token.sha256.clone(), token)).collect() }
    }

    /// The token with this secret, while it is valid. It is found by its digest,
    /// so how long that takes tells nothing about the secret.
    pub(crate) fn find(&self, secret: &SecretString, now: Timestamp) -> Option<Token> {
        let token = self.by_digest.get(&digest(secret.expose_secret()))?;
        (now < token.expires_at).then(|| token.clone())
    }
}

fn digest(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_secret_until_it_ends_or_is_removed() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut file = TokenFile::default();
        let scopes = BTreeSet::from([Scope::Read]);
        let (token, secret) = file.add("kim".parse().unwrap(), &scopes, (at(0), at(100)), [7; 32]);
        assert!(!serde_json::to_string(&file).unwrap().contains(secret.expose_secret()));
        assert!(!format!("{secret:?}").contains(secret.expose_secret()));
        let tokens = Tokens::new(file.clone());
        let bearer = tokens.find(&secret, at(99)).unwrap();
        let scopes = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        assert_eq!((bearer.person.as_str(), bearer.scopes), ("kim", scopes));
        assert_eq!(tokens.find(&secret, at(100)), None);
        assert_eq!(tokens.find(&SecretString::from("exokit_x"), at(1)), None);
        assert!(file.remove(&token.id) && !file.remove(&token.id));
        assert_eq!(Tokens::new(file).find(&secret, at(1)), None);
    }
}
