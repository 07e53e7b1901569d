//! Whom to trust, and whom to be: `certs.d`, and the TLS settings made of it.
//!
//! `FOLDER/HOST[:PORT]/` holds, in PEM:
//!
//! - `*.crt`: further authorities for this host, beside the machine's own;
//! - `NAME.cert` with `NAME.key`: a client certificate, its chain below it, and its key.
//!
//! The layout is Docker's (documentation, "Use certificates for docker clients"). So is this: a
//! certificate that lies there as `ca.crt` and is the very one that the registry shows is trusted,
//! although it says that it is an authority. `openssl req -x509` makes such ones.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, InconsistentKeys,
    RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::error::RegistryError;

/// Bounds a file of certificates, in bytes. The whole bundle of a Linux distribution has 250 KiB.
const CERTIFICATE_FILE_MAX: u64 = 4 * 1024 * 1024;

/// What a host's folders hold.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    /// Further authorities.
    authorities: Vec<CertificateDer<'static>>,
    /// Client certificates, `client.cert` first, then by name.
    identities: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the folders of `host`, those that exist.
    pub(crate) fn read(
        folders: &[PathBuf],
        host: &str,
        provider: &CryptoProvider,
    ) -> Result<Self, RegistryError> {
        let mut all = Self::default();
        for folder in folders {
            all.read_folder(&folder.join(host), provider)?;
        }
        Ok(all)
    }

    /// Takes over the authorities of `other`, and its client certificates if `identities`.
    pub(crate) fn join(&mut self, other: Self, identities: bool) {
        self.authorities.extend(other.authorities);
        if identities {
            self.identities.extend(other.identities);
        }
    }

    fn read_folder(
        &mut self,
        folder: &Path,
        provider: &CryptoProvider,
    ) -> Result<(), RegistryError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            Err(error) => return Err(unusable(folder, error)),
        };
        let mut files: Vec<PathBuf> = entries
            .map(|entry| Ok(entry.map_err(|error| unusable(folder, error))?.path()))
            .collect::<Result<_, RegistryError>>()?;
        // `client` first, and then an order that does not depend on the file system.
        files.sort_by_key(|path| (path.file_stem().is_none_or(|s| s != "client"), path.clone()));
        for path in &files {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => self.authorities.extend(read_authorities(path)?),
                Some("cert") => self.identities.push(read_identity(path, provider)?),
                Some("key") if !path.with_extension("cert").exists() => {
                    let cert = path.with_extension("cert");
                    return Err(unusable(
                        path,
                        format!("its certificate {} is not there", cert.display()),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read_identity(
    path: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, RegistryError> {
    let key_path = path.with_extension("key");
    if !key_path.exists() {
        let reason = format!(
            "its key {} is not there; an authority's certificate is named .crt",
            key_path.display()
        );
        return Err(unusable(path, reason));
    }
    let chain = read_certificates(path)?;
    let unfit = |reason: &str| unusable(&key_path, reason);
    let key = PrivateKeyDer::from_pem_slice(&read_file(&key_path)?)
        .map_err(|_| unfit("it holds no private key in PEM without a passphrase"))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| unfit("its private key is of a kind that is not supported"))?;
    let certified = CertifiedKey::new(chain, key);
    // Only a mismatch counts: a certificate of X.509's first version, as `openssl x509 -req` makes
    // it, cannot be read here, and the registry may take it all the same.
    if let Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) = certified.keys_match() {
        return Err(unfit(&format!("it is not the key of {}", path.display())));
    }
    Ok(Arc::new(certified))
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let certificates = read_certificates(path)?;
    let mut readable = RootCertStore::empty();
    for certificate in &certificates {
        readable
            .add(certificate.clone())
            .map_err(|_| unusable(path, "a certificate in it is damaged"))?;
    }
    Ok(certificates)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let bytes = read_file(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, format!("it is not valid PEM ({error})")))?;
    if certificates.is_empty() {
        return Err(unusable(path, "it holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn read_file(path: &Path) -> Result<Vec<u8>, RegistryError> {
    wharf_os::file::read(path, CERTIFICATE_FILE_MAX).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, reason: impl fmt::Display) -> RegistryError {
    RegistryError::Certificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// The one crypto library of the whole tree.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// TLS settings for a host. `verify: false` takes any certificate: for `insecure` registries.
///
/// No ALPN is offered, so HTTP/1.1 is spoken: see [`crate::http`].
pub(crate) fn config(
    certificates: Certificates,
    verify: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = if verify {
        let authorities = certificates.authorities.clone();
        let machine = rustls_platform_verifier::Verifier::new_with_extra_roots(
            authorities.iter().cloned(),
            Arc::clone(provider),
        )?;
        Arc::new(Trust {
            inner: Arc::new(machine),
            shown: authorities,
        })
    } else {
        Arc::new(NoTrust {
            provider: Arc::clone(provider),
        })
    };
    let builder = builder(provider)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(builder.with_client_cert_resolver(Arc::new(Identities(certificates.identities))))
}

/// TLS settings that trust nobody: for a client that speaks plain http only, and so need not read
/// the machine's hundred and fifty authorities.
pub(crate) fn config_without_trust(
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, TlsError> {
    Ok(builder(provider)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()
}

/// The machine's own judgement, and certificates that are trusted by being shown.
#[derive(Debug)]
struct Trust {
    inner: Arc<dyn ServerCertVerifier>,
    shown: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Was `error` only that an authority's certificate is the server's own, and is exactly that
    /// certificate trusted? Its dates were checked before that error (webpki checks them first).
    fn is_shown(&self, error: &TlsError, end_entity: &CertificateDer<'_>) -> bool {
        let TlsError::InvalidCertificate(CertificateError::Other(other)) = error else {
            return false;
        };
        matches!(
            other.0.downcast_ref(),
            Some(webpki::Error::CaUsedAsEndEntity)
        ) && self
            .shown
            .iter()
            .any(|shown| shown.as_ref() == end_entity.as_ref())
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let judged = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match judged {
            Err(error) if self.is_shown(&error, end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            // Nobody who knows this certificate vouches for it: that's what the user can act on.
            Err(TlsError::InvalidCertificate(CertificateError::Other(other)))
                if matches!(
                    other.0.downcast_ref(),
                    Some(webpki::Error::CaUsedAsEndEntity)
                ) =>
            {
                Err(CertificateError::UnknownIssuer.into())
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Takes any certificate: what `insecure = true` asks for. Digests still protect the content.
#[derive(Debug)]
struct NoTrust {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for NoTrust {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Client certificates. The first one whose key can sign as the server wants is shown.
struct Identities(Vec<Arc<CertifiedKey>>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0
            .iter()
            .find(|identity| identity.key.choose_scheme(schemes).is_some())
            .cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
