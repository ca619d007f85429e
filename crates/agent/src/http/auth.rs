//! Bearer tokens of requests: who they speak for, their scopes and their rate.

use std::sync::PoisonError;

use axum::http::{HeaderMap, header};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::Scope;
use secrecy::SecretString;

use super::state::App;
use crate::tokens::Token;

/// The bearer of a request whose token has the scope.
pub(super) fn bearer(app: &App, headers: &HeaderMap, scope: Scope) -> Result<Token, Failure> {
    let bearer = counted(app, headers)?.ok_or_else(unknown)?;
    match bearer.scopes.contains(scope.as_str()) {
        true => Ok(bearer),
        false => {
            let why = format!("token {} does not allow {}", bearer.id, scope.as_str());
            let hint = "use a token with this scope; `exokit token create` makes one";
            Err(Failure::new(Class::Forbidden, "scope", "checking", "the token", &why, hint))
        }
    }
}

/// The bearer of a request with a valid token, within the rate limit.
pub(super) fn counted(app: &App, headers: &HeaderMap) -> Result<Option<Token>, Failure> {
    let bearer = found(app, headers);
    match &bearer {
        Some(bearer) => app.limits.bearer(&bearer.id)?,
        None => app.limits.stranger()?,
    }
    Ok(bearer)
}

/// Whether the token is still valid: it has neither expired nor been removed.
pub(super) fn still(app: &App, headers: &HeaderMap, scope: Scope) -> bool {
    found(app, headers).is_some_and(|bearer| bearer.scopes.contains(scope.as_str()))
}

fn found(app: &App, headers: &HeaderMap) -> Option<Token> {
    let now = app.config.service.engine().parts().clock.now();
    let tokens = app.config.tokens.read().unwrap_or_else(PoisonError::into_inner);
    tokens.find(&secret(headers)?, now)
}

fn secret(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| SecretString::from(secret.trim().to_owned()))
}

fn unknown() -> Failure {
    let why = "there is no token, or it is unknown or has ended";
    let hint = "send the header `Authorization: Bearer TOKEN`; `exokit token create` makes one";
    Failure::new(Class::Unauthenticated, "token", "checking", "the token", why, hint)
}
