//! The certificate authorities of a cluster, and the client certificates that
//! they sign.
//!
//! Keys follow from a seed by SHA-256, so a world that is restored, or run
//! again, has the same ones. They are Ed25519; which algorithm and which
//! subject the real authorities have is not recorded anywhere: a guess.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey as _, KeypairBytes};
use sha2::{Digest as _, Sha256};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder as _, CertificateBuilder, Error, Result};
use x509_cert::certificate::{Certificate, TbsCertificate};
use x509_cert::der::asn1::{Any, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::{rfc4519, rfc5280};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{DateTime, Decode as _, Encode as _, EncodePem as _};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

/// How long an authority is valid, as `kubeadm` makes them: ten years.
const AUTHORITY_MS: i64 = 3650 * 86_400_000;

/// A certificate authority.
pub(super) struct Authority {
    key: SigningKey,
    certificate: Certificate,
}

/// A client certificate with its key, both in PEM.
pub(super) struct Client {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    /// The authority of a seed, valid from a time on. Times are in milliseconds
    /// since 1970.
    pub(super) fn new(seed: &str, since: i64) -> Result<Self> {
        let key = key_of(seed);
        let name = name(&[(rfc4519::COMMON_NAME, "kubernetes")])?;
        let profile = Profile { issuer: name.clone(), subject: name, is_authority: true };
        let certificate = sign(profile, &key, &key, seed, [since, since + AUTHORITY_MS])?;
        Ok(Self { key, certificate })
    }

    /// The certificate in PEM.
    pub(super) fn pem(&self) -> Result<String> {
        Ok(self.certificate.to_pem(LineEnding::LF)?)
    }

    /// Signs the certificate of a client: a user in groups, valid for a time.
    pub(super) fn issue(&self, seed: &str, user: &str, groups: &[&str], valid: [i64; 2]) -> Result<Client> {
        let groups = groups.iter().map(|group| (rfc4519::ORGANIZATION_NAME, *group));
        let subject: Vec<_> = groups.chain([(rfc4519::COMMON_NAME, user)]).collect();
        let issuer = self.certificate.tbs_certificate().subject().clone();
        let profile = Profile { issuer, subject: name(&subject)?, is_authority: false };
        let key = key_of(seed);
        let certificate = sign(profile, &key, &self.key, seed, valid)?;
        // In the form without the public key, which more clients can read.
        let key = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
        // Cannot fail for a key of the right length, which every key here has.
        let key = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::MissingAttributes)?;
        Ok(Client { certificate: certificate.to_pem(LineEnding::LF)?, key: key.as_str().to_owned() })
    }
}

fn key_of(seed: &str) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(format!("key of {seed}")).into())
}

/// A name of parts in this order, each on its own.
fn name(parts: &[(ObjectIdentifier, &str)]) -> Result<Name> {
    let mut sequence = RdnSequence::default();
    for (oid, text) in parts {
        let mut part = RelativeDistinguishedName::default();
        part.insert(AttributeTypeAndValue { oid: *oid, value: Any::from(Utf8StringRef::new(text)?) })?;
        sequence.push(part);
    }
    Ok(Name::from_der(&sequence.to_der()?)?)
}

fn time(ms: i64) -> Result<Time> {
    let since_1970 = Duration::from_secs(u64::try_from(ms / 1000).unwrap_or(0));
    Ok(DateTime::from_unix_duration(since_1970)?.into())
}

fn sign(
    profile: Profile,
    key: &SigningKey,
    signer: &SigningKey,
    seed: &str,
    [since, until]: [i64; 2],
) -> Result<Certificate> {
    let mut serial = Sha256::digest(format!("serial of {seed}"))[..16].to_vec();
    // Positive, and never shorter than the others.
    serial[0] = serial[0] & 0x3f | 0x40;
    let public = SubjectPublicKeyInfo::from_key(&key.verifying_key())?;
    let validity = Validity::new(time(since)?, time(until)?);
    CertificateBuilder::new(profile, SerialNumber::new(&serial)?, validity, public)?
        .build::<_, ed25519_dalek::Signature>(signer)
}

