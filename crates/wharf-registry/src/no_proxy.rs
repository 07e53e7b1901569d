//! Which addresses are reached without a proxy: `NO_PROXY`, by the rules of Go's `httpproxy`, which are
//! Docker's.
//!
//! | entry | what it covers |
//! |---|---|
//! | `*` | everything |
//! | `10.0.0.0/8`, `fd00::/8` | a network |
//! | `10.0.0.1`, `10.0.0.1:5000`, `::1`, `[::1]:5000`, `[::1]` | an address, at every port or at this one |
//! | `corp`, `corp:5000` | the domain `corp` and everything below it |
//! | `.corp`, `*.corp`, `.corp:5000` | everything below `corp`, without `corp` itself |
//!
//! Entries have commas between them; blanks and case do not count, and what cannot be read covers nothing.
//! Loopback and `localhost` are never reached through a proxy.

use std::net::IpAddr;

use reqwest::Url;

/// The addresses that are reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoProxy {
    everything: bool,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Network { address: IpAddr, bits: u8 },
    Address { address: IpAddr, port: Option<u16> },
    Domain(Domain),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Domain {
    /// With its dot in front: `.corp`.
    suffix: String,
    /// Is the domain itself covered, too?
    itself: bool,
    port: Option<u16>,
}

impl NoProxy {
    /// Reads a list.
    pub(crate) fn new(list: &str) -> Self {
        let entries = list.split(',').map(|entry| entry.trim().to_lowercase());
        let entries: Vec<String> = entries.filter(|entry| !entry.is_empty()).collect();
        Self {
            everything: entries.iter().any(|entry| entry == "*"),
            entries: entries.iter().filter_map(|text| entry(text)).collect(),
        }
    }

    /// Is this address reached directly?
    pub(crate) fn covers(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().map(unbracketed) else {
            return true;
        };
        let host = host.to_lowercase();
        let address = host.parse().ok().map(canonical);
        let loopback = address.is_some_and(|address| address.is_loopback());
        if self.everything || loopback || host == "localhost" {
            return true;
        }
        let port = url.port_or_known_default();
        self.entries.iter().any(|entry| match (entry, address) {
            (Entry::Network { address, bits }, Some(actual)) => within(actual, *address, *bits),
            (Entry::Address { address, port: at }, Some(actual)) => {
                *address == actual && (at.is_none() || *at == port)
            }
            (Entry::Domain(domain), None) => domain.covers(&host, port),
            _ => false,
        })
    }
}

impl Domain {
    fn covers(&self, host: &str, port: Option<u16>) -> bool {
        let below = host.ends_with(&self.suffix);
        let same = self.itself && self.suffix.strip_prefix('.') == Some(host);
        (below || same) && (self.port.is_none() || self.port == port)
    }
}

/// One entry, in lower case.
fn entry(text: &str) -> Option<Entry> {
    if let Some(network) = network(text) {
        return Some(network);
    }
    let (host, port) = match split_port(text) {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let host = unbracketed(host);
    if let Ok(address) = host.parse() {
        let address = canonical(address);
        return Some(Entry::Address { address, port });
    }
    let host = host
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(host);
    let (name, itself) = match host.strip_prefix('.') {
        Some(name) => (name, false),
        None => (host, true),
    };
    if name.is_empty() {
        return None;
    }
    // Addresses have the ASCII form of names.
    let name = match Url::parse(&format!("http://{name}/")) {
        Ok(url) if !name.is_ascii() => url.host_str().unwrap_or(name).to_owned(),
        _ => name.to_owned(),
    };
    let suffix = format!(".{name}");
    Some(Entry::Domain(Domain {
        suffix,
        itself,
        port,
    }))
}

fn network(text: &str) -> Option<Entry> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let bits: u8 = bits.parse().ok().filter(|_| digits)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    (bits <= longest).then_some(Entry::Network { address, bits })
}

/// `HOST:PORT` and `[ADDRESS]:PORT`. An IPv6 address without brackets has colons of its own.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    (bracketed || !host.contains([':', '[', ']'])).then_some((host, port))
}

