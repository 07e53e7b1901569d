//! HTTP clients: the only place that builds one.
//!
//! **HTTP/1.1 everywhere.** A pull wants several downloads at once, each with the whole window of
//! a connection of its own; HTTP/2 puts them all on one connection and behind one window. To try
//! the other way: offer `h2` by ALPN in [`Http::build`].
//!
//! One client per kind of trust, built when it is first needed: reading the machine's authorities
//! takes milliseconds, and a pull over plain http needs none of them.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Proxy, Url, redirect};
use rustls::crypto::CryptoProvider;

use crate::error::RegistryError;
use crate::no_proxy::NoProxy;
use crate::place::Place;
use crate::redact;
use crate::settings::{MinRate, Proxies, Settings};
use crate::tls::{self, Certificates};

/// How long an idle connection is kept. Registries and load balancers close theirs after 60 s or
/// more; using one that is just being closed costs a retry.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Makes clients, and keeps them.
pub(crate) struct Http {
    settings: Arc<Settings>,
    provider: Arc<CryptoProvider>,
    way_out: Arc<WayOut>,
    clients: Mutex<HashMap<Way, Client>>,
}

/// What tells one client from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Way {
    trust: Trust,
    /// Does it send content? Then an answer may be long in coming.
    sends: bool,
}

/// Whom a client trusts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// Plain http: no TLS at all.
    Plain,
    /// TLS, with what is in these hosts' folders of `certs.d`.
    Tls {
        verify: bool,
        authorities: Vec<String>,
        identities: Vec<String>,
    },
}

impl Http {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            way_out: Arc::new(WayOut::new(&settings.proxies)),
            settings,
            provider: tls::provider(),
            clients: Mutex::default(),
        }
    }

    /// The client for `url`, which `place` has led to: its own address, its token service, or
    /// where it redirects to.
    ///
    /// The authorities of the place are good for wherever it leads, as with Docker; its client
    /// certificate is shown to its own host only.
    pub(crate) fn client(&self, place: &Place, url: &Url) -> Result<Client, RegistryError> {
        let trust = self.trust(place, url);
        self.client_with(
            Way {
                trust,
                sends: false,
            },
            url,
        )
    }

    /// The same, for a request that sends content. It may take longer to answer than one that only
    /// asks: whoever sends watches over it (see [`crate::payload`]).
    pub(crate) fn uploader(&self, place: &Place, url: &Url) -> Result<Client, RegistryError> {
        let way = Way {
            trust: self.trust(place, url),
            sends: true,
        };
        self.client_with(way, url)
    }

    /// How long a registry may say nothing.
    pub(crate) fn stall_timeout(&self) -> Duration {
        self.settings.stall_timeout
    }

    /// How little a registry may send or take.
    pub(crate) fn min_rate(&self) -> MinRate {
        self.settings.min_rate
    }

    /// A client for an address that no place has led to: a foreign layer's.
    pub(crate) fn stranger(&self, url: &Url) -> Result<Client, RegistryError> {
        let trust = match url.scheme() {
            "https" => Trust::Tls {
                verify: true,
                authorities: vec![],
                identities: vec![],
            },
            _ => Trust::Plain,
        };
        self.client_with(
            Way {
                trust,
                sends: false,
            },
            url,
        )
    }

    fn client_with(&self, way: Way, url: &Url) -> Result<Client, RegistryError> {
        if let Some(Err(RegistryError::Setting { what, reason })) = self.way_out.setting(url) {
            let (what, reason) = (what.clone(), reason.clone());
            return Err(RegistryError::Setting { what, reason });
        }
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&way) {
            return Ok(client.clone());
        }
        let client = self.build(&way, url)?;
        clients.insert(way, client.clone());
        Ok(client)
    }

    /// Where a certificate for `host` would be looked for first.
    pub(crate) fn certificate_folder(&self, host: &str) -> Option<std::path::PathBuf> {
        self.settings
            .certificate_folders
            .first()
            .map(|folder| folder.join(host))
    }

    /// Has this host certificates of its own? Then it speaks TLS.
    pub(crate) fn has_certificates(&self, host: &str) -> bool {
        self.settings
            .certificate_folders
            .iter()
            .any(|folder| folder.join(host).is_dir())
    }

    fn trust(&self, place: &Place, url: &Url) -> Trust {
        if url.scheme() != "https" {
            return Trust::Plain;
        }
        let here = host_of(url);
        let mut authorities = vec![place.host.clone(), place.name.clone(), here.clone()];
        authorities.retain(|host| self.has_certificates(host));
        authorities.dedup();
        let own = place
            .with_scheme("https")
            .is_ok_and(|own| own.host() == url.host());
        let mut identities = authorities.clone();
        identities.retain(|host| own || *host == here);
        Trust::Tls {
            verify: !place.insecure,
            authorities,
            identities,
        }
    }

    fn build(&self, way: &Way, url: &Url) -> Result<Client, RegistryError> {
        let config = match &way.trust {
            Trust::Plain => tls::config_without_trust(&self.provider),
            Trust::Tls {
                verify,
                authorities,
                identities,
            } => {
                let mut certificates = Certificates::default();
                for host in authorities {
                    let folders = &self.settings.certificate_folders;
                    let read = Certificates::read(folders, host, &self.provider)?;
                    certificates.join(read, identities.contains(host));
                }
                tls::config(certificates, *verify, &self.provider)
            }
        };
        let failed = |reason: String| RegistryError::Setting {
            what: format!("no connection to {} can be made", host_of(url)),
            reason,
        };
        let config = config.map_err(|error| failed(error.to_string()))?;
        let settings = &self.settings;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(config)
            .http1_only()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Names))
            .user_agent(&settings.user_agent)
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(settings.idle_connections_per_host);
        if !way.sends {
            builder = builder.read_timeout(settings.stall_timeout);
        }
        let way = Arc::clone(&self.way_out);
        builder = builder.proxy(Proxy::custom(move |url| way.proxy(url).cloned()));
        builder.build().map_err(|error| failed(error.to_string()))
    }

    /// The proxy on the way to `url`, as `host:port`.
    pub(crate) fn proxy_of(&self, url: &Url) -> Option<String> {
        let proxy = self.way_out.proxy(url)?;
        let port = proxy.port_or_known_default()?;
        Some(format!("{}:{port}", proxy.host_str()?))
    }
}

