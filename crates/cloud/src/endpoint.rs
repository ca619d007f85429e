//! Where the API and object storage of each zone are.

use std::net::IpAddr;

use exokit_model::ids::Zone;
use exokit_model::text::excerpt;
use http::Uri;
use url::Url;

use crate::config::ConfigError;

/// Finds the API and the object storage of a zone.
///
/// The rules are those of the exo CLI: `https://api-<zone>.exoscale.com/v2`
/// with another prefix for another environment, `https://sos-<zone>.exo.io`,
/// and an override for each. An override may contain `{zone}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Host prefix of the API; that of the public one when absent.
    environment: Option<String>,
    /// Scheme, authority and any path before `/v2`.
    api: Option<String>,
    sos: Option<String>,
}

impl Endpoints {
    /// The public endpoints, altered by what is given.
    ///
    /// # Errors
    /// When an override is not an `http` or `https` URL without user, query and
    /// fragment, when that of the API does not end in `/v2`, or when the
    /// environment could not be part of a host name.
    pub fn new(environment: Option<&str>, api: Option<&str>, sos: Option<&str>) -> Result<Self, ConfigError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if let Some(value) = environment.filter(|name| name.is_empty() || !name.bytes().all(fits)) {
            let value = excerpt(&value);
            let why = format!("the API environment \"{value}\" cannot be part of a host name");
            return Err(ConfigError::unusable(why, "unset EXOSCALE_API_ENVIRONMENT for the public cloud"));
        }
        let without_version = |base: String| match base.strip_suffix("/v2") {
            Some(base) => Ok(base.to_owned()),
            None => Err("it must end in /v2"),
        };
        let api = api.map(|url| checked(url).and_then(without_version).map_err(unusable("API", url)));
        let sos = sos.map(|url| checked(url).map_err(unusable("object storage", url)));
        let (api, sos) = (api.transpose()?, sos.transpose()?);
        Ok(Self { environment: environment.map(str::to_owned), api, sos })
    }

    /// URL of the API in `zone` up to but without `/v2`, which is part of the
    /// path of every request.
    #[must_use]
    pub fn api(&self, zone: &Zone) -> String {
        match &self.api {
            Some(url) => url.replace("{zone}", zone.as_str()),
            None => {
                format!("https://{}-{zone}.exoscale.com", self.environment.as_deref().unwrap_or("api"))
            }
        }
    }

    /// URL of the object storage in `zone`, without a trailing slash.
    #[must_use]
    pub fn sos(&self, zone: &Zone) -> String {
        match &self.sos {
            Some(url) => url.replace("{zone}", zone.as_str()),
            None => format!("https://sos-{zone}.exo.io"),
        }
    }

    /// Whether API and object storage are both on this host and without TLS,
    /// which only a simulated cloud is.
    #[must_use]
    pub fn is_local(&self) -> bool {
        [&self.api, &self.sos].into_iter().all(|url| url.as_deref().is_some_and(on_this_host))
    }
}

fn unusable(what: &str, url: &str) -> impl Fn(&'static str) -> ConfigError {
    let endpoint = format!("the {what} endpoint \"{}\"", excerpt(&shown(url)));
    move |rule| {
        let hint =
            "an endpoint looks like https://api-ch-dk-2.exoscale.com/v2; leave it unset for the public cloud";
        ConfigError::unusable(format!("{endpoint} cannot be used: {rule}"), hint)
    }
}

/// Whether an endpoint is a plain address of the loopback interface. A name,
/// even `localhost`, says nothing: names can lead anywhere.
fn on_this_host(url: &str) -> bool {
    let Ok(uri) = url.replace("{zone}", "zone").parse::<Uri>() else { return false };
    let host = uri.host().map(|host| host.trim_start_matches('[').trim_end_matches(']'));
    let address = host.and_then(|host| host.parse::<IpAddr>().ok());
    uri.scheme_str() == Some("http") && address.is_some_and(|address| address.is_loopback())
}

/// An endpoint for a message, without a user and password in it.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("//").unwrap_or(("", url));
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}//") };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}"),
        None => url.to_owned(),
    }
}

