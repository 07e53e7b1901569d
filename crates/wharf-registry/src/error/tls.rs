//! What is wrong with a TLS connection, and what to do about it.

use std::path::PathBuf;

/// What is wrong with a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsTrouble {
    /// Nobody who is trusted here vouches for the certificate.
    #[error("the certificate is signed by an authority that is not trusted here")]
    UnknownAuthority,
    /// Its time is over.
    #[error("the certificate has expired{0}")]
    Expired(String),
    /// Its time has not come.
    #[error("the certificate is not valid yet{0}")]
    NotYetValid(String),
    /// It is for another host.
    #[error("the certificate is for another host{0}")]
    WrongName(String),
    /// It was revoked.
    #[error("the certificate was revoked")]
    Revoked,
    /// The registry wants a client certificate, and there is none.
    #[error("the registry wants a client certificate, and there is none for it")]
    ClientCertificateRequired,
    /// The registry does not take the client certificate.
    #[error("the registry got no client certificate, or one that it does not take ({0})")]
    ClientCertificateRefused(String),
    /// The other side does not speak TLS.
    #[error("the server does not speak TLS; it may be a plain http registry")]
    NotTls,
    /// Everything else, in the TLS library's words.
    #[error("{0}")]
    Other(String),
}

/// What to do about it, where that is known.
pub(super) fn tls_hint(
    host: &str,
    trouble: &TlsTrouble,
    folder: Option<&PathBuf>,
) -> Option<String> {
    let folder = match folder {
        Some(folder) => folder.display().to_string(),
        None => format!("certs.d/{host}"),
    };
    Some(match trouble {
        TlsTrouble::UnknownAuthority => format!(
            "if you trust it, put its authority's certificate into {folder}/ca.crt, or set \
             insecure = true for [registry.\"{host}\"]"
        ),
        TlsTrouble::Expired(_) => {
            "the registry needs a new certificate; check this machine's clock too".to_owned()
        }
        TlsTrouble::NotYetValid(_) => "check this machine's clock".to_owned(),
        TlsTrouble::WrongName(_) => {
            "call the registry by a name that its certificate has, or give it another one"
                .to_owned()
        }
        TlsTrouble::ClientCertificateRequired | TlsTrouble::ClientCertificateRefused(_) => {
            format!("put a certificate and its key into {folder}/client.cert and client.key")
        }
        TlsTrouble::NotTls => format!(
            "if it is meant to be plain http, put insecure = true below [registry.\"{host}\"] in \
             wharf's config.toml"
        ),
        TlsTrouble::Revoked | TlsTrouble::Other(_) => return None,
    })
}
