//! Certificates, made on the spot: good, expired, for another host, of an authority that nobody knows.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// An authority that signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its private key, in PEM.
    pub key: String,
    certificate_der: Vec<u8>,
    key_der: Vec<u8>,
}

/// What is wrong with a server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// It is no longer valid.
    Expired,
    /// It is another host's.
    WrongHost,
}

impl Authority {
    /// A new one, with a key of its own.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a CA certificate is signed");
        Self { issuer }
    }

    /// Its own certificate, in PEM: what `ca.crt` holds.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server on loopback.
    pub fn server(&self, flaw: Flaw) -> Identity {
        let hosts: &[&str] = match flaw {
            Flaw::WrongHost => &["registry.example.org"],
            Flaw::None | Flaw::Expired => &["localhost", "127.0.0.1", "::1"],
        };
        let mut params = params("a server for tests", hosts);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if flaw == Flaw::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        self.sign(&params)
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str) -> Identity {
        let mut params = params(name, &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate is signed");
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            certificate_der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        }
    }

    /// How a server with this certificate answers; with `clients`, only clients whose certificates
    /// that authority has signed.
    pub fn server_config(identity: &Identity, clients: Option<&Self>) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3");
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier(provider)),
            None => builder.with_no_client_auth(),
        };
        let certificate = CertificateDer::from(identity.certificate_der.clone());
        let key = PrivateKeyDer::try_from(identity.key_der.clone()).expect("a key of our own");
        let mut config = builder
            .with_single_cert(vec![certificate], key)
            .expect("certificate and key match");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.issuer.der().clone())
            .expect("a CA certificate of our own");
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("one authority is enough")
    }
}

impl Identity {
    /// A certificate that signs itself: what a token service shows to a registry.
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params(name, &[])
            .self_signed(&key)
            .expect("a certificate can sign itself");
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            certificate_der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        }
    }

    /// The certificate, in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// The private key, in PKCS #8.
    pub fn key_der(&self) -> &[u8] {
        &self.key_der
    }

    /// Writes `NAME.cert` and `NAME.key` into `folder`.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.cert")), &self.certificate)?;
        fs::write(folder.join(format!("{name}.key")), &self.key)
    }
}

/// Lays out what a client knows of a registry: `FOLDER/HOST:PORT/ca.crt`, `client.cert`,
/// `client.key`.
///
/// # Errors
/// If the folder cannot be written to.
pub fn write_certs_d(
    folder: &Path,
    host: &str,
    authority: Option<&Authority>,
    client: Option<&Identity>,
) -> io::Result<()> {
    let folder = folder.join(host);
    fs::create_dir_all(&folder)?;
    if let Some(authority) = authority {
        fs::write(folder.join("ca.crt"), authority.certificate())?;
    }
    if let Some(client) = client {
        client.write(&folder, "client")?;
    }
    Ok(())
}

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("host names of our own");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    params
}
