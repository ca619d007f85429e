//! Approval tokens: one vote of one person on one plan.

use exokit_model::approval::ApprovalClaims;
use exokit_model::ids::KeyId;

use crate::jws::{APPROVAL, JwsError, Unverified, sign};
use crate::keys::SecretKey;
use crate::refusal::Refusal;

/// Signs a vote.
///
/// # Errors
/// When the claims name another key, or have no canonical form.
pub fn sign_vote(key: &SecretKey, claims: &ApprovalClaims) -> Result<String, JwsError> {
    match key.public().id() == claims.key_id {
        true => sign(APPROVAL, key, claims),
        false => Err(JwsError::BadSignature),
    }
}

/// What a token says about itself, unproved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The key in its header.
    pub key: KeyId,
    /// Its claims.
    pub claims: ApprovalClaims,
}

/// Reads a token to show it to a person. The signature is not looked at, so
/// nothing may be decided by what this returns.
///
/// # Errors
/// When the text is not an approval token.
pub fn inspect(token: &str) -> Result<Inspected, Refusal> {
    let unverified = Unverified::parse(APPROVAL, token)?;
    let key = unverified.kid().clone();
    let claims = unverified.read()?;
    Ok(Inspected { key, claims })
}
