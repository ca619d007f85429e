//! Where an agent is: what may stand in `--agent`.

use url::{Host, Url};

/// The address of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Its HTTP, with the path of a proxy in front of it, without a slash at
    /// the end.
    Http(String),
    /// The NATS server that it listens on.
    Nats {
        /// The server.
        url: String,
        /// The user, when the address names one.
        user: Option<String>,
    },
}

/// Why a text is no address of an agent. The text itself is not shown: it may
/// hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL.
    #[error("it is no URL")]
    NoUrl,
    /// Of a kind that no agent has.
    #[error("{0}:// leads to no agent")]
    Scheme(String),
    /// A password in it would be in the list of processes.
    #[error("there is a password in it")]
    Password,
    /// The bearer token would go over the network in clear.
    #[error("over http:// the token would be readable on the way to {0}")]
    Clear(String),
    /// More than where the agent is.
    #[error("there is more in it than where the agent is")]
    More,
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|_| AddressError::NoUrl)?;
        let host = url.host().ok_or(AddressError::NoUrl)?;
        if url.password().is_some() {
            return Err(AddressError::Password);
        }
        let path = url.path().trim_end_matches('/');
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::More);
        }
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(str::to_owned);
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let plain = format!("{}://{host}{port}", url.scheme());
        match (url.scheme(), user) {
            ("http" | "https", Some(_)) => Err(AddressError::More),
            ("http", None) if !is_here(&host) => Err(AddressError::Clear(host.to_string())),
            // Behind a proxy it may have a path of its own.
            ("http" | "https", None) => Ok(Address::Http(format!("{plain}{path}"))),
            ("nats" | "tls", _) if !path.is_empty() => Err(AddressError::More),
            ("nats" | "tls", user) => Ok(Address::Nats { url: plain, user }),
            (other, _) => Err(AddressError::Scheme(other.to_owned())),
        }
    }
}

/// Whether nothing leaves this host.
fn is_here(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_an_agent_is_taken() {
        for (text, expected) in [
            ("http://127.0.0.1:8118/", Address::Http("http://127.0.0.1:8118".into())),
            ("http://[::1]:8118", Address::Http("http://[::1]:8118".into())),
            ("https://agent.example", Address::Http("https://agent.example".into())),
            ("https://a.example/exokit/", Address::Http("https://a.example/exokit".into())),
            (
                "tls://kim@nats:4222",
                Address::Nats { url: "tls://nats:4222".into(), user: Some("kim".into()) },
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_would_show_a_secret_or_leads_elsewhere_is_not() {
        for (text, expected) in [
            ("8118", AddressError::NoUrl),
            ("ftp://agent", AddressError::Scheme("ftp".into())),
            ("nats://kim:hunter2@nats", AddressError::Password),
            ("http://agent.example:8118", AddressError::Clear("agent.example".into())),
            ("http://127.0.0.1.example", AddressError::Clear("127.0.0.1.example".into())),
            ("https://agent.example/?a", AddressError::More),
            ("nats://nats/a", AddressError::More),
            ("https://kim@agent.example", AddressError::More),
        ] {
            assert_eq!(text.parse::<Address>(), Err(expected), "{text}");
        }
    }
}