fn unbracketed(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// `::ffff:10.0.0.1` is `10.0.0.1`.
const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn within(actual: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |actual: u128, network: u128, length: u8| {
        let rest = u32::from(length - bits);
        // A shift by all bits is no shift at all.
        actual.checked_shr(rest) == network.checked_shr(rest)
    };
    match (actual, network) {
        (IpAddr::V4(actual), IpAddr::V4(network)) => {
            same(u32::from(actual).into(), u32::from(network).into(), 32)
        }
        (IpAddr::V6(actual), IpAddr::V6(network)) => same(actual.into(), network.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(list: &str, url: &str) -> bool {
        NoProxy::new(list).covers(&url.parse().unwrap())
    }

    #[test]
    fn covers_what_go_covers() {
        for (list, url) in [
            ("*", "https://registry.corp"),
            ("a, * ,b", "http://10.0.0.1:5000"),
            ("corp", "https://corp"),
            ("corp", "https://registry.corp"),
            ("registry.corp", "https://registry.corp:5000"),
            ("registry.corp:5000", "https://registry.corp:5000"),
            ("registry.corp:443", "https://registry.corp"),
            ("registry.corp:80", "http://registry.corp"),
            ("corp:5000", "http://a.b.corp:5000"),
            (".corp", "https://registry.corp"),
            (".corp:5000", "https://registry.corp:5000"),
            ("*.corp", "https://a.registry.corp"),
            ("*.corp:443", "https://registry.corp"),
            (" \tRegistry.CORP , x", "https://registry.corp"),
            ("registry.corp", "https://REGISTRY.Corp"),
            ("10.0.0.1", "http://10.0.0.1:5000"),
            ("10.0.0.1:5000", "http://10.0.0.1:5000"),
            ("10.0.0.0/8", "https://10.200.3.4"),
            ("10.1.2.3/8", "https://10.200.3.4"),
            ("0.0.0.0/0", "https://192.0.2.1"),
            ("192.0.2.1/32", "https://192.0.2.1"),
            ("2001:db8::1", "https://[2001:db8::1]:5000"),
            ("[2001:db8::1]", "https://[2001:db8::1]:5000"),
            ("[2001:DB8::1]:5000", "https://[2001:db8:0::1]:5000"),
            ("2001:db8::/32", "https://[2001:db8:ffff::1]"),
            ("::/0", "https://[2001:db8::1]"),
            ("::ffff:10.0.0.1", "https://10.0.0.1"),
            ("10.0.0.0/8", "https://[::ffff:10.0.0.1]"),
            ("büro.corp", "https://registry.xn--bro-hoa.corp"),
        ] {
            assert!(covers(list, url), "{list} {url}");
        }
    }

    #[test]
    fn covers_nothing_else() {
        for (list, url) in [
            ("", "https://registry.corp"),
            (",, ,", "https://registry.corp"),
            (".corp", "https://corp"),
            ("*.corp", "https://corp"),
            ("corp", "https://registrycorp"),
            ("corp", "https://corp.example"),
            ("registry.corp:5000", "https://registry.corp"),
            ("registry.corp:443", "http://registry.corp"),
            ("registry.corp:x", "https://registry.corp"),
            ("registry.corp:70000", "https://registry.corp"),
            ("*corp", "https://registry.corp"),
            ("re*.corp", "https://registry.corp"),
            ("https://registry.corp", "https://registry.corp"),
            ("registry.corp other.corp", "https://registry.corp"),
            ("registry.corp;other.corp", "https://registry.corp"),
            (":443", "https://registry.corp"),
            (".", "https://registry.corp"),
            ("10.0.0.1:5001", "http://10.0.0.1:5000"),
            ("10.0.0.0/33", "https://10.0.0.1"),
            ("10.0.0.0/+8", "https://10.0.0.1"),
            ("10.0.0.0/", "https://10.0.0.1"),
            ("10.0.0.0/8", "https://11.0.0.1"),
            ("10.0.0", "https://10.0.0.1"),
            (".0.0.1", "https://10.0.0.1"),
            ("0.1", "https://10.0.0.1"),
            ("2001:db8::/32", "https://[2001:db9::1]"),
            ("::/0", "https://10.0.0.1"),
            ("0.0.0.0/0", "https://[2001:db8::1]"),
            ("[2001:db8::1]:5001", "https://[2001:db8::1]:5000"),
        ] {
            assert!(!covers(list, url), "{list} {url}");
        }
    }

    #[test]
    fn this_machine_needs_no_proxy() {
        for url in [
            "http://localhost:5000",
            "http://LOCALHOST",
            "https://127.0.0.1",
            "https://127.9.9.9:1",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
        ] {
            assert!(covers("", url), "{url}");
        }
        assert!(!covers("", "https://localhost.corp"));
    }

    proptest! {
        #[test]
        fn never_panics(list in "\\PC{0,80}", host in "[a-z0-9.]{1,20}") {
            if let Ok(url) = format!("https://{host}:5000/v2/").parse() {
                NoProxy::new(&list).covers(&url);
            }
        }

        #[test]
        fn a_host_covers_itself_and_what_is_below(name in "[a-z]{1,10}(\\.[a-z]{1,10}){1,2}", port in 1..u16::MAX) {
            let (own, below) = (format!("https://{name}:{port}"), format!("https://x.{name}:{port}"));
            let (beside, at) = (format!("https://x{name}:{port}"), format!("{name}:{port}"));
            for list in [&name, &at] {
                prop_assert!(covers(list, &own) && covers(list, &below) && !covers(list, &beside));
            }
            let dotted = format!(".{name}");
            prop_assert!(!covers(&dotted, &own) && covers(&dotted, &below));
        }

        #[test]
        fn a_network_covers_its_addresses(network: u32, host: u32, bits in 0..=32_u8) {
            let mask = u32::MAX.checked_shl(u32::from(32 - bits)).unwrap_or(0);
            let inside = std::net::Ipv4Addr::from(network & mask | host & !mask);
            prop_assume!(!inside.is_loopback());
            let list = format!("{}/{bits}", std::net::Ipv4Addr::from(network));
            let url = format!("https://{inside}/");
            prop_assert!(covers(&list, &url));
            let outside = std::net::Ipv4Addr::from(u32::from(inside) ^ (1 << 31));
            if bits > 0 && !outside.is_loopback() {
                let url = format!("https://{outside}/");
                prop_assert!(!covers(&list, &url));
            }
        }
    }
}