/// The names and the purpose of a certificate.
struct Profile {
    issuer: Name,
    subject: Name,
    is_authority: bool,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        own: SubjectPublicKeyInfoRef<'_>,
        issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> Result<Vec<Extension>> {
        let subject = tbs.subject();
        let mut all = Vec::new();
        let usage = match self.is_authority {
            true => KeyUsages::DigitalSignature | KeyUsages::KeyCertSign,
            false => KeyUsages::DigitalSignature.into(),
        };
        all.push(KeyUsage(usage).to_extension(subject, &all)?);
        if !self.is_authority {
            let client = ExtendedKeyUsage(vec![rfc5280::ID_KP_CLIENT_AUTH]);
            all.push(client.to_extension(subject, &all)?);
        }
        let basic = BasicConstraints { ca: self.is_authority, path_len_constraint: None };
        all.push(basic.to_extension(subject, &all)?);
        if self.is_authority {
            all.push(SubjectKeyIdentifier::try_from(own)?.to_extension(subject, &all)?);
        }
        let issuer = SubjectKeyIdentifier::try_from(issuer)?;
        let issuer = AuthorityKeyIdentifier { key_identifier: Some(issuer.0), ..Default::default() };
        all.push(issuer.to_extension(subject, &all)?);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, UnixTime};
    use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring::ED25519};

    const NOW: i64 = 1_790_000_000_000;

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn verify(authority: &Authority, client: &Client, at: i64) -> std::result::Result<(), webpki::Error> {
        let root = der(&authority.pem().unwrap());
        let anchor = anchor_from_trusted_cert(&root).unwrap();
        let client = der(&client.certificate);
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at.try_into().unwrap()));
        let end = EndEntityCert::try_from(&client)?;
        end.verify_for_usage(&[ED25519], &[anchor], &[], at, KeyUsage::client_auth(), None, None).map(drop)
    }

    #[test]
    fn a_certificate_is_valid_for_its_time_under_its_authority_alone() {
        let [one, other] = ["one", "other"].map(|seed| Authority::new(seed, NOW).unwrap());
        let client = one.issue("c", "kim", &["dev", "system:masters"], [NOW, NOW + 60_000]).unwrap();
        assert_eq!(verify(&one, &client, NOW + 59_000), Ok(()));
        assert!(matches!(verify(&one, &client, NOW + 61_000), Err(webpki::Error::CertExpired { .. })));
        assert!(matches!(verify(&one, &client, NOW - 1_000), Err(webpki::Error::CertNotValidYet { .. })));
        let unproved = Err(webpki::Error::InvalidSignatureForPublicKey);
        assert_eq!(verify(&other, &client, NOW), unproved);
    }

    #[test]
    fn a_certificate_names_its_user_and_every_group() {
        let authority = Authority::new("one", NOW).unwrap();
        let client = authority.issue("c", "kim,O=x", &["dev", "system:masters"], [NOW, NOW + 1_000]).unwrap();
        let read = Certificate::from_der(&der(&client.certificate)).unwrap();
        let subject = read.tbs_certificate().subject();
        let of = |oid| -> Vec<&[u8]> {
            subject.iter().filter(|part| part.oid == oid).map(|part| part.value.value()).collect()
        };
        assert_eq!(of(rfc4519::COMMON_NAME), [b"kim,O=x"]);
        assert_eq!(of(rfc4519::ORGANIZATION_NAME), [&b"dev"[..], b"system:masters"]);
    }

    #[test]
    fn the_same_seed_gives_the_same_certificates() {
        let [one, again] = [(); 2].map(|()| {
            let authority = Authority::new("one", NOW).unwrap();
            let client = authority.issue("c", "kim", &[], [NOW, NOW + 1_000]).unwrap();
            (authority.pem().unwrap(), client.certificate, client.key)
        });
        assert_eq!(one, again);
    }
}
