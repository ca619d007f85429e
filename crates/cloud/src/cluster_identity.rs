//! By what a client and the API server of a cluster know each other.

use std::fmt;
use std::net::SocketAddr;

use secrecy::SecretString;

/// The authority of the server and the certificate of the client. Requests carry
/// it in their extensions, and the transport connects by it.
pub struct ClusterIdentity {
    /// Certificate authorities of the API server, in PEM.
    pub authority_pem: String,
    /// Certificate of the client, in PEM.
    pub certificate_pem: String,
    /// Its key, in PEM.
    pub key_pem: SecretString,
    /// Where to connect instead of to the host of the URL, which then is only
    /// the name in the server's certificate.
    pub address: Option<SocketAddr>,
}

impl fmt::Debug for ClusterIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterIdentity").field("address", &self.address).finish_non_exhaustive()
    }
}