/// The proxies, and what is reached without them.
#[derive(Debug)]
struct WayOut {
    http: Result<Option<Url>, RegistryError>,
    https: Result<Option<Url>, RegistryError>,
    no_proxy: NoProxy,
}

impl WayOut {
    fn new(proxies: &Proxies) -> Self {
        let http = match address_of_proxy("HTTP_PROXY", proxies.http.as_deref()) {
            Ok(Some(_)) if proxies.cgi => Err(RegistryError::Setting {
                what: "HTTP_PROXY is not used where REQUEST_METHOD is set".to_owned(),
                reason: "in a CGI program it may come from a request's header".to_owned(),
            }),
            http => http,
        };
        Self {
            http,
            https: address_of_proxy("HTTPS_PROXY", proxies.https.as_deref()),
            no_proxy: NoProxy::new(proxies.no_proxy.as_deref().unwrap_or_default()),
        }
    }

    /// The setting for an address; `None` if that is reached directly.
    fn setting(&self, url: &Url) -> Option<&Result<Option<Url>, RegistryError>> {
        let setting = match url.scheme() {
            "http" => &self.http,
            "https" => &self.https,
            _ => return None,
        };
        (!self.no_proxy.covers(url)).then_some(setting)
    }

    fn proxy(&self, url: &Url) -> Option<&Url> {
        self.setting(url)?.as_ref().ok()?.as_ref()
    }
}

/// A proxy's address: `http://proxy.corp:3128`, or `proxy.corp:3128` for the same.
fn address_of_proxy(name: &str, text: Option<&str>) -> Result<Option<Url>, RegistryError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let failed = |reason: &str| RegistryError::Setting {
        what: format!("{name} {}", redact::foreign(&redact::url_text(text))),
        reason: reason.to_owned(),
    };
    let known = |url: &Url| matches!(url.scheme(), "http" | "https");
    let url = match Url::parse(text).ok().filter(Url::has_host) {
        Some(url) => url,
        // As with Go: without a scheme it is http.
        None => Url::parse(&format!("http://{text}"))
            .ok()
            .filter(|_| !text.contains("://"))
            .ok_or_else(|| failed("it is not an address of a proxy"))?,
    };
    if !known(&url) {
        return Err(failed("wharf speaks http and https with proxies"));
    }
    Ok(Some(url))
}

/// An address's host, with its port if that isn't the scheme's own: a folder's name in `certs.d`.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The system's resolver, with an error that says what it is.
struct Names;

/// A name that the system's resolver does not know, or could not ask for.
#[derive(Debug, thiserror::Error)]
#[error("lookup {name}: {}", self.words())]
pub(crate) struct LookupError {
    name: String,
    source: Option<std::io::Error>,
}

impl LookupError {
    /// Go's words where the system's are known, else the system's.
    fn words(&self) -> String {
        let Some(source) = &self.source else {
            return "no such host".to_owned();
        };
        let words = source.to_string();
        match words.split_once(": ") {
            Some((_, "Name or service not known" | "No address associated with hostname")) => {
                "no such host".to_owned()
            }
            Some((_, rest)) => rest.to_lowercase(),
            None => words,
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let asked = host.clone();
            // The system's own look-up blocks, and tokio's panics where no thread can be started.
            let looked_up = wharf_os::blocking::start(move || (asked, 0).to_socket_addrs()).await;
            let looked_up = looked_up.map_err(io::Error::from).flatten();
            let found: Vec<SocketAddr> = match looked_up.map(Iterator::collect) {
                Ok(found) => found,
                Err(error) => {
                    return Err(LookupError {
                        name: host,
                        source: Some(error),
                    }
                    .into());
                }
            };
            if found.is_empty() {
                return Err(LookupError {
                    name: host,
                    source: None,
                }
                .into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
