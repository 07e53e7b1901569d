//! Places: where a registry's content can be had: its mirrors, in order, then itself.
//!
//! | the reference's domain | place |
//! |---|---|
//! | `docker.io` | `https://registry-1.docker.io`: Docker Hub listens there |
//! | loopback | plain http, or https where that is spoken ([`crate::probe`] finds out) |
//! | `insecure = true` | https without a check of the certificate, else plain http |
//! | every other | `https://DOMAIN` |
//!
//! Only a mirror may have a scheme of its own, and a path, which goes in front of the repository.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;
use tokio::sync::OnceCell;
use wharf_core::Reference;
use wharf_core::reference::DEFAULT_DOMAIN;

use crate::error::RegistryError;
use crate::redact;
use crate::settings::Settings;

/// Where Docker Hub's registry listens.
const HUB_HOST: &str = "registry-1.docker.io";

/// How long a mirror that could not be reached is left alone: longer than any pull should take,
/// short enough for a server that runs for months.
const BROKEN_FOR: Duration = Duration::from_secs(5 * 60);

/// One place that may hold a repository.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its name in messages, and in `wharf login`.
    pub(crate) name: String,
    /// Its host, and port if one was given: the key of its certificates and credentials.
    pub(crate) host: String,
    /// What goes in front of a repository's path: empty, or `hub/`.
    pub(crate) prefix: String,
    /// The registry that it stands in for, if it is a mirror.
    pub(crate) mirror_of: Option<String>,
    /// Is a certificate of any kind, and http, good enough?
    pub(crate) insecure: bool,
    /// Which schemes may be spoken.
    pub(crate) schemes: Schemes,
    /// The root that was found to answer: `https://registry.corp/`.
    pub(crate) root: OnceCell<Url>,
    reached: AtomicBool,
    broken_since: Mutex<Option<Instant>>,
}

/// Which schemes may be spoken with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schemes {
    /// This one only.
    Only(Url),
    /// Plain http, or https if the place turns out to speak that: loopback.
    HttpOrHttps,
    /// https, or plain http if the place does not speak it: insecure.
    HttpsOrHttp,
}

impl Place {
    /// The address of something in a repository: `what` is `manifests/latest`.
    ///
    /// Repository, tag and digest were parsed: they hold nothing that an address would read
    /// otherwise (security rule 6).
    pub(crate) fn address(&self, root: &Url, repository: &str, what: &str) -> Url {
        let mut url = root.clone();
        url.set_path(&format!("/v2/{}{repository}/{what}", self.prefix));
        if let Some(domain) = &self.mirror_of {
            // OCI distribution-spec, "registry proxying": a mirror of several registries is told
            // which one is meant.
            url.query_pairs_mut().append_pair("ns", domain);
        }
        url
    }

    /// Adds to an address that a mirror named which registry is meant, if it left that out.
    pub(crate) fn tell_namespace(&self, url: &mut Url) {
        let missing = !url.query_pairs().any(|(key, _)| key == "ns");
        if let Some(domain) = self.mirror_of.as_ref().filter(|_| missing) {
            url.query_pairs_mut().append_pair("ns", domain);
        }
    }

    /// The repository's path at this place.
    pub(crate) fn repository(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The address with this scheme.
    pub(crate) fn with_scheme(&self, scheme: &str) -> Result<Url, RegistryError> {
        root(scheme, &self.host)
            .ok_or_else(|| unusable(&self.name, "it is not a host that can be asked"))
    }

    pub(crate) const fn is_mirror(&self) -> bool {
        self.mirror_of.is_some()
    }

    /// Has it answered anything yet?
    pub(crate) fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    pub(crate) fn set_reached(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.with_scheme("http").is_ok_and(|url| is_loopback(&url))
    }

    /// Was it out of reach a short while ago?
    pub(crate) fn is_broken(&self) -> bool {
        let since = self
            .broken_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < BROKEN_FOR)
    }

    pub(crate) fn set_broken(&self) {
        let mut since = self
            .broken_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *since = Some(Instant::now());
    }
}

/// The places of a registry: its mirrors, in order, then itself.
pub(crate) fn places(domain: &str, settings: &Settings) -> Result<Vec<Arc<Place>>, RegistryError> {
    let mirrors = settings
        .registries
        .get(domain)
        .map_or(&[][..], |host| &host.mirrors);
    let mut all = Vec::with_capacity(mirrors.len() + 1);
    for text in mirrors {
        all.push(Arc::new(mirror(text, domain, settings)?));
    }
    all.push(Arc::new(registry(domain, settings)?));
    Ok(all)
}

fn registry(domain: &str, settings: &Settings) -> Result<Place, RegistryError> {
    let host = if domain == DEFAULT_DOMAIN {
        HUB_HOST
    } else {
        domain
    };
    let insecure = is_insecure(domain, settings);
    let schemes = schemes(host, insecure).ok_or_else(|| unusable(domain, "it is not a host"))?;
    Ok(place(domain, host, schemes, insecure))
}

