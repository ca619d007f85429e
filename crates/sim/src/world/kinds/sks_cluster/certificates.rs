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
use x509_cert::der::asn1::{Any, Ia5String, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::{rfc4519, rfc5280};
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{DateTime, Decode as _, DecodePem as _, Encode as _, EncodePem as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

/// How long an authority is valid, as `kubeadm` makes them: ten years.
pub(super) const AUTHORITY_MS: i64 = 3650 * 86_400_000;

/// A certificate authority.
pub(super) struct Authority {
    key: SigningKey,
    certificate: Certificate,
}

/// The certificate of a client or server with its key, both in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Whom a client certificate names, and until when it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    pub(crate) not_after_ms: i64,
}

impl Authority {
    /// The authority of a seed, valid from a time on. Times are in milliseconds
    /// since 1970.
    pub(super) fn new(seed: &str, since: i64) -> Result<Self> {
        let key = key_of(seed);
        let name = name(&[(rfc4519::COMMON_NAME, "kubernetes")])?;
        let profile = Profile { issuer: name.clone(), subject: name, purpose: Purpose::Authority };
        let certificate = sign(profile, &key, &key, seed, [since, since + AUTHORITY_MS])?;
        Ok(Self { key, certificate })
    }

    /// The certificate in PEM.
    pub(super) fn pem(&self) -> Result<String> {
        Ok(self.certificate.to_pem(LineEnding::LF)?)
    }

    /// Signs the certificate of a client: a user in groups, valid for a time.
    pub(super) fn issue(&self, seed: &str, user: &str, groups: &[&str], valid: [i64; 2]) -> Result<Issued> {
        let groups = groups.iter().map(|group| (rfc4519::ORGANIZATION_NAME, *group));
        let subject: Vec<_> = groups.chain([(rfc4519::COMMON_NAME, user)]).collect();
        self.sign(seed, name(&subject)?, Purpose::Client, valid)
    }

    /// Signs the certificate of the server with a host name.
    pub(super) fn issue_server(&self, seed: &str, host: &str, valid: [i64; 2]) -> Result<Issued> {
        let host = host.to_owned();
        self.sign(seed, name(&[(rfc4519::COMMON_NAME, "kube-apiserver")])?, Purpose::Server { host }, valid)
    }

    fn sign(&self, seed: &str, subject: Name, purpose: Purpose, valid: [i64; 2]) -> Result<Issued> {
        let issuer = self.certificate.tbs_certificate().subject().clone();
        let profile = Profile { issuer, subject, purpose };
        let key = key_of(seed);
        let certificate = sign(profile, &key, &self.key, seed, valid)?;
        // In the form without the public key, which more clients can read.
        let key = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
        // Cannot fail for a key of the right length, which every key here has.
        let key = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::MissingAttributes)?;
        Ok(Issued { certificate: certificate.to_pem(LineEnding::LF)?, key: key.as_str().to_owned() })
    }

    /// Whose a certificate in PEM is; none when this authority did not sign it.
    pub(super) fn identify(&self, pem: &str) -> Option<Identity> {
        let certificate = Certificate::from_pem(pem).ok()?;
        let signed = certificate.tbs_certificate().to_der().ok()?;
        let signature = ed25519_dalek::Signature::from_slice(certificate.signature().raw_bytes()).ok()?;
        self.key.verifying_key().verify_strict(&signed, &signature).ok()?;
        let subject = certificate.tbs_certificate().subject();
        let texts = |oid| {
            let own = subject.iter().filter(move |part| part.oid == oid);
            own.map(|part| String::from_utf8_lossy(part.value.value()).into_owned())
        };
        let ends = certificate.tbs_certificate().validity().not_after.to_unix_duration();
        Some(Identity {
            user: texts(rfc4519::COMMON_NAME).next()?,
            groups: texts(rfc4519::ORGANIZATION_NAME).collect(),
            not_after_ms: i64::try_from(ends.as_millis()).ok()?,
        })
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
    purpose: Purpose,
}

/// What a certificate is for.
#[derive(Clone, PartialEq, Eq)]
enum Purpose {
    /// To sign others.
    Authority,
    /// To be a client.
    Client,
    /// To be the server with this name.
    Server { host: String },
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
        let is_authority = self.purpose == Purpose::Authority;
        let usage = match is_authority {
            true => KeyUsages::DigitalSignature | KeyUsages::KeyCertSign,
            false => KeyUsages::DigitalSignature.into(),
        };
        all.push(KeyUsage(usage).to_extension(subject, &all)?);
        match &self.purpose {
            Purpose::Authority => {}
            Purpose::Client => {
                let client = ExtendedKeyUsage(vec![rfc5280::ID_KP_CLIENT_AUTH]);
                all.push(client.to_extension(subject, &all)?);
            }
            Purpose::Server { host } => {
                let server = ExtendedKeyUsage(vec![rfc5280::ID_KP_SERVER_AUTH]);
                all.push(server.to_extension(subject, &all)?);
                let names = SubjectAltName(vec![GeneralName::DnsName(Ia5String::new(host)?)]);
                all.push(names.to_extension(subject, &all)?);
            }
        }
        let basic = BasicConstraints { ca: is_authority, path_len_constraint: None };
        all.push(basic.to_extension(subject, &all)?);
        if is_authority {
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

    fn verify(authority: &Authority, client: &Issued, at: i64) -> std::result::Result<(), webpki::Error> {
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
        let identity = one.identify(&client.certificate).unwrap();
        assert_eq!((identity.user.as_str(), identity.not_after_ms), ("kim", NOW + 60_000));
        assert_eq!(identity.groups, ["dev", "system:masters"]);
        assert_eq!((other.identify(&client.certificate), one.identify("no PEM")), (None, None));
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
