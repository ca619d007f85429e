//! The API server of a cluster: how to reach it, with a client certificate that
//! the cloud issues for a short time.
//!
//! The certificate takes the place of the signature: the API server checks its
//! end on every request. So a request that arrives late is refused as one with
//! an expired signature is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use exokit_model::ids::{ResourceId, Zone};
use exokit_model::request::ConcreteRequest;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Host, Url};
use x509_cert::certificate::Certificate;
use x509_cert::der::DecodePem as _;

use crate::client::{Client, READ_SIGNATURE, Server};
use crate::cluster_identity::ClusterIdentity;
use crate::outcome::CallError;
use crate::reply::{DecodeError, Reply};
use crate::request::{RequestError, address, api_request};
use crate::transport::HttpRequest;

/// The subject of a client certificate, as the API server sees it.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// User name.
    pub user: &'a str,
    /// The group that its rights are bound to.
    pub group: &'a str,
}

impl Holder<'static> {
    /// exokit itself, in the group of cluster administrators. A new cluster has no
    /// other group with any right.
    pub const EXOKIT: Self = Self { user: "exokit", group: "system:masters" };
}

/// Largest kubeconfig that is read, in bytes.
const KUBECONFIG_BYTES_MAX: usize = 64 * 1024;

/// Access to one cluster until its certificate expires.
#[derive(Debug, Clone)]
pub struct ClusterAccess {
    cluster: ResourceId,
    server: String,
    identity: Arc<ClusterIdentity>,
    expires: Timestamp,
}

impl ClusterAccess {
    /// When nothing that is sent with it can take effect any more, by the clock of
    /// this host and by that of the API server.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// What another client needs to connect: URL of the API server, the name in
    /// its certificate where that is not the host of the URL, and the identity.
    #[must_use]
    pub fn connection(&self) -> (String, Option<String>, &ClusterIdentity) {
        let host = Url::parse(&self.server).ok().and_then(|url| url.host_str().map(str::to_owned));
        match (self.identity.address, host) {
            (Some(address), Some(host)) => (format!("https://{address}"), Some(host), &self.identity),
            _ => (self.server.clone(), None, &self.identity),
        }
    }

    /// A request to the API server. The first segment of `path` is the id of
    /// the cluster.
    pub(crate) fn request(
        &self,
        method: http::Method,
        path: &str,
        body: Bytes,
    ) -> Result<HttpRequest, RequestError> {
        let of_another =
            || RequestError::Address { base: format!("cluster {}", self.cluster), path: path.to_owned() };
        let inside = path.strip_prefix('/').and_then(|path| path.strip_prefix(self.cluster.as_str()));
        let url = address(&self.server, inside.ok_or_else(of_another)?)?;
        let content =
            if method == http::Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let mut request =
            http::Request::builder().method(method).uri(url.as_str()).header("accept", "application/json");
        if !body.is_empty() {
            request = request.header("content-type", content);
        }
        Ok(request.extension(Arc::clone(&self.identity)).body(body)?)
    }

    /// The request of a plan.
    pub(crate) fn change(&self, request: &ConcreteRequest, body: Bytes) -> Result<HttpRequest, RequestError> {
        let method =
            http::Method::from_bytes(request.method.as_str().as_bytes()).map_err(http::Error::from)?;
        self.request(method, &request.path, body)
    }
}

impl Client {
    /// Asks the cloud for access to a cluster as `holder`, for `ttl`, whole
    /// seconds. It can be asked for again at any time: it changes nothing,
    /// and what is issued ends by itself.
    ///
    /// # Errors
    /// See [`CallError`]. A cluster that is not running yet is refused.
    pub async fn cluster_access(
        &self,
        zone: &Zone,
        cluster: &ResourceId,
        holder: Holder<'_>,
        ttl: SignedDuration,
    ) -> Result<ClusterAccess, CallError> {
        const OPERATION: &str = "generate-sks-cluster-kubeconfig";
        let body = serde_json::json!({"user": holder.user, "groups": [holder.group], "ttl": ttl.as_secs()});
        let body = Bytes::from(body.to_string());
        let path = format!("/v2/sks-cluster-kubeconfig/{cluster}");
        let base = self.inner.endpoints.api(zone);
        let reply = self
            .attempt(Server::Account, OPERATION, &|now| {
                let signer = Some((&self.inner.credentials, now + READ_SIGNATURE));
                api_request(&base, signer, http::Method::POST, &path, body.clone())
            })
            .await?;
        // It was issued before the reply came, so it ends no later than this.
        let by_our_clock = self.inner.clock.now() + ttl;
        let reply = Reply::parse(OPERATION, reply.body())?;
        let decoded = decode(&reply).map_err(|why| DecodeError { operation: OPERATION.to_owned(), why })?;
        let (server, identity) = decoded;
        let unreadable = || DecodeError {
            operation: OPERATION.to_owned(),
            why: "the client certificate in the kubeconfig cannot be read".to_owned(),
        };
        // What the API server goes by is its own clock, which may differ.
        let expires = by_our_clock.max(not_after(&identity.certificate_pem).ok_or_else(unreadable)?);
        Ok(ClusterAccess { cluster: cluster.clone(), server, identity: Arc::new(identity), expires })
    }