fn mirror(text: &str, domain: &str, settings: &Settings) -> Result<Place, RegistryError> {
    let shown = redact::url_text(text);
    let what = format!("mirror {shown} of {domain}");
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
        Some(_) => return Err(unusable(&what, "its scheme is neither http nor https")),
        None => (None, text),
    };
    if rest.contains(['@', '?', '#']) {
        return Err(unusable(
            &what,
            "a mirror has no user, query or fragment in its address",
        ));
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let insecure = is_insecure(host, settings);
    let schemes = match scheme {
        Some(scheme) => root(scheme, host).map(Schemes::Only),
        None => schemes(host, insecure),
    };
    let schemes = schemes.ok_or_else(|| unusable(&what, "it is not a host"))?;
    let path = path.trim_matches('/');
    let is_repository = |path: &str| Reference::of_repository(&format!("host.test/{path}")).is_ok();
    if !path.is_empty() && !is_repository(path) {
        return Err(unusable(
            &what,
            "its path cannot stand in front of a repository",
        ));
    }
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}/")
    };
    let mirror_of = Some(domain.to_owned());
    Ok(Place {
        prefix,
        mirror_of,
        ..place(host, host, schemes, insecure)
    })
}

fn place(name: &str, host: &str, schemes: Schemes, insecure: bool) -> Place {
    Place {
        name: name.to_owned(),
        host: host.to_owned(),
        prefix: String::new(),
        mirror_of: None,
        insecure,
        schemes,
        root: OnceCell::new(),
        reached: AtomicBool::new(false),
        broken_since: Mutex::new(None),
    }
}

fn is_insecure(host: &str, settings: &Settings) -> bool {
    settings
        .registries
        .get(host)
        .is_some_and(|host| host.insecure)
}

fn schemes(host: &str, insecure: bool) -> Option<Schemes> {
    let https = root("https", host)?;
    Some(match (insecure, is_loopback(&https)) {
        (true, _) => Schemes::HttpsOrHttp,
        (false, true) => Schemes::HttpOrHttps,
        (false, false) => Schemes::Only(https),
    })
}

/// The address of a host's root, if it is a host (and perhaps a port) and nothing else.
fn root(scheme: &str, host: &str) -> Option<Url> {
    let url = Url::parse(&format!("{scheme}://{host}/")).ok()?;
    let plain = url.path() == "/" && url.username().is_empty() && url.password().is_none();
    (plain && url.query().is_none() && url.fragment().is_none() && !host.is_empty()).then_some(url)
}

/// 127.0.0.0/8, ::1 and localhost: they may speak plain http without a setting, as with Docker.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn unusable(what: &str, reason: &str) -> RegistryError {
    RegistryError::Setting {
        what: redact::foreign(what),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::HostSettings;

    fn settings(domain: &str, mirrors: &[&str], insecure: &[&str]) -> Settings {
        let mut settings = Settings::default();
        let mirrors = mirrors.iter().map(|&m| m.to_owned()).collect();
        settings.registries.insert(
            domain.to_owned(),
            HostSettings {
                mirrors,
                insecure: false,
            },
        );
        for &host in insecure {
            settings
                .registries
                .entry(host.to_owned())
                .or_default()
                .insecure = true;
        }
        settings
    }

    fn only(domain: &str) -> Place {
        registry(domain, &Settings::default()).unwrap()
    }

    #[test]
    fn knows_where_registries_listen() {
        let url = |place: &Place| match &place.schemes {
            Schemes::Only(url) => url.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(url(&only("docker.io")), "https://registry-1.docker.io/");
        assert_eq!(
            url(&only("registry.corp:5000")),
            "https://registry.corp:5000/"
        );
        for loopback in ["127.0.0.1:5000", "127.9.9.9", "[::1]:5000", "localhost"] {
            assert_eq!(only(loopback).schemes, Schemes::HttpOrHttps, "{loopback}");
            assert!(only(loopback).is_loopback());
        }
        assert!(!only("localhost.corp").is_loopback());
        let insecure = settings("x.corp", &[], &["registry.corp"]);
        assert_eq!(
            registry("registry.corp", &insecure).unwrap().schemes,
            Schemes::HttpsOrHttp
        );
    }

    #[test]
    fn asks_mirrors_in_order_and_the_registry_last() {
        let settings = settings(
            "docker.io",
            &[
                "https://mirror.corp",
                "http://10.0.0.1:5000",
                "harbor.corp/hub/",
                "127.0.0.1:5000",
            ],
            &["mirror.corp"],
        );
        let places = places("docker.io", &settings).unwrap();
        let names: Vec<&str> = places.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "mirror.corp",
                "10.0.0.1:5000",
                "harbor.corp",
                "127.0.0.1:5000",
                "docker.io"
            ]
        );
        assert!(places[0].insecure && places[0].is_mirror() && !places[4].is_mirror());
        assert_eq!(
            places[1].schemes,
            Schemes::Only("http://10.0.0.1:5000".parse().unwrap())
        );
        assert_eq!(places[3].schemes, Schemes::HttpOrHttps);
        let harbor = &places[2];
        let root = harbor.with_scheme("https").unwrap();
        assert_eq!(
            harbor
                .address(&root, "library/busybox", "manifests/musl")
                .as_str(),
            "https://harbor.corp/v2/hub/library/busybox/manifests/musl?ns=docker.io"
        );
    }

    #[test]
    fn refuses_mirrors_that_are_not_addresses() {
        for bad in [
            "ftp://mirror.corp",
            "https://ann:pw@mirror.corp",
            "https://mirror.corp?x=1",
            "https://mirror.corp/#x",
            "https://mirror.corp/../x",
            "https://mirror.corp/Upper",
            "https://",
            "",
            "a b",
        ] {
            let error = places("docker.io", &settings("docker.io", &[bad], &[])).unwrap_err();
            assert!(
                matches!(error, RegistryError::Setting { .. }),
                "{bad}: {error}"
            );
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }

    #[test]
    fn leaves_a_broken_mirror_alone() {
        let place = only("mirror.corp");
        assert!(!place.is_broken());
        place.set_broken();
        assert!(place.is_broken());
    }
}
