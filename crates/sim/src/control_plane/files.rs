//! The files of one control plane: certificates, keys and kubeconfigs.

use crate::world::{ControlPlaneIdentities, Issued};
use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A folder with everything that the programs read.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) const AUTHORITY: &str = "ca.crt";
    pub(super) const CERTIFICATE: &str = "server.crt";
    pub(super) const KEY: &str = "server.key";
    pub(super) const ACCOUNTS: &str = "service-accounts.key";
    pub(super) const ACCOUNTS_PUBLIC: &str = "service-accounts.pub";
    pub(super) const CONTROLLER_MANAGER: &str = "controller-manager.kubeconfig";
    pub(super) const SCHEDULER: &str = "scheduler.kubeconfig";

    /// Writes all files into a new folder.
    pub(super) fn write(
        folder: PathBuf,
        identities: &ControlPlaneIdentities,
        server: SocketAddr,
    ) -> io::Result<Self> {
        match fs::remove_dir_all(&folder) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => fs::create_dir(&folder)?,
        }
        let files = Self { folder };
        let controller_manager = kubeconfig(identities, server, &identities.controller_manager);
        let scheduler = kubeconfig(identities, server, &identities.scheduler);
        let [accounts, accounts_public] = account_keys()?;
        for (name, text) in [
            (Self::AUTHORITY, &identities.authority),
            (Self::CERTIFICATE, &identities.server.certificate),
            (Self::KEY, &identities.server.key),
            (Self::ACCOUNTS, &accounts),
            (Self::ACCOUNTS_PUBLIC, &accounts_public),
            (Self::CONTROLLER_MANAGER, &controller_manager),
            (Self::SCHEDULER, &scheduler),
        ] {
            fs::write(files.folder.join(name), text)?;
        }
        Ok(files)
    }

    /// The path of a file or folder in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// An argument of a program that names a file.
    pub(super) fn argument(&self, flag: &str, name: &str) -> String {
        format!("--{flag}={}", Path::new(&self.folder).join(name).display())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(why) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%why, folder = %self.folder.display(), "could not remove a folder");
        }
    }
}

/// The bytes before the point in a public key of P-256 (RFC 5480).
const PUBLIC_KEY_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key that signs the tokens of service accounts, and its public key, in PEM.
/// Kubernetes takes no Ed25519 key for these.
fn account_keys() -> io::Result<[String; 2]> {
    let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
    let fail = |_| io::Error::other("no randomness for a key");
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(fail)?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random)
        .map_err(|why| io::Error::other(why.to_string()))?;
    let public = [&PUBLIC_KEY_P256, pair.public_key().as_ref()].concat();
    Ok([pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", &public)])
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

fn kubeconfig(identities: &ControlPlaneIdentities, server: SocketAddr, client: &Issued) -> String {
    let encoded = |text: &str| BASE64.encode(text.as_bytes());
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "own",
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
        "clusters": [{"name": "own", "cluster": {
            "server": format!("https://{server}"),
            "tls-server-name": identities.host,
            "certificate-authority-data": encoded(&identities.authority),
        }}],
        "users": [{"name": "own", "user": {
            "client-certificate-data": encoded(&client.certificate),
            "client-key-data": encoded(&client.key),
        }}],
    })
    .to_string()
}
