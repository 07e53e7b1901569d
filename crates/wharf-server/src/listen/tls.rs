//! TLS in which both sides show a certificate: who may speak to the engine may do everything with its images.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Bounds a file of certificates or a key, in bytes. A bundle of all public authorities has 250 KiB.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Where the certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities that clients' certificates are from.
    pub client_authorities: PathBuf,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{path} holds no {what} in PEM")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// It does not go together.
    #[error("the certificates cannot be used: {0}")]
    Unusable(String),
}

/// Takes connections.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Acceptor {
    /// Reads the certificates.
    pub fn new(files: &Files) -> Result<Self, TlsError> {
        let unusable = |error: &dyn std::error::Error| TlsError::Unusable(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut authorities = RootCertStore::empty();
        for authority in certificates(&files.client_authorities)? {
            authorities.add(authority).map_err(|e| unusable(&e))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(authorities),
            Arc::clone(&provider),
        );
        let verifier = verifier.build().map_err(|e| unusable(&e))?;
        let key_text = read(&files.key)?;
        let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| TlsError::Empty {
            path: files.key.clone(),
            what: "key",
        })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable(&e))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&files.certificate)?, key)
            .map_err(|e| unusable(&e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) fn accept(&self, stream: TcpStream) -> Lazy {
        Lazy::Shaking(Box::new(self.0.accept(stream)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    wharf_os::file::read(path, FILE_MAX).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.unwrap_or_default();
    if all.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
            what: "certificate",
        });
    }
    Ok(all)
}

/// A connection whose handshake is made by whoever first reads: in the connection's own task, so that a client
/// which does not go on with it keeps nobody else waiting.
pub enum Lazy {
    /// The handshake is under way.
    Shaking(Box<Accept<TcpStream>>),
    /// It is done.
    Ready(Box<TlsStream<TcpStream>>),
}

impl Lazy {
    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<&mut TlsStream<TcpStream>>> {
        if let Self::Shaking(accept) = self {
            let stream = ready!(Pin::new(accept.as_mut()).poll(context))?;
            *self = Self::Ready(Box::new(stream));
        }
        match self {
            Self::Ready(stream) => Poll::Ready(Ok(stream)),
            Self::Shaking(_) => Poll::Pending,
        }
    }
}

impl AsyncRead for Lazy {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = ready!(self.get_mut().poll_ready(context))?;
        Pin::new(stream).poll_read(context, into)
    }
}

impl AsyncWrite for Lazy {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = ready!(self.get_mut().poll_ready(context))?;
        Pin::new(stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Nothing was written yet.
            Self::Shaking(_) => Poll::Ready(Ok(())),
            Self::Ready(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Shaking(_) => Poll::Ready(Ok(())),
            Self::Ready(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
