//! What the client must be told: plain data, read by the binary from its environment and files.
//!
//! Nothing here reads the environment. [`Settings::default`] talks to any registry over https,
//! without credentials, mirrors, proxies or certificates of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::redact::Secret;

/// How long a connection may take to come about. Docker waits 30 s; a mirror that is down should
/// not cost a pull that much.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a registry may say nothing before its connection counts as broken.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes have to come a second, and over which time: a line that is slower takes a month for a
/// layer of two gigabytes.
const MIN_RATE: MinRate = MinRate {
    bytes_per_second: 1024,
    window: Duration::from_secs(60),
};

/// How many idle connections are kept per host: as many as one pull has downloads under way.
const IDLE_CONNECTIONS_PER_HOST: usize = 16;

/// How often one step is tried before it counts as failed. A step that made progress starts anew.
const ATTEMPTS: u32 = 6;

/// The first pause between two attempts.
const PAUSE_BASE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts.
const PAUSE_CAP: Duration = Duration::from_secs(30);

/// Everything the client must be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is special about some registries. The key is the domain in a reference's words:
    /// `docker.io`, `registry.corp:5000`.
    pub registries: BTreeMap<String, HostSettings>,
    /// Folders of certificates, Docker's `certs.d`: each may hold
    /// `HOST[:PORT]/{*.crt,*.cert,*.key}`. All of them count.
    pub certificate_folders: Vec<PathBuf>,
    /// Where credentials are.
    pub credentials: CredentialSettings,
    /// Which proxies to go through.
    pub proxies: Proxies,
    /// How many idle connections are kept per host for the next request.
    pub idle_connections_per_host: usize,
    /// How long a connection may take to come about, TLS included.
    pub connect_timeout: Duration,
    /// How long a registry may say nothing before its connection counts as broken.
    pub stall_timeout: Duration,
    /// How slow a registry may be before its transfer counts as broken.
    pub min_rate: MinRate,
    /// How failures are met.
    pub retry: RetryPolicy,
    /// What the client calls itself: the `User-Agent`.
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registries: BTreeMap::new(),
            certificate_folders: Vec::new(),
            credentials: CredentialSettings::default(),
            proxies: Proxies::default(),
            idle_connections_per_host: IDLE_CONNECTIONS_PER_HOST,
            connect_timeout: CONNECT_TIMEOUT,
            stall_timeout: STALL_TIMEOUT,
            min_rate: MIN_RATE,
            retry: RetryPolicy::default(),
            user_agent: concat!("wharf/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The least progress of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// How many bytes a second, on average over the window. 0 is no limit.
    pub bytes_per_second: u64,
    /// Over which time of waiting.
    pub window: Duration,
}

/// What is special about one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// Other places that have the same content, asked first, in order: `https://mirror.corp`,
    /// `http://127.0.0.1:5000`, `mirror.corp/hub`. A path goes in front of the repository.
    pub mirrors: Vec<String>,
    /// Take plain http, and a certificate nobody vouches for.
    pub insecure: bool,
}

/// Where credentials are.
#[derive(Clone, Debug, Default)]
pub struct CredentialSettings {
    /// What `DOCKER_AUTH_CONFIG` holds: JSON like `config.json`, with nothing but `auths` and an `auth` for
    /// each. It comes before the files.
    pub docker_auth_config: Option<Secret>,
    /// Docker's `config.json`. It need not exist.
    pub docker_config: Option<PathBuf>,
    /// Further files of the same form (`auth.json`), asked in order when the first knows nothing.
    /// Their keys may name a part of a registry: `quay.io/team`.
    pub others: Vec<PathBuf>,
    /// Where helper programs (`docker-credential-…`) are looked for, as `PATH` has it; the
    /// process's own `PATH` if `None`.
    pub helper_path: Option<OsString>,
}

/// Which proxies to go through, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name them. Loopback
/// is always reached directly.
#[derive(Clone, Default)]
pub struct Proxies {
    /// Is this program a CGI program, whose environment holds headers of requests? Then a client's header
    /// `Proxy` would be `HTTP_PROXY`, and http addresses with a proxy are refused, as with Go.
    pub cgi: bool,
    /// For http addresses.
    pub http: Option<String>,
    /// For https addresses.
    pub https: Option<String>,
    /// What is reached directly: hosts, domains, addresses and networks, with commas between.
    pub no_proxy: Option<String>,
}

impl std::fmt::Debug for Proxies {
    /// Without what stands before the `@`: a proxy's address may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |proxy: &Option<String>| proxy.as_deref().map(crate::redact::url_text);
        f.debug_struct("Proxies")
            .field("cgi", &self.cgi)
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

/// How often and how patiently a step that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often in all, the first time included. At least 1.
    pub attempts: u32,
    /// The first pause; each further one is twice as long. A random part of it is left out, so
    /// that many clients do not come back at the same moment.
    pub base: Duration,
    /// The longest pause, `Retry-After` included.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: ATTEMPTS,
            base: PAUSE_BASE,
            cap: PAUSE_CAP,
        }
    }
}