    /// Reads from the API server of a cluster with GET. The first segment of
    /// `path` is the id of the cluster.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn read_cluster(
        &self,
        access: &ClusterAccess,
        operation: &str,
        path: &str,
    ) -> Result<Reply, CallError> {
        let build = |_| access.request(http::Method::GET, path, Bytes::new());
        let reply = self.attempt(Server::Cluster, operation, &build).await?;
        Ok(Reply::parse(operation, reply.body())?)
    }
}

/// The reply to a request for a kubeconfig.
#[derive(Deserialize)]
struct Issued {
    kubeconfig: SecretString,
}

/// The fields of a kubeconfig that are used.
#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: ApiServer,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ApiServer {
    server: String,
    certificate_authority_data: String,
    tls_server_name: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    user: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    client_certificate_data: String,
    client_key_data: SecretString,
}

/// Server and identity from a reply. Errors quote nothing of it.
fn decode(reply: &Reply) -> Result<(String, ClusterIdentity), String> {
    let issued: Issued = reply.decode().map_err(|error| error.why)?;
    let text = pem(issued.kubeconfig.expose_secret()).ok_or("the kubeconfig is not base64 of a text")?;
    if text.len() > KUBECONFIG_BYTES_MAX {
        return Err("the kubeconfig is too long".to_owned());
    }
    let config: Kubeconfig =
        serde_saphyr::from_str(&text).map_err(|_| "the kubeconfig is not the YAML of one".to_owned())?;
    let (Ok([NamedCluster { cluster }]), Ok([NamedUser { user }])) =
        (<[NamedCluster; 1]>::try_from(config.clusters), <[NamedUser; 1]>::try_from(config.users))
    else {
        return Err("the kubeconfig has not exactly one cluster and one user".to_owned());
    };
    let no_pem = |what: &str| format!("the {what} in the kubeconfig is not base64 of a text");
    let certificate_pem = pem(&user.client_certificate_data).ok_or_else(|| no_pem("client certificate"))?;
    let key_pem = pem(user.client_key_data.expose_secret()).ok_or_else(|| no_pem("client key"))?;
    let authority_pem = pem(&cluster.certificate_authority_data).ok_or_else(|| no_pem("authority"))?;
    let (server, address) = server(&cluster)?;
    let key_pem = SecretString::from(key_pem);
    Ok((server, ClusterIdentity { authority_pem, certificate_pem, key_pem, address }))
}

/// When a certificate ends.
fn not_after(certificate_pem: &str) -> Option<Timestamp> {
    let certificate = Certificate::from_pem(certificate_pem).ok()?;
    let ends = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Timestamp::from_second(i64::try_from(ends.as_secs()).ok()?).ok()
}

fn pem(encoded: &str) -> Option<String> {
    String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()
}

/// The URL of the API server without a trailing slash, and where to connect
/// when its certificate is for another name than its address.
fn server(cluster: &ApiServer) -> Result<(String, Option<SocketAddr>), String> {
    let unusable = || "the kubeconfig names no usable server".to_owned();
    let mut url = Url::parse(&cluster.server).map_err(|_| unusable())?;
    if url.scheme() != "https"
        || url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
    {
        return Err(unusable());
    }
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
        Some(Host::Domain(_)) | None => None,
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let address = match (ip, &cluster.tls_server_name) {
        (Some(ip), Some(name)) => {
            url.set_host(Some(name)).map_err(|_| unusable())?;
            Some(SocketAddr::new(ip, port))
        }
        _ => None,
    };
    Ok((url.as_str().trim_end_matches('/').to_owned(), address))
}
