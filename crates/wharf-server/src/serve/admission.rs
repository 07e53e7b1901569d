//! Which requests are let in: a web page in a browser on this machine must not reach the server in its user's name.
//!
//! A page can send requests to loopback addresses, and with a host name that first leads to the page's own server and
//! then to 127.0.0.1 (DNS rebinding) it can read the answers too. So on loopback a request has to name a host that only
//! this machine can mean, and what changes something must not come from a page at all. Requests over a unix socket
//! come from programs: they are not asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, Version, header};

use super::refusal::Refusal;

/// The name of this machine that every resolver knows.
const LOCALHOST: &str = "localhost";

/// What browsers say of the page that sends a request (W3C: Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Bounds how much of a header a refusal repeats, in characters: enough to recognise it.
const SHOWN_MAX: usize = 100;

/// Host names that a server answers to beside those of loopback.
#[derive(Clone, Debug, Default)]
pub struct HostNames(Arc<[String]>);

/// A text that is not a host's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host name: it is written without a scheme, a port and a path")]
pub struct HostNameError(String);

impl HostNames {
    /// Reads names, of which each stands for exactly that host.
    pub fn new<T: AsRef<str>>(names: &[T]) -> Result<Self, HostNameError> {
        let one = |name: &T| {
            let name = name.as_ref();
            let bracketed = if name.parse::<Ipv6Addr>().is_ok() {
                format!("[{name}]")
            } else {
                name.to_owned()
            };
            let host = Host::parse(&bracketed).filter(|_| !name.ends_with(':'));
            let host = host.ok_or_else(|| HostNameError(name.to_owned()))?;
            match host.port {
                None => Ok(host.name()),
                Some(_) => Err(HostNameError(name.to_owned())),
            }
        };
        let names: Result<Vec<String>, HostNameError> = names.iter().map(one).collect();
        Ok(Self(names?.into()))
    }
}

/// Decides about requests at one place where clients come in.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Can web pages reach it?
    from_pages: bool,
    /// Where it listens, if that is on loopback.
    loopback: Option<IpAddr>,
    names: HostNames,
}

impl Admission {
    /// Lets everything in: for unix sockets, whose clients write any word as the host.
    pub fn all() -> Self {
        Self {
            from_pages: false,
            loopback: None,
            names: HostNames::default(),
        }
    }

    /// Decides about requests that come by TCP.
    pub fn over_tcp(address: SocketAddr) -> Self {
        let address = address.ip().to_canonical();
        Self {
            from_pages: true,
            loopback: address.is_loopback().then_some(address),
            names: HostNames::default(),
        }
    }

    /// Adds names that the server answers to.
    #[must_use]
    pub fn with_names(self, names: HostNames) -> Self {
        Self { names, ..self }
    }

    /// Says why a request is not let in.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        if !self.from_pages {
            return Ok(());
        }
        self.check_host(request)?;
        check_page(request.method(), request.headers())
    }

    fn check_host<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let bad = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, message);
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(bad("the request has more than one Host header"));
        }
        // Before 1.1 clients did not have to send it (RFC 9112, section 3.2); browsers always do.
        if host.is_none() && request.version() >= Version::HTTP_11 {
            return Err(bad("the request has no Host header"));
        }
        if self.loopback.is_none() {
            return Ok(());
        }
        // A target in absolute form counts instead of the header, and neither may be another host's.
        let authority = request
            .uri()
            .authority()
            .map(|authority| authority.as_str());
        if let Some(authority) = authority {
            self.check_name(authority)?;
        }
        match host.map(|host| host.to_str()) {
            Some(Ok(host)) => self.check_name(host),
            Some(Err(_)) => Err(bad("the Host header is not a host's name")),
            None => Ok(()),
        }
    }

    fn check_name(&self, text: &str) -> Result<(), Refusal> {
        let host = Host::parse(text);
        if host.as_ref().is_some_and(|host| self.is_own(host)) {
            return Ok(());
        }
        let hint = host.map_or(LOCALHOST.to_owned(), |host| host.name());
        let message = format!(
            "the host {} is not this server's: it listens on loopback and answers to localhost, 127.0.0.1 and [::1]; \
             if the name is meant for it, start it with --allow-host {}",
            shown(text),
            shown(&hint)
        );
        Err(Refusal::new(StatusCode::FORBIDDEN, message))
    }

    /// Any port will do: a forwarded one (`ssh -L`) has another number, and a page cannot use a name of loopback.
    fn is_own(&self, host: &Host) -> bool {
        let named = self.names.0.contains(&host.name());
        named
            || match &host.kind {
                Kind::Address(address) => {
                    let address = address.to_canonical();
                    address.is_loopback() || Some(address) == self.loopback
                }
                // Names below localhost are this machine's (RFC 6761), so that no page elsewhere has one.
                // Docker's client calls itself `api.moby.localhost` on a socket, which may be forwarded.
                Kind::Name(name) => name
                    .strip_suffix(LOCALHOST)
                    .is_some_and(|below| below.is_empty() || below.ends_with('.')),
            }
    }
}

/// Refuses what a web page may not do: browsers say that it was one by `Origin` and `Sec-Fetch-Site`, and programs
/// send neither.
fn check_page(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let only_reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let refused = |what: &str| {
        let message =
            format!("a web page sent the request ({what}): programs may do this, pages may not");
        Err(Refusal::new(StatusCode::FORBIDDEN, message))
    };
    if !only_reads && let Some(origin) = headers.get(header::ORIGIN) {
        let text = String::from_utf8_lossy(origin.as_bytes());
        return refused(&format!("Origin {}", shown(&text)));
    }
    for site in headers.get_all(SEC_FETCH_SITE) {
        // `none` is what a user has typed. There are no pages here that others could be of the same origin with.
        let allowed = site == "none" || (only_reads && site == "same-origin");
        if !allowed {
            let text = String::from_utf8_lossy(site.as_bytes());
            return refused(&format!("Sec-Fetch-Site {}", shown(&text)));
        }
    }
    Ok(())
}

/// A text from outside, quoted and cut.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    format!("{cut:?}")
}

/// `HOST[:PORT]`, as requests name it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    kind: Kind,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Address(IpAddr),
    /// In lower case, without a dot at its end.
    Name(String),
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inside, rest) = rest.split_once(']')?;
                // A zone says on which of this machine's interfaces, not which machine.
                let address = inside
                    .split_once('%')
                    .map_or(inside, |(address, _)| address);
                let address: Ipv6Addr = address.parse().ok()?;
                (Kind::Address(address.into()), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (name(&text[..end])?, &text[end..])
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { kind: name, port })
    }

    /// Its name in the one form that is compared.
    fn name(&self) -> String {
        match &self.kind {
            Kind::Address(address) => address.to_canonical().to_string(),
            Kind::Name(name) => name.clone(),
        }
    }
}

/// An IPv4 address in its usual form, or a name of letters, digits, dashes, underscores and dots.
fn name(text: &str) -> Option<Kind> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Kind::Address(address.into()));
    }
    let is_label = |label: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.bytes().all(known)
    };
    text.split('.')
        .all(is_label)
        .then(|| Kind::Name(text.to_ascii_lowercase()))
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
