//! How to connect to a managed database: address, user, and the request that
//! reveals the password.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::Api;
use serde_json::Value;

use crate::{DecodeError, Observed, Read, decode};

/// The address of a database and its first user, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    kind: Kind,
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name of the first user.
    pub user: String,
    /// The first database; none where the engine numbers them.
    pub database: Option<String>,
}

impl Connection {
    /// Reads it from a service as the cloud shows it.
    ///
    /// # Errors
    /// When the service shows no address yet.
    pub fn of(service: &Observed) -> Result<Self, DecodeError> {
        let params = service.raw.get("uri-params").unwrap_or(&Value::Null);
        let port = match params.get("port") {
            Some(Value::Number(port)) => port.as_u64().and_then(|port| u16::try_from(port).ok()),
            port => port.and_then(Value::as_str).and_then(|port| port.parse().ok()),
        };
        Ok(Self {
            kind: service.kind,
            host: word(params, "host")?,
            port: port.ok_or_else(|| DecodeError { field: "uri-params.port".to_owned() })?,
            user: word(params, "user")?,
            database: params.get("dbname").map(|_| word(params, "dbname")).transpose()?,
        })
    }

    /// The address as a URI. Both engines take connections over TLS only.
    #[must_use]
    pub fn uri(&self, password: Option<&str>) -> String {
        let user = match password {
            Some(password) => format!("{}:{}", self.user, escaped(password)),
            None => self.user.clone(),
        };
        let (host, port) = (&self.host, self.port);
        let database = self.database.as_deref().unwrap_or_default();
        match self.kind {
            Kind::DbaasPg => format!("postgres://{user}@{host}:{port}/{database}?sslmode=require"),
            _ => format!("valkeys://{user}@{host}:{port}/{database}"),
        }
    }

    /// The request that reveals the password of the first user.
    #[must_use]
    pub fn reveal(&self, service: &ResourceId) -> Read {
        let (operation, engine) = match self.kind {
            Kind::DbaasPg => ("reveal-dbaas-postgres-user-password", "postgres"),
            _ => ("reveal-dbaas-valkey-user-password", "valkey"),
        };
        let path = format!("/v2/dbaas-{engine}/{service}/user/{}/password/reveal", self.user);
        Read { operation, api: Api::Exoscale, path }
    }
}

/// A text of letters, digits, dots, hyphens and underscores: it becomes part of
/// a path and of a URI.
fn word(params: &Value, field: &str) -> Result<String, DecodeError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let text = decode::text(params, field)?;
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(DecodeError { field: format!("uri-params.{field}") }),
    }
}

fn escaped(password: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    password.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lifecycle;
    use serde_json::json;

    fn service(kind: Kind, params: Value) -> Observed {
        Observed {
            kind,
            id: "db".parse().unwrap(),
            name: "db".into(),
            marks: Vec::new(),
            lifecycle: Lifecycle::Ready,
            created_at: None,
            parent: None,
            raw: json!({"uri-params": params}),
        }
    }

    #[test]
    fn an_address_becomes_a_uri_with_or_without_its_password() {
        let params =
            json!({"host": "h.aivencloud.com", "port": "21699", "user": "avnadmin", "dbname": "defaultdb"});
        let pg = Connection::of(&service(Kind::DbaasPg, params)).unwrap();
        assert_eq!(pg.uri(None), "postgres://avnadmin@h.aivencloud.com:21699/defaultdb?sslmode=require");
        assert_eq!(
            pg.uri(Some("a/b@c")),
            "postgres://avnadmin:a%2Fb%40c@h.aivencloud.com:21699/defaultdb?sslmode=require"
        );
        let reveal = pg.reveal(&"db".parse().unwrap());
        assert_eq!(reveal.path, "/v2/dbaas-postgres/db/user/avnadmin/password/reveal");
        let valkey = json!({"host": "h", "port": 21700, "user": "default"});
        let valkey = Connection::of(&service(Kind::DbaasValkey, valkey)).unwrap();
        assert_eq!(valkey.uri(Some("x")), "valkeys://default:x@h:21700/");
    }

    #[test]
    fn an_address_that_could_break_out_is_refused() {
        for params in [
            json!(null),
            json!({"host": "h", "port": 70000, "user": "u"}),
            json!({"host": "h/../x", "port": 1, "user": "u"}),
            json!({"host": "h", "port": 1, "user": "../u"}),
            json!({"host": "h", "port": 1, "user": "u", "dbname": "a?b"}),
        ] {
            assert!(Connection::of(&service(Kind::DbaasPg, params.clone())).is_err(), "{params}");
        }
    }
}