/// Checks an endpoint and takes trailing slashes off it.
fn checked(url: &str) -> Result<String, &'static str> {
    let trimmed = url.trim_end_matches('/');
    let sample = trimmed.replace("{zone}", "ch-dk-2");
    let uri: Uri = sample.parse().map_err(|_| "it is not a URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it must begin with https:// (or http:// for a local simulator)");
    }
    // Anywhere: a password with a slash in it makes the rest look like a path.
    if uri.host().unwrap_or_default().is_empty() || sample.contains('@') {
        return Err("it must name a host, without user and password");
    }
    if Url::parse(&sample).is_err() {
        return Err("it is not a URL");
    }
    if uri.query().is_some() || sample.contains('#') {
        return Err("it must have no query and no fragment");
    }
    // What the library of URLs would write in another way could not be sent as
    // it is signed, and would be refused at the first call only.
    match Url::parse(&format!("{sample}/x")) {
        Ok(url) if url.as_str() == format!("{sample}/x") => Ok(trimmed.to_owned()),
        _ => {
            Err("it must stand as it is sent: host in lower case, no default port, no . or .. and no blanks")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        "at-vie-1".parse().unwrap()
    }

    #[test]
    fn the_public_endpoints_follow_the_zone() {
        let endpoints = Endpoints::default();
        assert_eq!(endpoints.api(&zone()), "https://api-at-vie-1.exoscale.com");
        assert_eq!(endpoints.sos(&zone()), "https://sos-at-vie-1.exo.io");
        let other = Endpoints::new(Some("ppapi"), None, None).unwrap();
        assert_eq!(other.api(&zone()), "https://ppapi-at-vie-1.exoscale.com");
    }

    #[test]
    fn overrides_replace_them() {
        let given = Some("http://127.0.0.1:8080/v2/");
        let endpoints = Endpoints::new(None, given, Some("https://sos-{zone}.test/")).unwrap();
        assert_eq!(endpoints.api(&zone()), "http://127.0.0.1:8080");
        assert_eq!(endpoints.sos(&zone()), "https://sos-at-vie-1.test");
    }

    #[test]
    fn only_two_plain_loopback_addresses_are_local() {
        let local = "http://127.0.0.1:8081";
        for (api, sos, expected) in [
            (Some("http://127.0.0.1:8080/zone/{zone}/v2"), Some(local), true),
            (Some("http://[::1]:8080/v2"), Some(local), true),
            (Some("https://127.0.0.1:8080/v2"), Some(local), false),
            (Some("http://localhost:8080/v2"), Some(local), false),
            (Some("http://10.0.0.1/v2"), Some(local), false),
            (Some("http://127.0.0.1.example/v2"), Some(local), false),
            (Some("http://127.0.0.1/v2"), None, false),
            (None, Some(local), false),
            (None, None, false),
        ] {
            assert_eq!(Endpoints::new(None, api, sos).unwrap().is_local(), expected, "{api:?} {sos:?}");
        }
    }

    #[test]
    fn bad_endpoints_are_refused() {
        for url in [
            "",
            "api.exoscale.com/v2",
            "ftp://a/v2",
            "https://u:p@a/v2",
            "https://a/v2?x=1",
            "https://a/v2#x",
            "https://a/v1",
            "https://a:b/v2",
            "https:///v2",
            "https://Api.exoscale.com/v2",
            "https://api.exoscale.com:443/v2",
            "https://api.exoscale.com/a/../v2",
        ] {
            assert!(Endpoints::new(None, Some(url), None).is_err(), "{url}");
        }
        for (url, expected) in [
            ("https://u:p@ss@a/v2", "https://…@a/v2"),
            ("http://u:p/ass@a/v2", "http://…@a/v2"),
            ("u:pass@a/v2", "…@a/v2"),
            ("//u:pass@a", "…@a"),
            ("https://a/v1", "https://a/v1"),
        ] {
            let error = Endpoints::new(None, Some(url), None).unwrap_err().to_string();
            assert!(error.contains(&format!("{expected:?}")) && !error.contains(":p"), "{error}");
        }
        for environment in ["", "a.b", "evil.com/", "x@y", "ppApi"] {
            assert!(Endpoints::new(Some(environment), None, None).is_err(), "{environment}");
        }
    }
}
