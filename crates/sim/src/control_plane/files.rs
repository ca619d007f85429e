//! The files of one control plane: certificates, keys and kubeconfigs.

use crate::world::{ControlPlaneIdentities, Issued};
use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
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
        let accounts = account_key()?;
        for (name, text) in [
            (Self::AUTHORITY, &identities.authority),
            (Self::CERTIFICATE, &identities.server.certificate),
            (Self::KEY, &identities.server.key),
            (Self::ACCOUNTS, &accounts),
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

/// The key that signs the tokens of service accounts, in PEM. Kubernetes takes
/// no Ed25519 key for these.
fn account_key() -> io::Result<String> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
    let key = key.map_err(|_| io::Error::other("no randomness for a key"))?;
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(key.as_ref())))
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
