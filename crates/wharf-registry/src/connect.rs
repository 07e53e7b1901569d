//! What the libraries' connection errors mean.
//!
//! reqwest wraps hyper's errors, hyper those of TLS, of TCP and of the resolver. The one at the
//! bottom is what an operator can act on; it's told in Docker's words, which are Go's.

use std::error::Error;
use std::io;

use reqwest::{Method, Url};
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use rustls_pki_types::UnixTime;

use crate::error::{RegistryError, TlsTrouble, request_words};
use crate::http::{Http, LookupError, host_of};

/// What a registry does that lets the stall timeout run out.
pub(crate) const STALLED: &str = "the registry said nothing for too long";

/// Says what an error of a request to `url` means.
pub(crate) fn translate(
    error: reqwest::Error,
    http: &Http,
    method: &Method,
    url: &Url,
) -> RegistryError {
    // The library's words may hold the whole address.
    let error = &error.without_url();
    let request = request_words(method, url);
    if let Some(tls) = find::<TlsError>(error) {
        let host = host_of(url);
        let folder = http.certificate_folder(&host);
        return RegistryError::Tls {
            request: contact_words(method, url),
            host,
            trouble: trouble(tls),
            folder,
        };
    }
    if error.is_connect() {
        let reason = unreachable(error, http, url);
        return RegistryError::Unreachable {
            request: contact_words(method, url),
            reason,
        };
    }
    if error.is_timeout() {
        return RegistryError::Broken {
            request,
            reason: STALLED.to_owned(),
        };
    }
    RegistryError::Broken {
        request,
        reason: broken(error),
    }
}

/// A registry that no connection comes about with is told of as Docker does: by the address that
/// it asks first.
fn contact_words(method: &Method, url: &Url) -> String {
    if !url.path().starts_with("/v2/") {
        return request_words(method, url);
    }
    let mut ping = url.clone();
    ping.set_path("/v2/");
    request_words(&Method::GET, &ping)
}

fn unreachable(error: &reqwest::Error, http: &Http, url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    let (proxy, address) = match http.proxy_of(url) {
        // The connection that failed is the one to the proxy, or the proxy refused to go on.
        Some(proxy) => ("proxyconnect tcp: ", proxy),
        None => ("", format!("{}:{port}", url.host_str().unwrap_or_default())),
    };
    if let Some(lookup) = find::<LookupError>(error) {
        return format!("{proxy}dial tcp: {lookup}");
    }
    if error.is_timeout() {
        return format!("{proxy}dial tcp {address}: i/o timeout");
    }
    let reason = match find::<io::Error>(error) {
        Some(io) => match io.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
            io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
            io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
            io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
            _ => io.to_string(),
        },
        // A proxy that says no, for one.
        None => innermost(error).to_string(),
    };
    format!("{proxy}dial tcp {address}: connect: {reason}")
}

fn broken(error: &reqwest::Error) -> String {
    let reason = match find::<io::Error>(error) {
        Some(io) if io.kind() == io::ErrorKind::ConnectionReset => "connection reset by peer",
        Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => "the connection was closed",
        Some(io) if io.kind() == io::ErrorKind::TimedOut => STALLED,
        _ => return innermost(error).to_string(),
    };
    reason.to_owned()
}

fn trouble(error: &TlsError) -> TlsTrouble {
    match error {
        TlsError::InvalidCertificate(certificate) => certificate_trouble(certificate),
        TlsError::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => TlsTrouble::ClientCertificateRequired,
            // A server that speaks TLS 1.2 says this when it wanted a certificate and got none,
            // or one that it does not like; which of them, the client cannot tell.
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => {
                TlsTrouble::ClientCertificateRefused(format!("{alert:?}"))
            }
            _ => TlsTrouble::Other(error.to_string()),
        },
        TlsError::InvalidMessage(_) => TlsTrouble::NotTls,
        _ => TlsTrouble::Other(error.to_string()),
    }
}

fn certificate_trouble(error: &CertificateError) -> TlsTrouble {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsTrouble::UnknownAuthority
        }
        CertificateError::Expired => TlsTrouble::Expired(String::new()),
        CertificateError::ExpiredContext { not_after, .. } => {
            TlsTrouble::Expired(at(" on ", not_after))
        }
        CertificateError::NotValidYet => TlsTrouble::NotYetValid(String::new()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            TlsTrouble::NotYetValid(at(", only from ", not_before))
        }
        CertificateError::NotValidForName => TlsTrouble::WrongName(String::new()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            TlsTrouble::WrongName(names(presented))
        }
        CertificateError::Revoked => TlsTrouble::Revoked,
        other => TlsTrouble::Other(TlsError::InvalidCertificate(other.clone()).to_string()),
    }
}

fn at(words: &str, time: &UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map(|time| format!("{words}{time}"))
        .unwrap_or_default()
}

/// The names in a certificate, as the TLS library lists them: `DnsName("registry.corp")`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| match name.split_once(['"', '(']) {
        Some((_, rest)) => rest.trim_matches(['"', '(', ')']).to_owned(),
        None => name.clone(),
    };
    let names: Vec<String> = presented.iter().map(plain).collect();
    if names.is_empty() {
        return String::new();
    }
    crate::redact::foreign(&format!("; it is for {}", names.join(", ")))
}

/// The first error of type `T` in the chain, inside an [`io::Error`] too.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error's source() is the source of what it wraps, not what it wraps.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// Says what an error in the middle of a body means.
pub(crate) fn translate_body(error: reqwest::Error, request: &str) -> RegistryError {
    let error = &error.without_url();
    let reason = if error.is_timeout() {
        STALLED.to_owned()
    } else {
        broken(error)
    };
    RegistryError::Broken {
        request: request.to_owned(),
        reason,
    }
}
